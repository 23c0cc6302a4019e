"""WeChat Pay bills, with the traps of real files."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import Money
from apps.platforms.connectors.wechatpay import statement
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
    content: bytes, *, kind: StatementKind = TRADE, day: date = DAY, merchant_no: str = "1900000109"
) -> ParsedStatement:
    return statement.parse(content, merchant_no=merchant_no, business_date=day, kind=kind)


def refused(content: bytes, **arguments: object) -> StatementUnreadable:
    with pytest.raises(StatementUnreadable) as caught:
        parse(content, **arguments)  # type: ignore[arg-type]
    return caught.value


def without(headings: str, rows: list[str], *names: str) -> tuple[str, list[str]]:
    """The same bill without some columns, as other bill types have it."""
    kept = [i for i, name in enumerate(headings.split(",")) if name not in names]
    cut = [",`".join(row[1:].split(",`")[i] for i in kept) for row in rows]
    return ",".join(headings.split(",")[i] for i in kept), [f"`{row}" for row in cut]


class TestTrade:
    def test_every_field(self) -> None:
        bill = parse(bills.wechat_trade())
        payment, _, refund = bill.lines
        assert payment.kind is LineKind.PAYMENT
        assert payment.row == 2
        assert payment.order_no == "P20260501102100001"
        assert payment.platform_trade_no == "4200002511202605011234567801"
        assert (payment.refund_no, payment.platform_refund_no) == ("", "")
        assert payment.occurred_at == datetime(2026, 5, 1, 2, 21, 33, tzinfo=UTC)
        assert (payment.status, payment.product) == ("SUCCESS", "JSAPI")
        assert payment.raw["商品名称"] == "门店消费"
        assert bill.lines[1].raw["商品名称"] == "礼盒, 大"
        assert (refund.refund_no, refund.platform_refund_no) == (
            "R20260501154000001",
            "50300002512026050100000001",
        )
        assert refund.status == "PROCESSING"
        assert bill.totals == StatementTotals(
            payment_amount=Money(12500), refund_amount=Money(1000), fee=Money(68)
        )

    @pytest.mark.parametrize(
        "repack",
        [
            gzip.compress,
            lambda raw: raw.removeprefix(b"\xef\xbb\xbf"),
            lambda raw: raw.replace(b"\r\n", b"\n"),
            lambda raw: raw.rstrip(b"\r\n"),
            lambda raw: raw.decode("utf-8-sig").encode("gb18030"),
            lambda raw: _zip({"bill.csv": raw}),
            lambda raw: raw + b"\r\n\r\n",
        ],
    )
    def test_however_packed(self, repack: object) -> None:
        plain = parse(bills.wechat_trade())
        other = parse(repack(bills.wechat_trade()))  # type: ignore[operator]
        assert [(line.order_no, line.amount, line.fee) for line in other.lines] == [
            (line.order_no, line.amount, line.fee) for line in plain.lines
        ]
        assert other.totals == plain.totals

    def test_through_a_spreadsheet_without_backticks(self) -> None:
        raw = bills.wechat_trade(
            rows=[bills.WECHAT_ROWS[0].replace("`", "")], totals="1,25.00,0,0,0.15000,25.00,0.00"
        )
        assert parse(raw).lines[0].amount == Money(2500)

    def test_an_empty_day(self) -> None:
        raw = bills.wechat_trade(rows=[], totals="`0,`0.00,`0.00,`0.00,`0.00000,`0.00,`0.00")
        assert list(parse(raw).lines) == []

    def test_success_bills_lack_the_refund_columns(self) -> None:
        headings, rows = without(
            bills.WECHAT_HEADINGS,
            bills.WECHAT_ROWS[:2],
            *[
                "微信退款单号",
                "商户退款单号",
                "退款金额",
                "充值券退款金额",
                "退款类型",
                "退款状态",
                "申请退款金额",
            ],
        )
        raw = bills.wechat_trade(
            headings=headings, rows=rows, totals="`2,`123.00,`0,`0.00,`0.74000,`125.00,`0"
        )
        assert [line.kind for line in parse(raw).lines] == [LineKind.PAYMENT] * 2

    def test_refund_bills_are_of_the_day_of_application(self) -> None:
        headings = bills.WECHAT_HEADINGS.replace(
            "微信退款单号", "退款申请时间,退款成功时间,微信退款单号"
        )
        cells = bills.WECHAT_ROWS[2][1:].split(",`")
        cells[0] = "2026-04-03 09:00:00"
        cells[14:14] = ["2026-05-01 15:40:12", ""]
        raw = bills.wechat_trade(
            headings=headings,
            rows=["`" + ",`".join(cells)],
            totals="`1,`0,`10.00,`0.00,`-0.06000,`0,`10.00",
        )
        (line,) = parse(raw).lines
        assert line.kind is LineKind.REFUND
        assert line.occurred_at == datetime(2026, 5, 1, 7, 40, 12, tzinfo=UTC)

    def test_the_older_format(self) -> None:
        headings = (
            "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
            "总金额,代金券或立减优惠金额,微信退款单号,商户退款单号,退款金额,代金券或立减优惠退款金额,退款类型,退款状态,商品名称,"
            "商户数据包,手续费,费率"
        )
        row = (
            "`2026-05-01 10:21:33,`wx1,`1900000109,`0,`,`42,`P1,`o,`NATIVE,`SUCCESS,`CFT,`CNY,`0.01,`0.0,`0,`0,`0,`0,`,`,"
            '`茶,`{"a":"\\"b\\""},`0.00000,`0.60%'
        )
        raw = bills.wechat_trade(
            headings=headings,
            rows=[row],
            summary="总交易单数,总交易额,总退款金额,总代金券或立减优惠退款金额,手续费总金额",
            totals="`1.0,`0.01,`0.0,`0.0,`0.00000",
        )
        bill = parse(raw)
        assert bill.lines[0].amount == Money(1)
        assert bill.unknown_columns == ()
        assert bill.totals.payment_amount == Money(1)

    def test_two_refunds_of_one_order(self) -> None:
        second = bills.WECHAT_ROWS[2].replace("R20260501154000001", "R2").replace("-0.06", "0.00")
        rows = [*bills.WECHAT_ROWS, second]
        raw = bills.wechat_trade(rows=rows, totals="`4,`123.00,`20.00,`0.00,`0.68000,`125,`20.00")
        lines = parse(raw).lines
        assert [line.refund_no for line in lines[2:]] == ["R20260501154000001", "R2"]
        assert [line.fee for line in lines[2:]] == [Money(-6), Money(0)]

    def test_a_reversed_order(self) -> None:
        row = bills.WECHAT_ROWS[0].replace("SUCCESS", "REVOKED")
        raw = bills.wechat_trade(rows=[row], totals="`1,`25.00,`0,`0,`0,`25.00,`0")
        (line,) = parse(raw).lines
        assert (line.kind, line.status, line.refund_no) == (LineKind.OTHER, "REVOKED", "")

    def test_new_columns_are_kept(self) -> None:
        headings = f"门店编号,{bills.WECHAT_HEADINGS}".split(",")
        headings = [*headings[1:], headings[0]]
        rows = [f"{row},`S001" for row in bills.WECHAT_ROWS]
        bill = parse(bills.wechat_trade(headings=",".join(headings), rows=rows))
        assert bill.unknown_columns == ("门店编号",)
        assert bill.lines[0].raw["门店编号"] == "S001"

    @pytest.mark.parametrize(
        ("old", "new", "reason", "column"),
        [
            ("`1900000109,`0,`,", "`1900000110,`0,`,", "other_account", "商户号"),
            ("`2026-05-01 11:02:07", "`2026-05-02 00:00:00", "other_day", "交易时间"),
            ("`2026-05-01 11:02:07", "`soon", "bad_row", "交易时间"),
            ("`100.00,`0.00,`", "`100.005,`0.00,`", "bad_row", "订单金额"),
            ("`100.00,`0.00,`", "`1E+99,`0.00,`", "bad_row", "订单金额"),
            ("`100.00,`0.00,`", "`NaN,`0.00,`", "bad_row", "订单金额"),
            ("`0.59000", "`free", "bad_row", "手续费"),
            ("`SUCCESS,`ICBC", "`PAID,`ICBC", "bad_row", "交易状态"),
            ("`100.00,`0.00,`", "`100.00", "bad_row", None),
        ],
    )
    def test_bad_rows_say_where(self, old: str, new: str, reason: str, column: str | None) -> None:
        rows = [row.replace(old, new) if i == 1 else row for i, row in enumerate(bills.WECHAT_ROWS)]
        assert rows != bills.WECHAT_ROWS
        error = refused(bills.wechat_trade(rows=rows))
        assert (error.reason, error.line, error.column) == (reason, 3, column)

    def test_missing_rows_and_ends(self) -> None:
        raw = bills.wechat_trade()
        assert refused(bills.wechat_trade(rows=bills.WECHAT_ROWS[:2])).reason == "totals"
        assert refused(raw[: raw.index("总交易单数".encode())]).reason == "truncated"
        assert refused(raw[: raw.index(b"`3,`123")]).reason == "truncated"
        assert refused(gzip.compress(raw)[:-20]).reason == "truncated"
        assert refused(_zip({"a.csv": raw})[:-30]).reason == "truncated"

    def test_other_files(self) -> None:
        assert refused(bills.wechat_fund()).reason == "other_format"
        assert refused(bills.wechat_trade(), kind=FUND).reason == "other_format"
        assert refused(bills.ALIPAY_TRADE.encode("gbk")).reason == "other_format"
        assert refused(b"").reason == "other_format"
        assert refused(b"%PDF-1.7").reason == "other_format"
        assert refused(b'{"code":"NO_AUTH","message":"x"}').reason == "other_format"
        assert refused(_zip({"xl/workbook.xml": b"<x/>"})).reason == "other_format"
        headings, rows = without(bills.WECHAT_HEADINGS, bills.WECHAT_ROWS, "手续费")
        assert refused(bills.wechat_trade(headings=headings, rows=rows)).column == "手续费"

    def test_the_private_bills(self) -> None:
        wechat = "\n".join(
            [
                "微信支付账单明细,,,,,,,,",
                "微信昵称：[x],,,,,,,,",
                *([",,,,,,,,"] * 14),
                "交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注",
            ]
        )
        alipay = (
            "导出信息：\n姓名：x\n"
            + "-" * 30
            + (
                "\n交易时间,交易分类,交易对方,对方账号,商品说明,收/支,金额,收/付款方式,交易状态,交易订单号,商家订单号,备注,"
            )
        )
        assert refused(wechat.encode("utf-8-sig")).reason == "personal_bill"
        assert refused(alipay.encode("gb18030")).reason == "personal_bill"

    def test_bombs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("apps.platforms.files.members.__kwdefaults__", {"limit": 1 << 16})
        lines = b"\r\n".join(bills.wechat_trade().split(b"\r\n")[:1] + [b" " * 1000] * 1000)
        assert refused(gzip.compress(lines)).reason == "too_large"
        assert refused(_zip({"a.csv": lines})).reason == "too_large"
        assert refused(lines).reason == "too_large"

    def test_a_line_without_end_and_lines_without_anything(self) -> None:
        for blank in (b" " * (1 << 20), b"\t" * (1 << 20), b"," * (1 << 20)):
            error = refused(gzip.compress(blank))
            assert (error.reason, error.line) == ("line_too_long", 1)
        error = refused(gzip.compress(b"  \r\n" * 100_000))
        assert (error.reason, error.line) == ("other_format", 1001)


class TestFund:
    def test_every_kind(self) -> None:
        bill = parse(bills.wechat_fund(), kind=FUND)
        payment, fee, refund = bill.lines
        assert (payment.kind, payment.order_no) == (LineKind.PAYMENT, "P20260501102100001")
        assert (fee.kind, fee.amount, fee.status) == (LineKind.FEE, Money(15), "out")
        assert (refund.kind, refund.amount) == (LineKind.REFUND, Money(994))
        assert (refund.refund_no, refund.platform_refund_no) == (
            "R20260501154000001",
            "50300002512026050100000001",
        )
        assert bill.totals == StatementTotals(
            payment_count=1,
            payment_amount=Money(2500),
            refund_count=2,
            refund_amount=Money(1009),
        )

    @pytest.mark.parametrize(
        ("business", "kind"),
        [("提现", LineKind.PAYOUT), ("充值", LineKind.TOP_UP), ("其他", LineKind.OTHER)],
    )
    def test_what_goes_to_the_bank_and_what_is_paid_in(self, business: str, kind: LineKind) -> None:
        cells = f"`{business},`{business}".encode()
        raw = bills.wechat_fund().replace("`交易,`扣除交易手续费".encode(), cells)
        assert parse(raw, kind=FUND).lines[1].kind is kind

    def test_another_merchants_refund(self) -> None:
        error = refused(bills.wechat_fund(), kind=FUND, merchant_no="1900000110")
        assert (error.reason, error.line) == ("other_account", 4)

    def test_another_day(self) -> None:
        assert refused(bills.wechat_fund(), kind=FUND, day=date(2026, 5, 2)).reason == "other_day"


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@given(content=st.binary(max_size=400))
def test_no_bytes_do_anything_but_be_refused(content: bytes) -> None:
    for head in (b"", b"\x1f\x8b", b"PK\x03\x04", bills.WECHAT_HEADINGS.encode() + b"\n"):
        with pytest.raises(StatementUnreadable):
            parse(head + content)


@given(fen=st.integers(1, 10_000_000_000), fee=st.integers(0, 99_999))
def test_amounts_are_exact(fen: int, fee: int) -> None:
    row = bills.WECHAT_ROWS[0].replace("`25.00,`0.00,`", f"`{Money(fen)},`0.00,`")
    row = row.replace("`0.15000", f"`{Money(fee)}000")
    raw = bills.wechat_trade(rows=[row], totals=f"`1,`0,`0,`0,`{Money(fee)}000,`{Money(fen)},`0")
    bill = parse(raw)
    assert bill.lines[0].amount == Money(fen)
    assert bill.lines[0].fee == bill.totals.fee == Money(fee)
    assert bill.totals.payment_amount == Money(fen)


@given(st.integers(1, len(bills.wechat_trade()) - 3))
def test_a_file_cut_off_anywhere_is_refused_or_whole(length: int) -> None:
    whole = parse(bills.wechat_trade())
    try:
        found = parse(bills.wechat_trade()[:length])
    except StatementUnreadable:
        return
    # Only within the last total can a cut go unseen, which then does not add up.
    assert len(found.lines) == 3
    assert found.totals.fee == whole.totals.fee
