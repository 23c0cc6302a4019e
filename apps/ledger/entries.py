"""Adjustments as what entries are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.ledger.models import Adjustment
from apps.ledger.subjects import EntrySubject, Link


class AdjustmentEntries(EntrySubject):
    """Entries of adjustments."""

    label = _("Adjustment")
    table = "ledger_adjustment"

    @override
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        found = Adjustment.objects.filter(pk__in=ids).values_list("pk", flat=True)
        return {
            pk: Link(f"#{pk}", reverse("ledger:adjustment_detail", args=[slug, pk])) for pk in found
        }
