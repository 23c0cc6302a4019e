"""Settlements and bank statements for tests: a bill of a day's payments, and what the bank shows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from apps.core.audit import Actor
from apps.core.clock import CHINA
from apps.core.money import Money
from apps.core.tasks import drain
from apps.merchants.tests.factories import NOW, Shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_paid
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.statements import services
from apps.statements.models import BankAccount, Settlement
from apps.statements.tests.bills import Row, row_of, wechat_gzip

ACTOR = Actor("t")
#: A Thursday, and the days that its money passes.
DAY = date(2026, 11, 19)
MAPPING = {
    "day": "交易日期",
    "amount": "交易金额",
    "counterparty": "对方户名",
    "memo": "摘要",
    "balance": "余额",
    "reference": "流水号",
}


def at(day: date, hour: int = 12) -> datetime:
    """An hour of a China day."""
    return datetime.combine(day, time(hour), tzinfo=CHINA)


def bill(account: PlatformAccount, day: date, rows: Iterable[Row], *, now: datetime = NOW) -> None:
    """Import a WeChat bill of one day, and do what follows from it, matching with the books aside."""
    services.import_statement(
        account_id=account.pk,
        kind=StatementKind.TRADE,
        day=day,
        filename="b.gz",
        content=wechat_gzip(rows),
        uploaded_by=None,
        actor=ACTOR,
        now=now,
    )
    drain(now=now, task="statements.settle")


def settled_day(shop: Shop, account: PlatformAccount, day: date, *minors: int) -> Settlement:
    """Payments of a day, its bill, and the settlement that comes of it."""
    paid = [make_paid(shop, account, minor=minor, now=at(day)) for minor in minors]
    bill(account, day, [row_of(payment) for payment in paid])
    found: Settlement = Settlement.objects.get(account=account, day=day, key="", is_void=False)
    return found


def rows_of(payments: Iterable[Payment]) -> list[Row]:
    """Their rows in the bill."""
    return [row_of(payment) for payment in payments]


def make_bank(name: str = "招商银行 1234") -> BankAccount:
    """A bank account whose columns are known."""
    account = services.add_bank_account(name=name, actor=ACTOR, now=NOW)
    account.mapping = MAPPING
    account.save(update_fields=["mapping"])
    return account


def bank_csv(*rows: tuple[date, int, str, str], memo: str = "结算款") -> bytes:
    """A statement: day, fen, counterparty, reference."""
    lines = [",".join(MAPPING.values())]
    balance = 0
    for day, minor, counterparty, reference in rows:
        balance += minor
        cells = [
            day.isoformat(),
            Money(minor).to_yuan(),
            counterparty,
            memo,
            Money(balance).to_yuan(),
            reference,
        ]
        lines.append(",".join(cells))
    return ("\r\n".join(lines) + "\r\n").encode()


def upload(bank: BankAccount, content: bytes, *, now: datetime = NOW) -> services.BankImport:
    """Hand a statement in."""
    return services.import_bank_file(
        bank_account_id=bank.pk,
        filename="bank.csv",
        content=content,
        member=None,
        actor=ACTOR,
        now=now,
    )


TENPAY = "财付通支付科技有限公司"


def days_after(day: date, count: int) -> date:
    """Calendar days later."""
    return day + timedelta(days=count)
