"""Payouts as what the ledger's entries are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.ledger.subjects import EntrySubject, Link
from apps.statements.models import Payout


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
