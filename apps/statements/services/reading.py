"""Opening a bill by the words of its platform or of its column map, and what is said when that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import IO

from django.conf import settings
from django.utils.translation import gettext as _

from apps.core import clock
from apps.platforms import messages, tables
from apps.platforms.gateway import BillReader, NotSupported, StatementKind, StatementUnreadable
from apps.platforms.models import PlatformAccount
from apps.platforms.services import gateway_of
from apps.statements import wording
from apps.statements.selectors import bill_period, columns_of, is_asked


def max_bytes() -> int:
    """The largest bill taken, in bytes as received: STATEMENT_MAX_BYTES."""
    return int(settings.STATEMENT_MAX_BYTES)


def too_large_sentence() -> str:
    """Why a file is not read at all."""
    return _("The file is larger than %(limit)d MB. No day's bill is that large.") % {
        "limit": max_bytes() // 1024 // 1024
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


def refusal(error: StatementUnreadable) -> StatementRefused:
    """What is wrong with a file, in words."""
    return StatementRefused(
        error.reason,
        str(messages.explain_statement(error)),
        line=error.line,
        column=error.column,
        detail=error.detail,
    )


def refuse_unfinished(*, day: date, now: datetime) -> None:
    """Raise StatementRefused for today and later days, whose bills cannot be complete."""
    if day >= clock.business_date(now):
        message = _("The bill of %(day)s is not complete before the day is over.") % {"day": day}
        raise StatementRefused("other_day", message, detail="the day is not over")


def refuse_large(size: int) -> None:
    """Raise StatementRefused for more bytes than are taken."""
    if size > max_bytes():
        raise StatementRefused("too_large", too_large_sentence(), detail=f"{size} bytes")


def open_bill(
    account: PlatformAccount, content: IO[bytes], *, day: date, kind: StatementKind, asked: bool
) -> BillReader:
    """Start reading a bill. Raises StatementRefused, StatementUnreadable."""
    try:
        bill = _open(account, content, day=day, kind=kind, asked=asked)
    except NotSupported as error:
        message = wording.unreadable_words(account.platform, wording.NO_SUCH_KIND)
        raise StatementRefused(wording.NO_SUCH_KIND, message, detail=str(error)) from error
    if bill.merchant_no and bill.merchant_no != account.merchant_no:
        raise StatementUnreadable("other_account", bill.merchant_no)
    return bill


def _open(
    account: PlatformAccount, content: IO[bytes], *, day: date, kind: StatementKind, asked: bool
) -> BillReader:
    columns = _columns(account, asked=asked)
    if columns is None or kind is not StatementKind.TRADE:
        return gateway_of(account).open_statement(content, business_date=day, kind=kind)
    return tables.Reader(
        content,
        columns=columns,
        merchant_no="",
        business_date=day,
        period=bill_period(account.platform, day),
    )


def _columns(account: PlatformAccount, *, asked: bool) -> Mapping[str, str] | None:
    """The columns of a file that no connector describes: of one the portal wrote, or of a console export."""
    if not is_asked(account.platform):
        return None
    if asked:
        return tables.DEFAULT_COLUMNS
    chosen = columns_of(account.pk)
    return dict(chosen.mapping) if chosen else None
