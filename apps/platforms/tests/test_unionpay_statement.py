"""UnionPay's bills: the fixed-width records, their zip, and what can be wrong with either."""

from __future__ import annotations

import base64
import contextlib
import zlib
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.platforms.connectors.unionpay import statement, wire
from apps.platforms.gateway import LineKind, ParsedStatement, StatementKind, StatementUnreadable
from apps.platforms.tests import bills
from apps.platforms.tests.unionpay_bills import DAY, MERCHANT_NO, NAME, SAMPLE, file, record
from apps.platforms.tests.unionpay_server import packed, zipped


def parse(content: bytes, *, day: date = DAY, merchant_no: str = MERCHANT_NO) -> ParsedStatement:
    return statement.parse(content, merchant_no=merchant_no, business_date=day)


def refused(content: bytes, **arguments: object) -> StatementUnreadable:
    with pytest.raises(StatementUnreadable) as caught:
        parse(content, **arguments)  # type: ignore[arg-type]
    return caught.value


def summary(bill: ParsedStatement) -> list[tuple[str, int, int]]:
    return [(line.kind.value, line.amount.minor, line.fee.minor) for line in bill.lines]


EXPECTED = [("payment", 10000, 38), ("payment", 2550, 10), ("refund", 3000, -11)]


class TestRecords:
    def test_every_field(self) -> None:
        bill = parse(file())
        assert (bill.kind, bill.business_date) == (StatementKind.TRADE, DAY)
        assert bill.merchant_no == MERCHANT_NO
        assert bill.unknown_columns == ()
        first, _, refund = bill.lines
        assert (first.kind, first.row, first.product) == (LineKind.PAYMENT, 1, "0107")
        assert first.order_no == "P20220911101647A0001"
        assert first.platform_trade_no == "512209110416475616528"
        assert (first.amount, first.fee) == (Money(10000), Money(38))
        assert first.occurred_at == datetime(2022, 9, 11, 2, 16, 47, tzinfo=UTC)
        assert (refund.kind, refund.row, refund.product) == (LineKind.REFUND, 3, "0400")
        assert refund.order_no == "P20220911101647A0001"
        assert refund.refund_no == "R20220911150510A0001"
        assert refund.platform_trade_no == "512209110416475616528"
        assert refund.platform_refund_no == "512209111505105616690"
        assert (refund.amount, refund.fee) == (Money(3000), Money(-11))
        assert refund.occurred_at == datetime(2022, 9, 11, 7, 5, 10, tzinfo=UTC)

    def test_the_row_as_it_stands(self) -> None:
        raw = parse(file(record(SAMPLE[0], at327="一号店·咖啡"))).lines[0].raw
        assert raw["交易金额"] == "000000010000"
        assert raw["二级商户简称"] == "一号店·咖啡"
        assert "账单号码" not in dict(raw)
        assert len(raw) == len(dict(raw))

    def test_an_account_that_is_not_masked_is(self) -> None:
        line = parse(file(record(SAMPLE[0], at46="6216261000000000018"))).lines[0]
        assert line.raw["账号"] == "621626******0018"
        assert "1000000000" not in repr(line.raw)

    @pytest.mark.parametrize(
        "content",
        [
            file(end=b"\n"),
            file(*(record(row).rstrip() for row in SAMPLE)),
            file() + b"\r\n\x1a",
            file().rstrip(b"\r\n"),
            zipped([(NAME, file())]),
            zipped([(f"{NAME}.txt", file())]),
            zipped([(f"bills/{NAME}", file())]),
            packed(zipped([(NAME, file())])).encode(),
            b"\n" + packed(file()).encode() + b"\n",
        ],
    )
    def test_however_written(self, content: bytes) -> None:
        assert summary(parse(content)) == EXPECTED

    def test_a_day_with_a_file_and_nothing_in_it(self) -> None:
        assert parse(zipped([(NAME, b"")])).lines == []

    @pytest.mark.parametrize(
        ("changes", "fee"),
        [
            # The letter says the other thing, what is settled decides.
            ({"at166": "D000000000011"}, -11),
            ({"at180": "D000000003011"}, 11),
            # Something else was settled: the letter decides.
            ({"at180": "D000000001000"}, -11),
            ({"at180": "", "at166": " " * 13}, 0),
        ],
    )
    def test_the_sign_of_a_refunds_fee(self, changes: dict[str, str], fee: int) -> None:
        assert parse(file(record(SAMPLE[2], **changes))).lines[0].fee == Money(fee)

    def test_a_cancellation_is_a_refund(self) -> None:
        line = parse(file(record(SAMPLE[2], at215="31"))).lines[0]
        assert (line.kind, line.product) == (LineKind.REFUND, "3100")

    def test_other_business_is_kept(self) -> None:
        line = parse(file(record(SAMPLE[0], at215="02"))).lines[0]
        assert (line.kind, line.order_no) == (LineKind.OTHER, "P20220911101647A0001")

    def test_the_payment_of_a_refund_from_the_remark(self) -> None:
        line = parse(file(record(SAMPLE[2], at397="P20220901090000A0009"))).lines[0]
        assert line.order_no == "P20220901090000A0009"
        assert parse(file(record(SAMPLE[2]))).lines[0].order_no == ""
        assert parse(file(record(SAMPLE[2], at397="谢谢惠顾"))).lines[0].order_no == ""


class TestYears:
    @pytest.mark.parametrize(
        ("day", "digits", "year"),
        [
            (date(2026, 1, 1), "1231233000", 2025),
            (date(2026, 1, 1), "0101120000", 2026),
            (date(2025, 12, 31), "1231225959", 2025),
            (date(2025, 12, 31), "0101000001", 2026),
            (date(2024, 2, 29), "0229100000", 2024),
        ],
    )
    def test_across_new_year(self, day: date, digits: str, year: int) -> None:
        line = parse(file(record(SAMPLE[0], at35=digits)), day=day).lines[0]
        local = line.occurred_at.astimezone(CHINA)
        assert (local.year, f"{local:%m%d%H%M%S}") == (year, digits)

    @pytest.mark.parametrize(
        "digits", ["0230101010", "1301000000", "0911256000", "          ", "091110164x"]
    )
    def test_no_time(self, digits: str) -> None:
        error = refused(file(record(SAMPLE[0], at35=digits)))
        assert (error.reason, error.line, error.column) == ("bad_row", 1, "交易传输时间")

    @given(
        at=st.datetimes(datetime(2000, 1, 2), datetime(2090, 1, 1)), hours=st.integers(-2000, 2000)
    )
    def test_the_year_nearest_to_the_bill(self, at: datetime, hours: int) -> None:
        at = at.replace(microsecond=0, tzinfo=UTC)
        digits = at.astimezone(CHINA).strftime("%m%d%H%M%S")
        assert wire.moment(digits, near=at + timedelta(hours=hours)) == at


class TestBadFiles:
    def test_another_day(self) -> None:
        assert refused(file(), day=date(2022, 9, 13)).reason == "other_day"
        assert refused(zipped([(NAME, file())]), day=date(2022, 9, 12)).reason == "other_day"
        # 23:00 ends a settlement day, and what is transmitted around it may be in either bill.
        late = file(record(SAMPLE[0], at35="0910233000"))
        assert summary(parse(late)) == EXPECTED[:1]

    def test_another_merchant(self) -> None:
        error = refused(file(), merchant_no="777290058110048")
        assert (error.reason, error.line, error.column) == ("other_account", 1, "商户代码")
        named = zipped([("INN22091188ZM_777290058110048", file())])
        assert refused(named).reason == "other_account"

    def test_of_several_merchants_ours_is_read(self) -> None:
        content = zipped(
            [("INN22091188ZM_777290058110048", b"?"), (NAME, file()), ("INN22091188ZMSUM_1", b"?")]
        )
        assert summary(parse(content)) == EXPECTED

    def test_two_files_of_one_day(self) -> None:
        one, two, three = map(record, SAMPLE)
        content = zipped([(NAME, file(one)), (NAME.replace("88ZM", "89ZM"), file(two, three))])
        bill = parse(content)
        assert summary(bill) == EXPECTED
        assert bill.lines[2].order_no == "P20220911101647A0001"

    @pytest.mark.parametrize("left", [1, 100, 386, 607 + 45, 2 * 609 + 300])
    def test_cut_off(self, left: int) -> None:
        error = refused(file()[:left])
        assert error.reason == ("other_format" if left == 1 else "truncated")

    @pytest.mark.parametrize("left", [10, 200, -30])
    def test_a_broken_zip(self, left: int) -> None:
        assert refused(zipped([(NAME, file())])[:left]).reason == "truncated"
        assert refused(packed(zipped([(NAME, file())]))[:-8].encode()).reason == "truncated"

    def test_a_short_record_in_the_middle(self) -> None:
        one, two, three = map(record, SAMPLE)
        error = refused(file(one, two[:300], three))
        assert (error.reason, error.line) == ("bad_row", 2)

    @pytest.mark.parametrize(
        ("changes", "column"),
        [
            ({"at66": "00000001000x"}, "交易金额"),
            ({"at66": "-00000010000"}, "交易金额"),
            ({"at66": " " * 12}, "交易金额"),
            ({"at166": "X000000000038"}, "商户手续费"),
            ({"at180": "0000000009962"}, "结算金额"),
            ({"at87": " " * 21}, "商户订单号"),
            ({"at112": " " * 32}, "商户订单号"),
        ],
    )
    def test_a_bad_cell(self, changes: dict[str, str], column: str) -> None:
        error = refused(file(record(SAMPLE[0]), record(SAMPLE[1], **changes)))
        assert (error.reason, error.line, error.column) == ("bad_row", 2, column)

    def test_columns_that_have_moved(self) -> None:
        moved = record(SAMPLE[1])
        assert (
            refused(file(record(SAMPLE[0]), moved[:60] + b"x" + moved[60:-1])).reason == "bad_row"
        )
        assert refused(file(record(SAMPLE[0]), moved + b"x")).reason == "bad_row"
        assert refused(file(record(SAMPLE[0]), b"\0" + moved[1:])).reason == "bad_row"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "truncated"),
            (b" \r\n", "truncated"),
            (b"<html>502 Bad Gateway</html>", "other_format"),
            ("\n".join(bills.WECHAT_ROWS).encode(), "other_format"),
            ("支付宝交易记录明细查询\n".encode("gb18030"), "personal_bill"),
            (b"x" * 5000, "other_format"),
            (b"%PDF-1.7", "other_format"),
            (zipped([]), "other_format"),
            (zipped([("readme.txt", b"hello")]), "other_format"),
            (zipped([(f"INN22091188ZME_{MERCHANT_NO}", b"")]), "other_format"),
            (base64.b64encode(zlib.compress(b"hello")), "other_format"),
        ],
    )
    def test_something_else(self, content: bytes, reason: str) -> None:
        assert refused(content).reason == reason


class TestBesideTheRecords:
    def test_adjustments_are_named(self) -> None:
        name = f"INN22091188ZME_{MERCHANT_NO}"
        rows = b"E05 something\r\nE05 another\r\n"
        bill = parse(zipped([(name, rows), (NAME, file())]))
        assert summary(bill) == EXPECTED
        assert bill.unknown_columns == (f"{name} (2)",)
        assert parse(zipped([(name, b""), (NAME, file())])).unknown_columns == ()

    @pytest.mark.parametrize(
        "ending",
        [
            "合计          3        155.50        37.00         95.13",
            "总  计：笔数 3 笔，金额 155.50 元，手续费 0.37 元，清算净额 95.13 元",
        ],
    )
    def test_the_totals_report_agrees(self, ending: str) -> None:
        report = f"商户日报表\r\n商户代码 {MERCHANT_NO}\r\n{ending}\r\n".encode("gb18030")
        content = zipped([(f"RD2010220911_{MERCHANT_NO}", report), (NAME, file())])
        assert summary(parse(content)) == EXPECTED

    @pytest.mark.parametrize("ending", ["合计 4 155.50 0.37 95.13", "合计 3 155.50 0.37 95.14"])
    def test_the_totals_report_does_not_agree(self, ending: str) -> None:
        report = ending.encode("gb18030")
        content = zipped([(f"RD2010220911_{MERCHANT_NO}", report), (NAME, file())])
        assert refused(content).reason == "totals"

    @pytest.mark.parametrize("text", ["", "无数据", "合计见附表"])
    def test_a_report_without_totals_is_no_check(self, text: str) -> None:
        content = zipped([(f"RD2010220911_{MERCHANT_NO}", text.encode("gbk")), (NAME, file())])
        assert summary(parse(content)) == EXPECTED


@given(content=st.binary(max_size=2000))
def test_rubbish_is_refused_or_empty(content: bytes) -> None:
    with contextlib.suppress(StatementUnreadable):
        assert parse(content).lines == []


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("802310048993424_20220911.zip", False),
        ("802310048993424_20220910.zip", True),
        ("something", False),
    ],
)
def test_the_day_in_a_files_name(name: str, other: bool) -> None:
    assert statement.names_other_day(name, DAY) is other
