"""Resolutions as what adjustments settle, for the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.audit import Actor
from apps.ledger.followers import AdjustmentFollower
from apps.ledger.models import Adjustment
from apps.ledger.subjects import EntrySubject, Link
from apps.reconciliation.acts import lapse_words
from apps.reconciliation.models import Resolution
from apps.reconciliation.services import follow_adjustment, hold_resolution, why_lapsed


class ResolutionEntries(EntrySubject):
    """What a correction settles; the page is its difference's."""

    label = _("Difference")
    table = "reconciliation_resolution"

    @override
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        rows = Resolution.objects.filter(pk__in=ids).select_related("account")
        return {
            row.pk: Link(
                f"{row.get_type_display()} · {row.account.label} {row.day}",
                reverse("reconciliation:difference_detail", args=[slug, row.difference_id]),
            )
            for row in rows.defer("account__credentials_sealed")
        }


class ResolutionFollower(AdjustmentFollower):
    """Tells a resolution what became of its correction."""

    @override
    def hold(self, subject_id: int) -> None:
        hold_resolution(subject_id)

    @override
    def lapsed(self, adjustment: Adjustment) -> str:
        # What undoes a booking is true whatever became of the difference.
        if adjustment.reverses_id is not None:
            return ""
        return why_lapsed(Resolution.objects.get(pk=adjustment.subject_id))

    @override
    def words(self, code: str) -> str:
        return lapse_words(code)

    @override
    def moved(self, adjustment: Adjustment, *, actor: Actor, now: datetime) -> None:
        follow_adjustment(adjustment=adjustment, actor=actor, now=now)
