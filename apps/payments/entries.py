"""Payments as what the ledger's entries are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.ledger.subjects import EntrySubject, Link
from apps.payments.models import Payment


class PaymentEntries(EntrySubject):
    """Entries of payments; the page is their order's."""

    label = _("Payment")
    table = "payments_payment"

    @override
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        rows = Payment.objects.filter(pk__in=ids).values_list("pk", "order_no", "order_id")
        return {
            pk: Link(number, reverse("reports:order_detail", args=[slug, order]))
            for pk, number, order in rows
        }
