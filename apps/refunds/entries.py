"""Refunds as what the ledger's entries are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.ledger.subjects import EntrySubject, Link
from apps.refunds.models import Refund


class RefundEntries(EntrySubject):
    """Entries of refunds."""

    label = _("Refund")
    table = "refunds_refund"

    @override
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        rows = Refund.objects.filter(pk__in=ids).values_list("pk", "refund_no")
        return {
            pk: Link(number, reverse("refunds:refund_detail", args=[slug, pk]))
            for pk, number in rows
        }
