"""Tables by named columns: read whole, or refused with the place."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.clock import CHINA, business_period
from apps.core.money import Money
from apps.platforms.gateway import LineKind, ParsedStatement, StatementLine, StatementUnreadable
from apps.platforms.tables import (
    DEFAULT_COLUMNS,
    clean,
    gross_column,
    guess,
    look,
    parse,
    read_rows,
    write,
)

DAY = date(2026, 11, 23)
HEADINGS = "日期,流水,商家订单号,类型,金额,手续费,结果"
COLUMNS = {
    "at": "日期",
    "trade_no": "流水",
    "order_no": "商家订单号",
    "kind": "类型",
    "amount": "金额",
    "fee": "手续费",
    "status": "结果",
}
PAID = '2026-11-23 10:16:47,"=""7895236110164701""",P1,收款,"1,100.00",0.38,成功'
BACK = "2026/11/23 15:05:10,7895236110164701\t,P1,退款,-30.00,-0.11,成功"
FAILED = "2026-11-23 16:00:00,7895236110164709,P9,收款,5.00,,支付失败"


def table(*rows: str, headings: str = HEADINGS) -> bytes:
    return "\r\n".join([headings, *rows, ""]).encode()


def read(content: bytes, columns: dict[str, str] = COLUMNS) -> ParsedStatement:
    return parse(
        content,
        columns=columns,
        merchant_no="",
        business_date=DAY,
        period=business_period(DAY),
    )


def test_rows_are_read_by_their_columns() -> None:
    bill = read(table(PAID, BACK, FAILED))
    assert [
        (line.kind, line.row, line.order_no, line.platform_trade_no, line.amount.minor, line.fee.minor, line.fee_known)
        for line in bill.lines
    ] == [
        (LineKind.PAYMENT, 2, "P1", "7895236110164701", 110_000, 38, True),
        (LineKind.REFUND, 3, "P1", "7895236110164701", 3000, -11, True),
        (LineKind.OTHER, 4, "P9", "7895236110164709", 500, 0, False),
    ]  # fmt: skip
    assert bill.lines[0].occurred_at == datetime(2026, 11, 23, 2, 16, 47, tzinfo=UTC)
    assert bill.lines[0].raw["金额"] == "1,100.00"
    assert bill.unknown_columns == ()


def test_without_a_column_for_it_the_sign_tells_a_refund_and_fees_are_unknown() -> None:
    columns = {name: COLUMNS[name] for name in ("at", "order_no", "amount")}
    bill = read(table(PAID, BACK), columns)
    assert [line.kind for line in bill.lines] == [LineKind.PAYMENT, LineKind.REFUND]
    assert {line.fee_known for line in bill.lines} == {False}
    assert bill.unknown_columns == ("流水", "类型", "手续费", "结果")


def _zip(*members: tuple[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + table(PAID),
        table(PAID).decode().encode("gb18030"),
        table("", PAID, "合计,,,,1100.00,0.38,"),
        "龙井茶馆 交易流水\n导出时间：2026-11-24\n\n".encode() + table(PAID),
        table(PAID.replace('"=""7895236110164701"""', "'7895236110164701")),
        "\t".join(HEADINGS.split(",")).encode()
        + b"\n"
        + "2026-11-23 10:16:47\t7895236110164701\tP1\t收款\t1100\t0.38\t成功\n".encode(),
        _zip(("a.csv", table(PAID)), ("说明.pdf", b"x")),
    ],
)
def test_however_it_was_saved(content: bytes) -> None:
    [line] = read(content).lines
    assert (line.platform_trade_no, line.amount, line.fee) == (
        "7895236110164701",
        Money(110_000),
        Money(38),
    )


REFUSED: dict[str, tuple[bytes, str, int | None, str | None]] = {
    "nothing": (b"", "truncated", None, None),
    "cut off in a row": (table(PAID, BACK)[:-30], "truncated", 3, None),
    "cut off in quotes": (table(PAID)[:-35], "truncated", 2, None),
    "a short row": (table("2026-11-23 10:16:47,7895", PAID), "bad_row", 2, "日期"),
    "no amount": (table(PAID.replace("1,100.00", "viel")), "bad_row", 2, "金额"),
    "three decimals": (table(PAID.replace("1,100.00", "1.001")), "bad_row", 2, "金额"),
    "no time": (table(PAID.replace("2026-11-23 10", "gestern 10")), "bad_row", 2, "日期"),
    "a payment below zero": (table(PAID.replace("1,100.00", "-1.00")), "bad_row", 2, "金额"),
    "no number": (table("2026-11-23 10:16:47,,,收款,1.00,,成功"), "bad_row", 2, "商家订单号"),
    "a number from a spreadsheet": (table(BACK.replace("P1", "4.2E+27")), "rewritten", 2, "商家订单号"),
    "another day": (table(PAID, BACK.replace("/23", "/24")), "other_day", 3, "日期"),
    "an unknown type": (table(PAID.replace("收款", "冻结")), "unknown_word", 2, "类型"),
    "an unknown state": (table(PAID.replace("成功", "???")), "unknown_word", 2, "结果"),
    "a column less": (table(PAID, headings=HEADINGS.replace("手续费", "费率")), "column_missing", 1, "手续费"),
    "a column twice": (table(PAID, headings=HEADINGS.replace("流水", "金额")), "column_missing", 1, "流水"),
    "two of the same": (table(PAID + ",7", headings=HEADINGS + ",金额"), "column_twice", 1, "金额"),
    "another table": (b"a,b,c\n1,2,3\n", "other_format", None, None),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)), "other_format", None, None),
    "a private wallet's": ("微信支付账单明细,,\n".encode(), "personal_bill", None, None),
    "two tables": (_zip(("a.csv", table(PAID)), ("b.csv", table(PAID))), "other_format", None, None),
    "half a zip": (_zip(("a.csv", table(PAID)))[:-10], "truncated", None, None),
    "a workbook": (_zip(("xl/workbook.xml", b"<x/>")), "other_format", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_named_with_its_place(name: str) -> None:
    content, reason, line, column = REFUSED[name]
    with pytest.raises(StatementUnreadable) as caught:
        read(content)
    error = caught.value
    assert (name, error.reason, error.line, error.column) == (name, reason, line, column)


def test_the_beginning_of_a_file_for_choosing() -> None:
    sample = look("导出\n".encode() + table(PAID, BACK, FAILED), rows=2)
    assert (sample.headings, sample.line) == (tuple(HEADINGS.split(",")), 2)
    assert [number for number, _cells in sample.rows] == [3, 4]
    assert guess(sample.headings) == {
        "amount": "金额",
        "fee": "手续费",
        "kind": "类型",
        "order_no": "商家订单号",
    }
    # A sample may be of any day.
    assert [line.amount.minor for line in read_rows(sample, COLUMNS)] == [110_000, 3000]
    with pytest.raises(StatementUnreadable):
        look(b"1,2,3\n4,5,6\n")


@pytest.mark.parametrize(
    "heading",
    [
        "实收金额(元)",
        "到账金额",
        "结算金额",
        "净额金额",
        "手续费金额",
        "优惠金额",
        "退款金额",
        "Net amount",
    ],
)
def test_what_is_left_of_an_amount_is_not_guessed_as_the_amount(heading: str) -> None:
    assert "amount" not in guess(["时间", heading])
    assert guess(["时间", heading, "交易金额"])["amount"] == "交易金额"


def test_the_column_of_the_whole_amount_is_found() -> None:
    headings = "日期,流水,实收,手续费,消费,序号"
    rows = [
        "2026-11-23 10:00:00,1,99.62,0.38,100.00,1",
        "2026-11-23 11:00:00,2,-29.89,-0.11,¥-30.00,2",
    ]
    sample = look(table(*rows, headings=headings))
    net = {"at": "日期", "trade_no": "流水", "amount": "实收"}
    assert gross_column(sample, net) == "消费"
    assert gross_column(sample, {**net, "fee": "手续费"}) == "消费"
    assert gross_column(sample, {**net, "amount": "消费"}) == ""
    assert gross_column(sample, {**net, "fee": "序号"}) == ""
    # Without fees the columns agree, and nothing can be said.
    free = look(table("2026-11-23 10:00:00,1,5.00,0.00,5.00,1", headings=headings))
    assert gross_column(free, net) == ""


def test_the_usual_headings_are_guessed() -> None:
    assert guess(list(DEFAULT_COLUMNS.values())) == dict(DEFAULT_COLUMNS)


MOMENTS = st.integers(0, 86_399).map(
    lambda second: datetime(2026, 11, 23, tzinfo=CHINA) + timedelta(seconds=second)
)
NUMBERS = st.text("0123456789ABCDEFP", min_size=1, max_size=32).filter(lambda text: "E" not in text)


@st.composite
def _lines(draw: st.DrawFn) -> StatementLine:
    refund = draw(st.booleans())
    known = draw(st.booleans())
    fee = draw(st.integers(0, 10_000)) if known else 0
    return StatementLine(
        kind=LineKind.REFUND if refund else LineKind.PAYMENT,
        row=0,
        order_no=draw(NUMBERS),
        refund_no=draw(NUMBERS) if refund else "",
        platform_trade_no=draw(NUMBERS),
        platform_refund_no=draw(NUMBERS) if refund else "",
        amount=Money(draw(st.integers(1, 10**10))),
        fee=Money(-fee if refund else fee),
        fee_known=known,
        occurred_at=draw(MOMENTS),
        product=draw(st.sampled_from(["", "wechatpay", "alipay"])),
    )


@given(st.lists(_lines(), max_size=8))
def test_what_the_portal_writes_it_reads_back(lines: list[StatementLine]) -> None:
    bill = read(write(lines), dict(DEFAULT_COLUMNS))
    keys = ("kind", "order_no", "refund_no", "platform_trade_no", "platform_refund_no", "amount", "fee", "fee_known", "occurred_at", "product")  # fmt: skip
    assert [[getattr(line, key) for key in keys] for line in bill.lines] == [
        [getattr(line, key) for key in keys] for line in lines
    ]


@given(st.integers(1, 400))
def test_a_file_cut_off_anywhere_never_loses_a_row_silently(cut: int) -> None:
    """What is left is refused, or it ends at a line's end: which rows follow, only the platform knows."""
    content = table(PAID, BACK, PAID, headings=HEADINGS)
    left = content[:-cut]
    try:
        bill = read(left)
    except StatementUnreadable:
        return
    whole = left.count(b"\n") - 1
    last = left.rsplit(b"\n", 1)[-1]
    # A last line that lacks nothing but (part of) its state still has every cell.
    assert len(bill.lines) == whole + (1 if last.strip() else 0)


@pytest.mark.parametrize(
    ("cell", "value"),
    [('="42"', "42"), ("'42", "42"), ("`42\t", "42"), ("  a b ", "a b"), ("", "")],
)
def test_cells_are_unwrapped(cell: str, value: str) -> None:
    assert clean(cell) == value
