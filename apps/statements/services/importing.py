"""Turning bills into rows: all or nothing, each file kept as received."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime
from typing import IO

import psycopg
from django.db import DataError, connection, transaction

from apps.accounts.models import User
from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.platforms import files
from apps.platforms.gateway import BillReader, StatementKind, StatementUnreadable
from apps.platforms.models import PlatformAccount
from apps.statements.models import BillFile, FetchState, Statement, StatementDay, SweptAnswer
from apps.statements.selectors import FETCHING, current_statement
from apps.statements.services import staging
from apps.statements.services.comparing import compare
from apps.statements.services.keeping import keep_file, measure
from apps.statements.services.reading import (
    StatementRefused,
    max_bytes,
    open_bill,
    refusal,
    refuse_large,
    refuse_unfinished,
)
from apps.statements.services.settling import ask_to_settle
from apps.statements.services.staging import Sums, Watch


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
    content: bytes | IO[bytes],
    uploaded_by: User | None,
    actor: Actor,
    now: datetime,
    asked: bool = False,
    kept: BillFile | None = None,
    watch: Watch | None = None,
    ending: Callable[[Statement], None] | None = None,
) -> Statement:
    """Store a bill and its rows. The same file again changes nothing; a changed one becomes the new current version.

    ``content``: bytes, or a file that can be read again from its beginning; memory does not grow with it. ``kept``: it is
    stored already as this file. ``asked``: the portal wrote it by asking about each payment, see ``Statement.is_asked``; it
    never takes the place of a file of the platform itself. ``watch`` is told how many rows are read; what it raises ends
    the import; ``ending`` is called at the very end of the transaction that stores, as is what it raises. A statement whose ``imported_at`` is not ``now`` was there before. Raises StatementRefused; then nothing was
    stored. Not inside a transaction where the file is large: its rows are staged before the one that stores them.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    refuse_unfinished(day=day, now=now)
    source = files.as_stream(content)
    digest, size = measure(source, limit=max_bytes())
    refuse_large(size)
    same = current_statement(account_id=account_id, kind=kind.value, day=day)
    if same is not None and same.sha256 == digest:
        return same
    with ExitStack() as stack:
        try:
            bill = open_bill(account, source, day=day, kind=kind, asked=asked)
            sums = stack.enter_context(staging.staged(bill, watch=watch))
        except StatementUnreadable as error:
            raise refusal(error) from error
        except (DataError, psycopg.DataError) as error:
            # Something that PostgreSQL does not take: a reader should have said so.
            raise refusal(StatementUnreadable("bad_row", str(error))) from error
        with transaction.atomic():
            statement, is_new = _store(
                account=account,
                bill=bill,
                sums=sums,
                source=source,
                kept=kept,
                facts={
                    "filename": filename[:160],
                    "sha256": digest,
                    "byte_count": size,
                    "uploaded_by": uploaded_by,
                    "is_asked": asked,
                },
                actor=actor,
                now=now,
            )
            if is_new and ending is not None:
                # What is deferred to the commit takes its time as well, and may fail.
                _check_constraints()
                ending(statement)
        return statement


def _check_constraints() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _store(
    *,
    account: PlatformAccount,
    bill: BillReader,
    sums: Sums,
    source: IO[bytes],
    kept: BillFile | None,
    facts: dict[str, object],
    actor: Actor,
    now: datetime,
) -> tuple[Statement, bool]:
    """The statement, and whether it is new. Inside the caller's transaction."""
    kind, day = bill.kind, bill.business_date
    expect_day(account_id=account.pk, kind=kind, day=day)
    expected = StatementDay.objects.select_for_update().get(
        account_id=account.pk, kind=kind.value, day=day
    )
    versions = Statement.objects.filter(account_id=account.pk, kind=kind.value, day=day)
    before = versions.order_by("-version").first()
    if before is not None and before.is_current and before.sha256 == facts["sha256"]:
        return before, False
    # Under the day's lock: a file uploaded at this very moment stays as well.
    theirs = versions.filter(is_current=True, is_asked=False).first()
    if facts["is_asked"] and theirs is not None:
        return theirs, False
    versions.filter(is_current=True).update(is_current=False)
    statement = Statement.objects.create(
        account_id=account.pk,
        kind=kind.value,
        day=day,
        version=before.version + 1 if before else 1,
        file=kept or _keep(source, facts, now=now),
        imported_at=now,
        payment_count=sums.payment_count,
        payment_minor=sums.payment_minor,
        refund_count=sums.refund_count,
        refund_minor=sums.refund_minor,
        fee_minor=sums.fee_minor,
        fees_known=sums.fees_known,
        unknown_columns=list(bill.unknown_columns),
        **facts,
    )
    staging.store(statement)
    if before is not None:
        compare(statement, before=before)
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
            "sha256": statement.sha256,
            "rows": sums.rows,
            "asked": statement.is_asked,
        },
    )
    if kind is StatementKind.TRADE:
        ask_to_reconcile(expected, now=now)
    ask_to_settle(expected, now=now)
    for task in FETCHING:
        outbox.forget(task=task, merchant_id=expected.merchant_id, subject_id=expected.pk)
    return statement, True


def _keep(source: IO[bytes], facts: dict[str, object], *, now: datetime) -> BillFile:
    return keep_file(
        source,
        filename=str(facts["filename"]),
        sha256=str(facts["sha256"]),
        byte_count=int(str(facts["byte_count"])),
        now=now,
    )


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


__all__ = [
    "StatementRefused",
    "ask_to_reconcile",
    "expect_day",
    "forget_answers",
    "import_statement",
]
