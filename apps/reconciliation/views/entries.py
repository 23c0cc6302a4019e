"""One difference as pages show it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404

from apps.reconciliation import selectors
from apps.reconciliation.models import Difference, DifferenceType
from apps.reconciliation.wording import remark, when


def entry_of(row: Difference, now: datetime) -> dict[str, Any]:
    """One difference as a page shows it: the numbers of both sides under one name each."""
    line, refund = row.line, row.refund
    payment = row.payment or (refund.payment if refund else None)
    is_fee = row.type == DifferenceType.FEE
    return {
        "row": row,
        "line": line,
        "when": when(row),
        "remark": remark(row, now),
        "is_refund": refund is not None or (line is not None and line.kind == "refund"),
        "order_id": payment.order_id if payment else None,
        "order_no": payment.order_no if payment else (line.order_no if line else ""),
        "trade_no": (line.platform_trade_no if line else "")
        or (payment.platform_trade_no if payment else ""),
        "refund_no": refund.refund_no if refund else (line.refund_no if line else ""),
        "platform_refund_no": (line.platform_refund_no if line else "")
        or (refund.platform_refund_no if refund else ""),
        "theirs": row.their_fee_minor if is_fee else row.their_minor,
        "ours": row.our_fee_minor if is_fee else row.our_minor,
        "gap": _gap(row),
    }


def _gap(row: Difference) -> int:
    if row.type == DifferenceType.OVERBOOKED:
        return row.rest_minor
    return -row.net_gap_minor if row.type == DifferenceType.FEE else row.gap_minor


def difference_or_404(difference_id: int) -> Difference:
    """One difference with both sides; a page of status 404 where there is none."""
    try:
        return selectors.get_difference(difference_id)
    except Difference.DoesNotExist as error:
        raise Http404 from error
