"""What a sweep was told: kept between its runs, and the lines of the bill in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q

from apps.core.money import Money
from apps.platforms.gateway import LineKind, StatementLine
from apps.statements.models import SweptAnswer
from apps.statements.services.sweeping.work import Sweep

#: An answer that is not the last word is asked for again after this time: longer than a sweep of a very large day takes.
_FRESH: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a word on a payment or refund comes to; ``is_final`` and ``line`` as in ``SweptAnswer``."""

    subject_id: int
    line: StatementLine | None = None
    is_final: bool = False


def answered(work: Sweep, kind: LineKind) -> set[int]:
    """Which questions need not be asked again."""
    rows = SweptAnswer.objects.filter(day=work.expected, kind=kind.value)
    good = rows.filter(Q(is_final=True) | Q(answered_at__gt=work.now - _FRESH))
    return set(good.values_list("subject_id", flat=True))


def keep(work: Sweep, kind: LineKind, answers: Sequence[Answer]) -> None:
    """Store answers, each in place of an earlier one, and count them."""
    SweptAnswer.objects.bulk_create(
        [
            SweptAnswer(
                day=work.expected,
                kind=kind.value,
                subject_id=one.subject_id,
                line=_stored(one.line) if one.line is not None else None,
                is_final=one.is_final,
                answered_at=work.now,
            )
            for one in answers
        ],
        update_conflicts=True,
        unique_fields=["merchant_id", "day", "kind", "subject_id"],
        update_fields=["line", "is_final", "answered_at"],
    )
    work.answered += len(answers)
    work.fresh += len(answers)


def _stored(line: StatementLine) -> dict[str, Any]:
    """A line as JSON; what every line of a sweep has in common is left out."""
    return {
        "kind": line.kind.value,
        "order_no": line.order_no,
        "refund_no": line.refund_no,
        "platform_trade_no": line.platform_trade_no,
        "platform_refund_no": line.platform_refund_no,
        "amount": [line.amount.minor, line.amount.currency],
        "occurred_at": line.occurred_at.isoformat(),
        "status": line.status,
        "product": line.product,
    }


def _line(stored: dict[str, Any]) -> StatementLine:
    minor, currency = stored.pop("amount")
    return StatementLine(
        kind=LineKind(stored.pop("kind")),
        row=0,
        amount=Money(minor, currency),
        fee=Money(0),
        fee_known=False,
        occurred_at=datetime.fromisoformat(stored.pop("occurred_at")),
        **stored,
    )


def lines_of(work: Sweep) -> list[StatementLine]:
    """All rows of the bill."""
    rows = SweptAnswer.objects.filter(day=work.expected, line__isnull=False)
    lines = [_line(stored) for stored in rows.values_list("line", flat=True) if stored]
    return sorted(lines, key=lambda line: (line.occurred_at, line.order_no, line.refund_no))
