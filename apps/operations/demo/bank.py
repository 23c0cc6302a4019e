"""The demo shop's bank: what the platforms have paid out, with a weekend in one line and one payout that did not come."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from apps.accounts.models import User
from apps.core import clock
from apps.core.clock import CHINA
from apps.core.money import Money
from apps.ledger.models import AdjustmentReason, Purpose
from apps.ledger.services import Line, post_adjustment
from apps.merchants.models import Role
from apps.operations.demo.cast import Cast
from apps.operations.demo.history import SYSTEM
from apps.platforms.gateway import Platform
from apps.statements.models import Settlement, SettlementBasis
from apps.statements.selectors.money import where_is_money
from apps.statements.selectors.terms import USUAL
from apps.statements.services import (
    add_bank_account,
    run_reserve,
    set_bank_columns,
    set_reserve_terms,
    set_terms,
    take_bank_file,
)

NAME: Final = "招商银行 尾号 6688"
COLUMNS: Final = {
    "day": "交易日期",
    "amount": "交易金额",
    "counterparty": "对方户名",
    "memo": "摘要",
    "reference": "交易流水号",
    "balance": "账户余额",
}
PAYERS: Final = {
    Platform.WECHATPAY: "财付通支付科技有限公司",
    Platform.ALIPAY: "支付宝（中国）网络技术有限公司",
    Platform.UNIONPAY: "银联商务支付股份有限公司",
    Platform.SHOUQIANBA: "拉卡拉支付股份有限公司",
}
#: What else goes through the account: days back, fen, with whom, what for.
OTHERS: Final = (
    (7, -1_280_000, "西湖区茶叶批发市场", "货款"),
    (5, -650_000, "杭州物业管理有限公司", "房租"),
    (4, 200_000, "林晚晴", "往来款"),
    (2, -38_650, "国网杭州供电公司", "电费"),
)
_OPENING: Final = 8_000_000

Row = tuple[date, int, str, str]


def show_bank(cast: Cast, *, days: int, now: datetime) -> None:
    """Terms for each account from ``days`` days ago on, money before that as arrived, and a bank statement until yesterday."""
    today = clock.business_date(now)
    since = today - timedelta(days=days)
    for account in cast.accounts:
        usual = USUAL[Platform(account.platform)]
        set_terms(
            account_id=account.pk,
            basis=SettlementBasis.BILL,
            cycle_days=1,
            working_days=usual.working_days,
            cutoff=None,
            minimum_minor=0,
            fees_deducted=True,
            bank_words=usual.words,
            window_days=5,
            since=since,
            member=None,
            actor=SYSTEM,
            now=now,
        )
    _book_earlier(since, now=now)
    member = cast.users[Role.FINANCE.value]
    bank = add_bank_account(name=NAME, actor=SYSTEM, now=now)
    set_bank_columns(bank_account_id=bank.pk, mapping=COLUMNS, member=member, actor=SYSTEM, now=now)
    take_bank_file(
        bank_account_id=bank.pk,
        filename=f"招商银行流水-{today:%Y%m%d}.csv",
        content=statement(_rows(today)),
        member=member,
        actor=SYSTEM,
        now=now,
    )
    _keep_back(cast.accounts[0].pk, member, today)


def _keep_back(account_id: int, member: User, today: date) -> None:
    """Two percent of one account's takings for refunds, since eight days ago."""
    first = today - timedelta(days=8)
    set_reserve_terms(
        account_id=account_id,
        share_bp=200,
        ceiling_minor=500_000,
        days=30,
        effective_from=first,
        expected=0,
        member=member,
        actor=SYSTEM,
        now=datetime.combine(first, time(9), tzinfo=CHINA),
    )
    for ahead in range(8):
        after = first + timedelta(days=ahead + 1)
        run_reserve(account_id=account_id, now=datetime.combine(after, time(6), tzinfo=CHINA))


def _book_earlier(since: date, *, now: datetime) -> None:
    """The shop was paid for the days before."""
    at = datetime.combine(since - timedelta(days=1), time(12), tzinfo=CHINA)
    for one in where_is_money(today=since).accounts:
        if not one.earlier:
            continue
        post_adjustment(
            reason=AdjustmentReason.BANK,
            memo=f"{since:%Y-%m-%d} 之前的货款已到账",
            lines=[
                Line(purpose=Purpose.BANK, amount=Money(one.earlier)),
                Line(
                    purpose=Purpose.RECEIVABLE,
                    amount=Money(-one.earlier),
                    subject_id=one.account.pk,
                ),
            ],
            at=at,
            member=None,
            actor=SYSTEM,
            now=now,
            confirm=False,
        )


def _rows(today: date) -> list[Row]:
    """Payouts that were due before today: those of one platform and day in one line, but for one that did not come."""
    together: dict[tuple[date, str], int] = defaultdict(int)
    due = Settlement.objects.filter(is_void=False, due_date__lt=today).select_related("account")
    for row in due.order_by("day", "pk"):
        together[row.due_date, row.account.platform] += row.net_minor
    missing = max((key for key in together if key[1] == Platform.UNIONPAY.value), default=None)
    rows = [
        (day, minor, PAYERS[Platform(platform)], "商户结算款")
        for (day, platform), minor in together.items()
        if minor > 0 and (day, platform) != missing
    ]
    rows += [(today - timedelta(days=back), *what) for back, *what in OTHERS]  # type: ignore[misc]  # the shape of OTHERS
    rows.append((today - timedelta(days=1), 312, "招商银行", "结息"))
    return sorted(rows)


def statement(rows: Sequence[Row]) -> bytes:
    """A statement as the bank gives it: GBK, a title above the headings."""
    buffer = io.StringIO(newline="")
    buffer.write("招商银行企业账户交易明细\r\n")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS.values())
    balance = _OPENING
    for number, (day, minor, counterparty, memo) in enumerate(rows, 1):
        balance += minor
        writer.writerow(
            [
                f"{day:%Y-%m-%d}",
                Money(minor).to_yuan(),
                counterparty,
                memo,
                f"{day:%Y%m%d}{number:08d}",
                Money(balance).to_yuan(),
            ]
        )
    return buffer.getvalue().encode("gb18030")
