"""Fetching bills and turning them into rows: all or nothing, each file kept as received."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.core.encryption import seal
from apps.core.tenancy import current_merchant_id
from apps.platforms.gateway import (
    LineKind,
    NotSupported,
    ParsedStatement,
    PlatformRejected,
    PlatformUnavailable,
    StatementEmpty,
    StatementKind,
    StatementLine,
    StatementNotReady,
    StatementUnreadable,
)
from apps.platforms.models import PlatformAccount, PlatformChoice
from apps.platforms.services import gateway_of
from apps.statements.models import FetchState, Statement, StatementDay

#: The largest bill taken, in bytes as received.
MAX_BYTES = 64 * 1024 * 1024
#: When each platform's bill of yesterday may be asked for, China time, with a margin over the platform's own promise.
READY_AT = {
    PlatformChoice.WECHATPAY: time(10, 5),
    PlatformChoice.ALIPAY: time(10, 5),
}
#: Between two tries while the bill is being made or the platform does not answer.
RETRY = timedelta(minutes=30)
#: After this many days without a bill the portal stops asking; it can still be uploaded.
GIVE_UP = timedelta(days=7)

_COLUMNS = (
    "row",
    "kind",
    "order_no",
    "refund_no",
    "platform_trade_no",
    "platform_refund_no",
    "amount_minor",
    "fee_minor",
    "currency",
    "occurred_at",
    "status",
    "product",
    "raw",
)


class StatementRefused(Exception):
    """The file was not imported, and nothing of it was stored. ``reason`` as in StatementUnreadable.

    ``message`` is a sentence in the reader's language; ``line`` and ``column`` say where, if it can be told.
    """

    def __init__(
        self, reason: str, message: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.line = line
        self.column = column


def _refusal(error: StatementUnreadable, *, day: date) -> StatementRefused:
    sentences = {
        "other_day": _("This bill is of another day than %(day)s.") % {"day": day},
        "other_account": _("This bill belongs to another account."),
        "other_format": _(
            "This is not a bill of this platform, or not in a format the portal knows."
        ),
        "truncated": _("The file is damaged or incomplete. Download it again."),
        "too_large": _("The file is too large."),
        "bad_row": _("A row of the bill cannot be read."),
        "totals": _("The bill's own totals do not fit its rows. Download it again."),
        "personal_bill": _(
            "This is a personal wallet bill. Download the bill from the merchant console."
        ),
    }
    message = sentences.get(error.reason, sentences["other_format"])
    if error.line:
        message += " " + _("Line %(line)s.") % {"line": error.line}
    if error.column:
        message += " " + _("Column “%(column)s”.") % {"column": error.column}
    if error.detail:
        message += f" ({error.detail})"
    return StatementRefused(error.reason, message, line=error.line, column=error.column)


def _check_totals(parsed: ParsedStatement, *, day: date) -> dict[str, int]:
    """The sums over the rows, in fen, after comparing them with what the bill itself states."""
    sums = {
        "payment_count": 0,
        "payment_minor": 0,
        "refund_count": 0,
        "refund_minor": 0,
        "fee_minor": 0,
    }
    for line in parsed.lines:
        if line.kind in {LineKind.PAYMENT, LineKind.REFUND}:
            sums[f"{line.kind}_count"] += 1
            sums[f"{line.kind}_minor"] += line.amount.minor
        sums["fee_minor"] += line.fee.minor
    stated = parsed.totals
    pairs = (
        (stated.payment_count, sums["payment_count"]),
        (stated.payment_amount and stated.payment_amount.minor, sums["payment_minor"]),
        (stated.refund_count, sums["refund_count"]),
        (stated.refund_amount and stated.refund_amount.minor, sums["refund_minor"]),
    )
    for theirs, rows in pairs:
        if theirs is not None and theirs != rows:
            detail = f"{theirs} ≠ {rows}"
            raise _refusal(StatementUnreadable("totals", detail), day=day)
    return sums


def _record(line: StatementLine) -> tuple[object, ...]:
    return (
        line.row,
        line.kind.value,
        line.order_no[:64],
        line.refund_no[:64],
        line.platform_trade_no[:64],
        line.platform_refund_no[:64],
        line.amount.minor,
        line.fee.minor,
        line.amount.currency,
        line.occurred_at,
        line.status[:24],
        line.product[:24],
        json.dumps(dict(line.raw), ensure_ascii=False),
    )


def _store_lines(statement: Statement, lines: Iterable[StatementLine]) -> None:
    """COPY into a temporary table, then one INSERT: row-level security does not allow COPY into the table itself."""
    columns = ", ".join(_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE staged_line ("
            "row int, kind text, order_no text, refund_no text, platform_trade_no text,"
            " platform_refund_no text, amount_minor bigint, fee_minor bigint, currency text,"
            " occurred_at timestamptz, status text, product text, raw jsonb) ON COMMIT DROP"
        )
        with cursor.copy(f"COPY staged_line ({columns}) FROM STDIN") as copy:
            for line in lines:
                copy.write_row(_record(line))
        cursor.execute(
            f"INSERT INTO statements_statementline (merchant_id, statement_id, {columns})"  # noqa: S608  # our own names
            f" SELECT %s, %s, {columns} FROM staged_line",
            [statement.merchant_id, statement.pk],
        )
        cursor.execute("DROP TABLE staged_line")


def _parse(
    account: PlatformAccount, content: bytes, *, day: date, kind: StatementKind
) -> ParsedStatement:
    if len(content) > MAX_BYTES:
        raise _refusal(StatementUnreadable("too_large", f"{MAX_BYTES // 1024 // 1024} MB"), day=day)
    try:
        parsed = gateway_of(account).parse_statement(content, business_date=day, kind=kind)
    except StatementUnreadable as error:
        raise _refusal(error, day=day) from error
    except NotSupported as error:
        raise _refusal(StatementUnreadable("other_format", str(error)), day=day) from error
    if parsed.merchant_no and parsed.merchant_no != account.merchant_no:
        raise _refusal(StatementUnreadable("other_account", parsed.merchant_no), day=day)
    return parsed


@transaction.atomic
def expect_day(*, account_id: int, kind: StatementKind, day: date) -> StatementDay:
    """The row that follows one account's bill of one day, made if it is missing."""
    row, _made = StatementDay.objects.get_or_create(
        account_id=account_id, kind=kind.value, day=day, merchant_id=current_merchant_id()
    )
    return row


def import_statement(
    *,
    account_id: int,
    kind: StatementKind,
    day: date,
    filename: str,
    content: bytes,
    uploaded_by: User | None,
    actor: Actor,
    now: datetime,
) -> Statement:
    """Store a bill and its rows. The same file again changes nothing; a changed one becomes the new current version.

    Raises StatementRefused; then nothing was stored.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    if day >= clock.business_date(now):
        message = _("The bill of %(day)s is not complete before the day is over.") % {"day": day}
        raise StatementRefused("other_day", message)
    digest = hashlib.sha256(content).hexdigest()
    expect_day(account_id=account_id, kind=kind, day=day)
    same = Statement.objects.filter(
        account_id=account_id, kind=kind.value, day=day, is_current=True, sha256=digest
    ).first()
    if same is not None:
        return same
    parsed = _parse(account, content, day=day, kind=kind)
    sums = _check_totals(parsed, day=day)
    with transaction.atomic():
        expected = StatementDay.objects.select_for_update().get(
            account_id=account_id, kind=kind.value, day=day
        )
        versions = Statement.objects.filter(account_id=account_id, kind=kind.value, day=day)
        last = versions.order_by("-version").values_list("version", "sha256", "is_current").first()
        if last and last[2] and last[1] == digest:
            return versions.get(version=last[0])
        versions.filter(is_current=True).update(is_current=False)
        statement = Statement.objects.create(
            account_id=account_id,
            kind=kind.value,
            day=day,
            version=last[0] + 1 if last else 1,
            filename=filename[:160],
            content_sealed=seal(content, merchant_id=account.merchant_id, purpose="statement"),
            sha256=digest,
            byte_count=len(content),
            uploaded_by=uploaded_by,
            imported_at=now,
            unknown_columns=list(parsed.unknown_columns),
            **sums,
        )
        _store_lines(statement, parsed.lines)
        expected.state = FetchState.IMPORTED
        expected.last_tried_at = now
        expected.detail = ""
        expected.save(update_fields=["state", "last_tried_at", "detail"])
        audit.record(
            action="statement.imported",
            subject_kind="statement",
            subject_id=statement.pk,
            actor=actor,
            at=now,
            data={
                "account": account.label,
                "kind": kind.value,
                "day": day.isoformat(),
                "version": statement.version,
                "sha256": digest,
                "rows": len(parsed.lines),
            },
        )
        if kind is StatementKind.TRADE:
            _ask_to_reconcile(expected, now=now)
    return statement


def _ask_to_reconcile(expected: StatementDay, *, now: datetime) -> None:
    outbox.enqueue(
        task="reconciliation.run",
        merchant_id=expected.merchant_id,
        subject_id=expected.pk,
        due_at=now,
    )


def _note(expected: StatementDay, state: FetchState, *, now: datetime, detail: str = "") -> None:
    expected.state = state
    expected.last_tried_at = now
    expected.detail = detail[:300]
    expected.attempts += 1
    expected.save(update_fields=["state", "last_tried_at", "detail", "attempts"])


def fetch_statement(*, day_id: int, now: datetime) -> datetime | None:
    """Try to fetch one expected bill; returns when to try again, None when there is no more to do."""
    expected = StatementDay.objects.select_related("account").filter(pk=day_id).first()
    if expected is None or expected.state in {FetchState.IMPORTED, FetchState.EMPTY}:
        return None
    kind = StatementKind(expected.kind)
    given_up = now.date() - expected.day > GIVE_UP
    again = None if given_up else now + RETRY
    try:
        file = gateway_of(expected.account).fetch_statement(business_date=expected.day, kind=kind)
        import_statement(
            account_id=expected.account_id,
            kind=kind,
            day=expected.day,
            filename=file.filename,
            content=file.content,
            uploaded_by=None,
            actor=Actor.system("statements"),
            now=now,
        )
    except StatementEmpty:
        _note(expected, FetchState.EMPTY, now=now)
        if kind is StatementKind.TRADE:
            _ask_to_reconcile(expected, now=now)
        return None
    except StatementNotReady as error:
        _note(expected, FetchState.WAITING, now=now, detail=error.message)
        return again
    except (PlatformUnavailable, PlatformRejected, StatementRefused) as error:
        _note(expected, FetchState.FAILED, now=now, detail=error.message)
        return again
    return None


def _due_accounts(*, now: datetime) -> Iterator[PlatformAccount]:
    local = now.astimezone(clock.CHINA).time()
    for account in PlatformAccount.objects.filter(is_active=True):
        ready = READY_AT.get(PlatformChoice(account.platform))
        if ready is not None and local >= ready:
            yield account


def plan_yesterday(*, now: datetime) -> int:
    """Expect yesterday's trade bill of every active account of the merchant, once it may be ready; how many are new."""
    day = clock.business_date(now) - timedelta(days=1)
    planned = 0
    for account in _due_accounts(now=now):
        with transaction.atomic():
            expected, made = StatementDay.objects.get_or_create(
                account_id=account.pk,
                kind=StatementKind.TRADE.value,
                day=day,
                merchant_id=account.merchant_id,
            )
            if made:
                outbox.enqueue(
                    task="statements.fetch",
                    merchant_id=account.merchant_id,
                    subject_id=expected.pk,
                    due_at=now,
                )
                planned += 1
    return planned
