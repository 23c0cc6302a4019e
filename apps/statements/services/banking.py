"""The merchant's bank accounts, their column maps, and their uploaded statements: each movement is stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.platforms.gateway import StatementUnreadable
from apps.platforms.tables import Sample
from apps.statements import bank_tables
from apps.statements.bank_tables import BankRow
from apps.statements.bank_wording import mapping_words, unreadable_words
from apps.statements.models import BankAccount, BankFile
from apps.statements.services.columns import ColumnsRefused
from apps.statements.services.settling import ask_to_match

#: The largest bank statement taken, in bytes as received.
MOST_BYTES: Final = 16 * 1024 * 1024
_COLUMNS: Final = (
    "row",
    "day",
    "amount_minor",
    "balance_minor",
    "counterparty",
    "memo",
    "reference",
    "digest",
)


class BankAccountTaken(ValueError):
    """Another bank account of the merchant has this name."""


class BankFileRefused(Exception):
    """The statement was not imported, and nothing of it was stored. ``message`` is a sentence in the reader's language."""

    def __init__(
        self, reason: str, message: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class BankImport:
    """What an upload brought: its rows, and how many of them were not there before. ``file`` is None where none was new."""

    rows: int
    new: int
    file: BankFile | None


def too_large_words() -> str:
    """Why a statement is not read at all."""
    return _("The file is larger than %(limit)d MB. Export a shorter period.") % {
        "limit": MOST_BYTES // 1024 // 1024
    }


def add_bank_account(*, name: str, actor: Actor, now: datetime) -> BankAccount:
    """A bank account whose statements are to be uploaded. Raises BankAccountTaken."""
    try:
        with transaction.atomic():
            made: BankAccount = BankAccount.objects.create(name=name, created_at=now)
            audit.record(
                action="bank_account.added",
                subject_kind="bank_account",
                subject_id=made.pk,
                actor=actor,
                at=now,
                data={"name": name},
            )
    except IntegrityError as error:
        raise BankAccountTaken(name) from error
    return made


def try_bank_columns(*, sample: Sample, mapping: Mapping[str, str]) -> list[BankRow]:
    """The first rows of a statement as these columns read them. Raises ColumnsRefused with the line and column at fault."""
    _check(mapping)
    try:
        return bank_tables.read_rows(sample, mapping)
    except StatementUnreadable as error:
        field = next((field for field, name in mapping.items() if name == error.column), "")
        raise ColumnsRefused(field, unreadable_words(error)) from error


def _check(mapping: Mapping[str, str]) -> None:
    trouble = bank_tables.problem(mapping)
    if trouble is not None:
        field, why = trouble
        raise ColumnsRefused(field, mapping_words(why))


@transaction.atomic
def set_bank_columns(
    *, bank_account_id: int, mapping: Mapping[str, str], member: User, actor: Actor, now: datetime
) -> BankAccount:
    """Read the account's statements by these columns from now on. Raises ColumnsRefused, BankAccount.DoesNotExist."""
    _check(mapping)
    account: BankAccount = BankAccount.objects.get(pk=bank_account_id)
    account.mapping = {field: mapping[field] for field in bank_tables.FIELDS if mapping.get(field)}
    account.mapped_at, account.mapped_by = now, member
    account.save(update_fields=["mapping", "mapped_at", "mapped_by"])
    audit.record(
        action="bank_columns.changed",
        subject_kind="bank_account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={"name": account.name, "columns": account.mapping},
    )
    return account


def _parse(account: BankAccount, content: bytes) -> list[BankRow]:
    if len(content) > MOST_BYTES:
        raise BankFileRefused("too_large", too_large_words())
    if not account.mapping:
        words = _("Say first which columns of this bank's statements hold what.")
        raise BankFileRefused("no_columns", words)
    try:
        rows = bank_tables.parse(content, account.mapping)
    except StatementUnreadable as error:
        raise BankFileRefused(
            error.reason, unreadable_words(error), line=error.line, column=error.column
        ) from error
    if not rows:
        raise BankFileRefused("no_rows", _("The file has headings but no movement under them."))
    return rows


def import_bank_file(
    *,
    bank_account_id: int,
    filename: str,
    content: bytes,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> BankImport:
    """Store the movements of a bank statement that are not there yet; overlapping periods change nothing.

    What is new is matched with the settlements by a due, should whoever asks not do it at once (``take_bank_file``).

    Raises BankFileRefused (nothing is stored then), BankAccount.DoesNotExist.
    """
    account: BankAccount = BankAccount.objects.get(pk=bank_account_id)
    rows = _parse(account, content)
    with transaction.atomic():
        # One statement at a time an account, so that what counts as new is true.
        BankAccount.objects.select_for_update(no_key=True).get(pk=bank_account_id)
        new = _stage(account, rows)
        file: BankFile | None = None
        if new:
            file = BankFile.objects.create(
                bank_account=account,
                filename=filename[:160],
                sha256=hashlib.sha256(content).hexdigest(),
                byte_count=len(content),
                first_day=min(row.day for row in rows),
                last_day=max(row.day for row in rows),
                row_count=len(rows),
                new_count=new,
                uploaded_by=member,
                uploaded_at=now,
            )
            _store(account, file)
            ask_to_match(now=now)
            audit.record(
                action="bank_statement.imported",
                subject_kind="bank_account",
                subject_id=account.pk,
                actor=actor,
                at=now,
                data={
                    "name": account.name,
                    "file": file.filename,
                    "sha256": file.sha256,
                    "rows": len(rows),
                    "new": new,
                },
            )
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE staged_bankline")
    return BankImport(len(rows), new, file)


def _stage(account: BankAccount, rows: Sequence[BankRow]) -> int:
    """COPY into a temporary table, and take out what is there already; how many rows are left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE staged_bankline (row int, day date, amount_minor bigint, balance_minor bigint,"
            " counterparty text, memo text, reference text, digest text) ON COMMIT DROP"
        )
        with cursor.copy(f"COPY staged_bankline ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([getattr(row, column) for column in _COLUMNS])
        cursor.execute(
            "DELETE FROM staged_bankline s USING statements_bankline l"
            " WHERE l.merchant_id = %s AND l.bank_account_id = %s AND l.digest = s.digest",
            [account.merchant_id, account.pk],
        )
        return len(rows) - int(cursor.rowcount)


def _store(account: BankAccount, file: BankFile) -> None:
    columns = ", ".join(_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO statements_bankline (merchant_id, bank_account_id, file_id, {columns})"  # noqa: S608  # our own names
            f" SELECT %s, %s, %s, {columns} FROM staged_bankline ORDER BY day, row",
            [account.merchant_id, account.pk, file.pk],
        )
