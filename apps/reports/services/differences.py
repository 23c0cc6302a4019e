"""The differences of a closed day as CSV: those of the runs that counted when it was closed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db.models import Count, Sum
from django.utils.translation import gettext, override

from apps.platforms.models import PlatformChoice
from apps.reconciliation.models import Difference, DifferenceState, DifferenceType
from apps.reports.services.exports import HEADERS, csv_line, stream_copy, text_cell

_ZONE: Final = "Asia/Shanghai"
#: Name and the SQL of a cell; long numbers are quoted.
_CELLS: Final = (
    ("account", text_cell("a.label")),
    ("platform", "w.words -> 'platform' ->> a.platform"),
    ("type", "w.words -> 'type' ->> d.type"),
    ("state", "w.words -> 'state' ->> d.state"),
    ("bill_row", "l.row"),
    ("payment_number", "COALESCE(p.order_no, rp.order_no, l.order_no)"),
    ("refund_number", "COALESCE(r.refund_no, l.refund_no)"),
    (
        "platform_number",
        "COALESCE(NULLIF(l.platform_trade_no, ''), p.platform_trade_no, rp.platform_trade_no)",
    ),
    ("bill_yuan", "d.their_minor * 0.01"),
    ("books_yuan", "d.our_minor * 0.01"),
    ("difference_yuan", "d.gap_minor * 0.01"),
    ("bill_fee_yuan", "d.their_fee_minor * 0.01"),
    ("books_fee_yuan", "d.our_fee_minor * 0.01"),
    ("first_seen", f"to_char(d.first_seen_at AT TIME ZONE '{_ZONE}', 'YYYY-MM-DD HH24:MI:SS')"),
    ("resolved_by", text_cell("COALESCE(NULLIF(u.name, ''), u.email)")),
    ("resolved", f"to_char(z.at AT TIME ZONE '{_ZONE}', 'YYYY-MM-DD HH24:MI:SS')"),
    ("note", text_cell("z.reason")),
)
_LONG: Final = ("payment_number", "refund_number", "platform_number")


def _titles() -> list[str]:
    return [
        gettext("Platform account"),
        gettext("Platform"),
        gettext("Kind of difference"),
        gettext("State"),
        gettext("Row of the bill"),
        gettext("Payment number"),
        gettext("Refund number"),
        gettext("Platform number"),
        gettext("In the bill (yuan)"),
        gettext("In the books (yuan)"),
        gettext("Bill − books (yuan)"),
        gettext("Fee in the bill (yuan)"),
        gettext("Fee in the books (yuan)"),
        gettext("First seen") + f"({_ZONE})",
        gettext("Resolved by"),
        gettext("Resolved") + f"({_ZONE})",
        gettext("Remark"),
    ]


def _cell(name: str, sql: str) -> str:
    if name in _LONG:
        bare = text_cell(sql)
        sql = f"CASE WHEN {bare} ~ '^[0-9]{{12,}}$' THEN {bare} || E'\\t' ELSE {bare} END"
    return f"NULLIF(({sql})::text, '') AS {name}"


def _words() -> str:
    return json.dumps(
        {
            "platform": {value: str(label) for value, label in PlatformChoice.choices},
            "type": {value: str(label) for value, label in DifferenceType.choices},
            "state": {value: str(label) for value, label in DifferenceState.choices},
        },
        ensure_ascii=False,
    )


def export_differences(
    run_ids: Sequence[int], *, merchant_id: int, headers: str, encoding: str
) -> Iterator[bytes]:
    """The differences of these runs in pieces, by account and row. It enters the present scope again when it is read."""
    cells = ",\n".join(_cell(name, sql) for name, sql in _CELLS).replace("%", "%%")
    # Assembled from this module's own fragments; every value is a parameter.
    sql = (
        f"COPY (SELECT {cells} FROM reconciliation_difference d"  # noqa: S608  # our own names
        " CROSS JOIN (SELECT %s::jsonb AS words) w"
        " JOIN reconciliation_reconciliationrun n ON n.id = d.run_id AND n.merchant_id = d.merchant_id"
        " JOIN platforms_platformaccount a ON a.id = n.account_id AND a.merchant_id = d.merchant_id"
        " LEFT JOIN statements_statementline l ON l.id = d.line_id AND l.merchant_id = d.merchant_id"
        " LEFT JOIN payments_payment p ON p.id = d.payment_id AND p.merchant_id = d.merchant_id"
        " LEFT JOIN refunds_refund r ON r.id = d.refund_id AND r.merchant_id = d.merchant_id"
        " LEFT JOIN payments_payment rp ON rp.id = r.payment_id AND rp.merchant_id = r.merchant_id"
        " LEFT JOIN reconciliation_resolution z ON z.id = d.resolution_id AND z.merchant_id = d.merchant_id"
        " LEFT JOIN accounts_user u ON u.id = z.member_id"
        " WHERE d.merchant_id = %s AND d.run_id = ANY(%s::bigint[])"
        " ORDER BY n.account_id, d.id)"
        f" TO STDOUT WITH (FORMAT csv, FORCE_QUOTE ({', '.join(_LONG)}))"
    )
    with override(HEADERS[headers] or "en"):
        head, words = csv_line(_titles()), _words()
    params: list[Any] = [words, merchant_id, list(run_ids)]
    return stream_copy(head, sql, params, encoding=encoding)


def sum_differences(run_ids: Sequence[int]) -> tuple[int, int]:
    """How many differences these runs have, and what they add to bill − books in fen."""
    found = Difference.objects.filter(run_id__in=run_ids).aggregate(
        rows=Count("pk"), gap=Sum("gap_minor")
    )
    return int(found["rows"]), int(found["gap"] or 0)
