"""Payouts and reserves as what the ledger's entries are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.ledger.subjects import EntrySubject, Link
from apps.statements.models import Payout, ReserveMove


class PayoutEntries(EntrySubject):
    """Entries of payouts, and of payouts undone."""

    label = _("Payout")
    table = "statements_payout"

    @override
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        found = Payout.objects.filter(pk__in=ids).values_list("pk", flat=True)
        return {
            pk: Link(f"#{pk}", reverse("settlements:payout_detail", args=[slug, pk]))
            for pk in found
        }


class ReserveEntries(EntrySubject):
    """Entries of what is kept back for refunds, or released."""

    label = _("Kept back for refunds")
    table = "statements_reservemove"

    @override
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        found = ReserveMove.objects.filter(pk__in=ids).values_list("pk", "account_id", "day")
        return {
            pk: Link(
                day.isoformat(), reverse("settlements:reserve_detail", args=[slug, account_id])
            )
            for pk, account_id, day in found
        }
