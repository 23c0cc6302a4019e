"""Alipay bills, with the traps of real files."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import Money
from apps.platforms.connectors.alipay import statement
from apps.platforms.gateway import (
    LineKind,
    ParsedStatement,
    StatementKind,
    StatementTotals,
    StatementUnreadable,
)
from apps.platforms.tests import bills

DAY = date(2026, 5, 1)
TRADE, FUND = StatementKind.TRADE, StatementKind.FUND


def parse(
    content: bytes | str,
    *,
    kind: StatementKind = TRADE,
    day: date = DAY,
    merchant_no: str = "2088123456789012",
) -> ParsedStatement:
    raw = content.encode("gb18030") if isinstance(content, str) else content
    return statement.parse(raw, merchant_no=merchant_no, business_date=day, kind=kind)


def refused(content: bytes | str, **arguments: object) -> StatementUnreadable:
    with pytest.raises(StatementUnreadable) as caught:
        parse(content, **arguments)  # type: ignore[arg-type]
    return caught.value


class TestTrade:
    def test_every_field(self) -> None:
        bill = parse(bills.alipay_zip("业务明细", bills.ALIPAY_TRADE))
        payment, other, refund = bill.lines
        assert (payment.kind, payment.row) == (LineKind.PAYMENT, 6)
        assert payment.order_no == "P20260501093000001"
        assert payment.platform_trade_no == "2026050122001412345678900001"
        assert payment.occurred_at == datetime(2026, 5, 1, 1, 30, 9, tzinfo=UTC)
        assert (payment.amount, payment.fee) == (Money(2500), Money(15))
        assert (other.amount, other.raw["商品名称"]) == (Money(10000), "礼盒,大")
        assert (refund.kind, refund.refund_no) == (LineKind.REFUND, "R20260501140500001")
        assert (refund.amount, refund.fee) == (Money(1000), Money(-6))
        assert refund.occurred_at == datetime(2026, 5, 1, 6, 5, 31, tzinfo=UTC)
        assert bill.totals == StatementTotals(payment_count=2, refund_count=1)
        assert bill.unknown_columns == ()

    @pytest.mark.parametrize(
        "content",
        [
            bills.alipay_zip("业务明细", bills.ALIPAY_TRADE, detail_first=True),
            bills.ALIPAY_TRADE,
            bills.ALIPAY_TRADE.encode("utf-8-sig"),
            bills.ALIPAY_TRADE.encode(),
            gzip.compress(bills.ALIPAY_TRADE.encode("gbk")),
            bills.ALIPAY_TRADE.replace("\r\n", "\n"),
            bills.ALIPAY_TRADE.replace("（", "(").replace("）", ")"),
            bills.ALIPAY_TRADE.replace("-10.00", "10.00"),
            bills.ALIPAY_TRADE.replace("\r\n", ",,,,,\r\n"),
            bills.ALIPAY_TRADE.replace("#", ""),
            bills.ALIPAY_TRADE.replace(",25.00,", ",25.00\t,"),
        ],
    )
    def test_however_written(self, content: bytes | str) -> None:
        bill = parse(content)
        assert [(line.kind.value, line.amount.minor, line.fee.minor) for line in bill.lines] == [
            ("payment", 2500, 15),
            ("payment", 10000, 59),
            ("refund", 1000, -6),
        ]

    def test_an_empty_day(self) -> None:
        empty = bills.alipay_frame("业务明细", bills.ALIPAY_HEADINGS, [], [])
        assert list(parse(empty).lines) == []

    def test_new_columns_are_kept(self) -> None:
        text = bills.ALIPAY_TRADE.replace("（元）,备注", "（元）,业务订单号,备注").replace(
            ",0.00,\r\n", ",0.00,B1,\r\n"
        )
        bill = parse(text)
        assert bill.unknown_columns == ("业务订单号",)
        assert bill.lines[0].raw["业务订单号"] == "B1"

    @pytest.mark.parametrize(
        ("old", "new", "reason", "line"),
        [
            ("[20881234567890120156]", "[20889999999999990156]", "other_account", 2),
            ("起始日期：[2026年05月01日", "起始日期：[2026年04月01日", "other_day", 3),
            ("终止日期：[2026年05月02日", "终止日期：[2026年05月03日", "other_day", 3),
            ("2026-05-01 10:15:52", "2026-05-02 10:15:52", "other_day", 7),
            ("2026-05-01 10:15:52", "soon", "bad_row", 7),
            ("100.00,98.00", "100.001,98.00", "bad_row", 7),
            ("100.00,98.00", ",98.00", "bad_row", 7),
            ("100.00,98.00", "100.00,98.01", "totals", None),
            ("#交易合计：2笔", "#交易合计：3笔", "totals", None),
            (bills.ALIPAY_ROWS[1] + "\r\n", "", "totals", None),
            ("业务明细查询", "业务明细汇总查询", "other_format", 1),
            (",服务费（元）", ",x", "other_format", 5),
        ],
    )
    def test_refusals_say_where(self, old: str, new: str, reason: str, line: int | None) -> None:
        assert old in bills.ALIPAY_TRADE
        error = refused(bills.ALIPAY_TRADE.replace(old, new))
        assert (error.reason, error.line) == (reason, line)

    def test_truncated(self) -> None:
        text = bills.ALIPAY_TRADE
        assert refused(text[: text.index("列表结束") - 60]).reason == "truncated"
        assert refused(bills.alipay_zip("业务明细", text)[:-40]).reason == "truncated"

    def test_other_files(self) -> None:
        assert refused(bills.ALIPAY_FUND).reason == "other_format"
        assert refused(bills.ALIPAY_TRADE, kind=FUND).reason == "other_format"
        assert refused(bills.wechat_trade()).reason == "other_format"
        newer = (
            "序号,入账时间,支付宝交易号,支付宝流水号,商户订单号,账务类型,收入(+元)\n1,2,3,4,5,6,7\n"
        )
        assert refused(newer).reason == "other_format"
        assert refused(b"").reason == "other_format"

    def test_the_private_bill(self) -> None:
        text = (
            "支付宝交易记录明细查询\r\n账号:[x@example.com]\r\n"
            "交易号,商家订单号,交易创建时间,付款时间,最近修改时间,交易来源地,类型,交易对方,商品名称,金额（元）,收/支\r\n"
        )
        assert refused(text).reason == "personal_bill"


class TestFund:
    def test_every_kind(self) -> None:
        bill = parse(bills.alipay_zip("账务明细", bills.ALIPAY_FUND), kind=FUND)
        assert [(line.kind.value, line.amount.minor, line.status) for line in bill.lines] == [
            ("payment", 2500, "in"),
            ("fee", 15, "out"),
            ("refund", 1000, "out"),
        ]
        assert bill.totals == StatementTotals(
            payment_count=1,
            payment_amount=Money(2500),
            refund_count=2,
            refund_amount=Money(1015),
        )

    def test_expenses_without_sign(self) -> None:
        bill = parse(bills.ALIPAY_FUND.replace(",-0.15,", ",0.15,"), kind=FUND)
        assert bill.lines[1].amount == Money(15)

    def test_income_and_expense_in_one_row(self) -> None:
        error = refused(bills.ALIPAY_FUND.replace("25.00,0.00", "25.00,1.00"), kind=FUND)
        assert (error.reason, error.line) == ("bad_row", 6)


@given(content=st.binary(max_size=400))
def test_no_bytes_do_anything_but_be_refused(content: bytes) -> None:
    for head in (b"", b"\x1f\x8b", b"PK\x03\x04", bills.ALIPAY_HEADINGS.encode("gbk") + b"\n"):
        with pytest.raises(StatementUnreadable):
            parse(head + content)


@given(st.integers(1, len(bills.ALIPAY_TRADE.encode("gb18030")) - 300))
def test_a_file_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(StatementUnreadable):
        parse(bills.ALIPAY_TRADE.encode("gb18030")[:length])
