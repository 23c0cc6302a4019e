"""The papers of adjustments."""

from __future__ import annotations

from apps.ledger.models import Adjustment, AdjustmentPaper


def papers_of(adjustment: Adjustment) -> list[AdjustmentPaper]:
    """Its papers in the order they were handed in; one query, without their content."""
    return list(AdjustmentPaper.objects.filter(adjustment=adjustment).order_by("pk"))


def get_paper(adjustment_id: int, paper_id: int) -> AdjustmentPaper:
    """One paper of an adjustment. Raises AdjustmentPaper.DoesNotExist."""
    paper: AdjustmentPaper = AdjustmentPaper.objects.get(pk=paper_id, adjustment_id=adjustment_id)
    return paper
