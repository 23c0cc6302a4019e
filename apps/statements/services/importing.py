"""Turning bills into rows: all or nothing, each file kept as received."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.core.encryption import seal, unseal
from apps.core.tenancy import current_merchant_id
from apps.platforms import messages, tables
from apps.platforms.gateway import (
    LineKind,
    NotSupported,
    ParsedStatement,
    StatementKind,
    StatementLine,
    StatementUnreadable,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import gateway_of
from apps.statements import wording
from apps.statements.models import FetchState, Statement, StatementDay, SweptAnswer
from apps.statements.selectors import (
    FETCHING,
    bill_period,
    columns_of,
    current_statement,
    is_asked,
)

#: The largest bill taken, in bytes as received.
MAX_BYTES = 64 * 1024 * 1024
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


def too_large_sentence() -> str:
    """Why a file is not read at all."""
    return _("The file is larger than %(limit)d MB. No day's bill is that large.") % {
        "limit": MAX_BYTES // 1024 // 1024
    }


class StatementRefused(Exception):
    """The file was not imported, and nothing of it was stored. ``reason`` as in StatementUnreadable.

    ``message`` is a sentence in the reader's language; ``line`` and ``column`` say where, if it can be told; ``detail`` is
    the technical reason in English. ``kept`` is what ``wording.detail_words`` reads.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        line: int | None = None,
        column: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.line = line
        self.column = column
        self.detail = detail

    @property
    def kept(self) -> str:
        """The refusal in the form in which it is kept with a bill."""
        return wording.kept_unreadable(self.reason, line=self.line, column=self.column)


class FileGone(Exception):
    """The bill's rows are here, its file was deleted after its time."""


def _refusal(error: StatementUnreadable) -> StatementRefused:
    return StatementRefused(
        error.reason,
        str(messages.explain_statement(error)),
        line=error.line,
        column=error.column,
        detail=error.detail,
    )


def _side(line: StatementLine, kind: StatementKind) -> str:
    """Which of the bill's totals a row belongs to: for a fund bill the totals are of all income and all expense."""
    if kind is StatementKind.FUND:
        return {"in": "payment", "out": "refund"}.get(line.status, "")
    return {LineKind.PAYMENT: "payment", LineKind.REFUND: "refund"}.get(line.kind, "")


def _check_totals(parsed: ParsedStatement) -> dict[str, int]:
    """The sums over the rows, in fen, after comparing them with what the bill itself states; unknown fees count as zero."""
    sums = {
        "payment_count": 0,
        "payment_minor": 0,
        "refund_count": 0,
        "refund_minor": 0,
        "fee_minor": 0,
    }
    for line in parsed.lines:
        side = _side(line, parsed.kind)
        if side:
            sums[f"{side}_count"] += 1
            sums[f"{side}_minor"] += line.amount.minor
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
            detail = f"the bill says {theirs}, its rows make {rows}"
            raise _refusal(StatementUnreadable("totals", detail))
    return sums


def _record(line: StatementLine) -> tuple[object, ...]:
    raw = json.dumps(dict(line.raw), ensure_ascii=False)
    texts = (line.order_no, line.refund_no, line.platform_trade_no, line.platform_refund_no)
    # PostgreSQL takes no NUL in a text; in JSON it stands as an escape.
    if "\\u0000" in raw or any("\0" in text for text in texts):
        error = StatementUnreadable("bad_row", "a character that no bill has", line=line.row)
        raise _refusal(error)
    return (
        line.row,
        line.kind.value,
        *(text[:64] for text in texts),
        line.amount.minor,
        line.fee.minor if line.fee_known else None,
        line.amount.currency,
        line.occurred_at,
        line.status[:24],
        line.product[:24],
        raw,
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


def _columns(account: PlatformAccount, *, asked: bool) -> Mapping[str, str] | None:
    """The columns of a file that no connector describes: of one the portal wrote, or of a console export."""
    if not is_asked(account.platform):
        return None
    if asked:
        return tables.DEFAULT_COLUMNS
    chosen = columns_of(account.pk)
    return dict(chosen.mapping) if chosen else None


def _read(
    account: PlatformAccount, content: bytes, *, day: date, kind: StatementKind, asked: bool
) -> ParsedStatement:
    columns = _columns(account, asked=asked)
    if columns is None or kind is not StatementKind.TRADE:
        return gateway_of(account).parse_statement(content, business_date=day, kind=kind)
    return tables.parse(
        content,
        columns=columns,
        merchant_no="",
        business_date=day,
        period=bill_period(account.platform, day),
    )


def _parse(
    account: PlatformAccount, content: bytes, *, day: date, kind: StatementKind, asked: bool
) -> ParsedStatement:
    if len(content) > MAX_BYTES:
        detail = f"more than {MAX_BYTES // 1024 // 1024} MB"
        raise _refusal(StatementUnreadable("too_large", detail))
    try:
        parsed = _read(account, content, day=day, kind=kind, asked=asked)
    except StatementUnreadable as error:
        raise _refusal(error) from error
    except NotSupported as error:
        message = wording.unreadable_words(account.platform, wording.NO_SUCH_KIND)
        raise StatementRefused(wording.NO_SUCH_KIND, message, detail=str(error)) from error
    if parsed.merchant_no and parsed.merchant_no != account.merchant_no:
        raise _refusal(StatementUnreadable("other_account", parsed.merchant_no))
    return parsed


@transaction.atomic
def expect_day(*, account_id: int, kind: StatementKind, day: date) -> StatementDay:
    """The row that follows one account's bill of one day, made if it is missing."""
    row, _made = StatementDay.objects.get_or_create(
        account_id=account_id, kind=kind.value, day=day, merchant_id=current_merchant_id()
    )
    return row


def refuse_unfinished(*, day: date, now: datetime) -> None:
    """Raise StatementRefused for today and later days, whose bills cannot be complete."""
    if day >= clock.business_date(now):
        message = _("The bill of %(day)s is not complete before the day is over.") % {"day": day}
        raise StatementRefused("other_day", message, detail="the day is not over")


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
    asked: bool = False,
) -> Statement:
    """Store a bill and its rows. The same file again changes nothing; a changed one becomes the new current version.

    ``asked``: the portal wrote it by asking about each payment, see ``Statement.is_asked``; it never takes the place of a
    file of the platform itself. A statement whose ``imported_at`` is not ``now`` was there before. Raises StatementRefused;
    then nothing was stored.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    refuse_unfinished(day=day, now=now)
    digest = hashlib.sha256(content).hexdigest()
    same = current_statement(account_id=account_id, kind=kind.value, day=day)
    if same is not None and same.sha256 == digest:
        return same
    parsed = _parse(account, content, day=day, kind=kind, asked=asked)
    sums = _check_totals(parsed)
    with transaction.atomic():
        expect_day(account_id=account_id, kind=kind, day=day)
        expected = StatementDay.objects.select_for_update().get(
            account_id=account_id, kind=kind.value, day=day
        )
        versions = Statement.objects.filter(account_id=account_id, kind=kind.value, day=day)
        last = versions.order_by("-version").values_list("version", "sha256", "is_current").first()
        if last and last[2] and last[1] == digest:
            return versions.defer("content_sealed").get(version=last[0])
        # Under the day's lock: a file uploaded at this very moment stays as well.
        theirs = versions.filter(is_current=True, is_asked=False).defer("content_sealed").first()
        if asked and theirs is not None:
            return theirs
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
            is_asked=asked,
            fees_known=all(line.fee_known for line in parsed.lines),
            unknown_columns=list(parsed.unknown_columns),
            **sums,
        )
        _store_lines(statement, parsed.lines)
        expected.state = FetchState.IMPORTED
        expected.last_tried_at = now
        expected.detail = ""
        expected.questions = expected.answered = 0
        expected.save(update_fields=["state", "last_tried_at", "detail", "questions", "answered"])
        forget_answers(expected)
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
                "asked": asked,
            },
        )
        if kind is StatementKind.TRADE:
            ask_to_reconcile(expected, now=now)
        for task in FETCHING:
            outbox.forget(task=task, merchant_id=expected.merchant_id, subject_id=expected.pk)
    return statement


def forget_answers(expected: StatementDay) -> None:
    """What a sweep of the day was answered is no longer needed."""
    SweptAnswer.objects.filter(day=expected).delete()


def ask_to_reconcile(expected: StatementDay, *, now: datetime) -> None:
    """Have the day matched as soon as this transaction commits."""
    outbox.enqueue(
        task="reconciliation.run",
        merchant_id=expected.merchant_id,
        subject_id=expected.pk,
        due_at=now,
    )


def read_file(*, statement_id: int, actor: Actor, now: datetime) -> tuple[Statement, bytes]:
    """The bill file byte for byte as received; the reading is audited.

    Raises Statement.DoesNotExist, FileGone, encryption.CannotOpen.
    """
    statement = Statement.objects.select_related("account").get(pk=statement_id)
    if statement.content_sealed is None:
        raise FileGone(statement_id)
    content = unseal(
        bytes(statement.content_sealed), merchant_id=statement.merchant_id, purpose="statement"
    )
    audit.record(
        action="statement.downloaded",
        subject_kind="statement",
        subject_id=statement.pk,
        actor=actor,
        at=now,
        data={
            "account": statement.account.label,
            "kind": statement.kind,
            "day": statement.day.isoformat(),
            "version": statement.version,
            "sha256": statement.sha256,
        },
    )
    return statement, content
