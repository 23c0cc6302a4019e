"""The bills: bytes as the platform writes them, read back by a parser of the test's own."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from apps.simulator import books, clock, faults, merchants
from apps.simulator.alipay import bill_files, bills
from apps.simulator.models import BillFile, Merchant, Order, Product
from apps.simulator.payers import DEFAULT_PAYER
from apps.simulator.tests.alipay_client import Shop

pytestmark = pytest.mark.django_db
DAY = date(2026, 5, 1)
NOON = datetime(2026, 5, 1, 4, 0, tzinfo=UTC)
LATER = datetime(2026, 5, 2, 2, 0, tzinfo=UTC)


@pytest.fixture
def shop() -> Shop:
    """A merchant at the simulated Alipay."""
    return Shop(merchants.create_merchant(platform="alipay", name="一号店", now=NOON))


def pay(merchant: Merchant, number: str, fen: int, at: datetime) -> Order:
    """A payment in the books."""
    order = books.create_order(
        merchant=merchant,
        product=Product.CREATE,
        out_trade_no=number,
        amount_fen=fen,
        description="奶茶,大杯",
        now=at - timedelta(seconds=30),
        expires_at=at + timedelta(days=1),
        extra={"store_id": "S001"},
    )
    return books.pay_order(order=order, payer=DEFAULT_PAYER, now=at)


def busy_day(merchant: Merchant) -> None:
    """Two payments and a partial refund on the day, one payment just before and after it."""
    pay(merchant, "BEFORE", 700, datetime(2026, 4, 30, 15, 59, 59, tzinfo=UTC))
    first = pay(merchant, "P1", 2500, NOON)
    pay(merchant, "P2", 10000, NOON + timedelta(hours=1))
    books.create_refund(
        order=first,
        out_refund_no="R1",
        amount_fen=1000,
        now=NOON + timedelta(hours=2),
        instant=True,
    )
    pay(merchant, "AFTER", 800, datetime(2026, 5, 1, 16, 0, 0, tzinfo=UTC))


def made(merchant: Merchant, kind: str = "trade") -> bytes:
    """The bill's ZIP."""
    content = bill_files.bill_zip(
        merchant=merchant, bill_type=kind, period=bills.period_of("2026-05-01"), now=LATER
    )
    assert content is not None
    return content


def detail_of(content: bytes) -> tuple[str, list[dict[str, str]], list[str]]:
    """Name, rows and all lines of the detail member."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        named = {name.encode("cp437").decode("gbk"): name for name in archive.namelist()}
        assert len(named) == 2
        name = next(one for one in named if "汇总" not in one)
        text = archive.read(named[name]).decode("gbk")
    assert text.endswith("\r\n")
    lines = text.split("\r\n")
    body = [line for line in lines if line and not line.startswith("#")]
    rows = [
        {key: value.strip() for key, value in row.items()}
        for row in csv.DictReader(io.StringIO("\n".join(body)))
    ]
    return name, rows, lines


def test_the_trade_bill_has_the_platforms_bytes(shop: Shop) -> None:
    busy_day(shop.merchant)
    content = made(shop.merchant)
    name, rows, lines = detail_of(content)
    assert name == f"{shop.merchant.merchant_no}0156_20260501_业务明细.csv"
    # General purpose flag of the first local header: no UTF-8 bit.
    assert struct.unpack("<H", content[6:8])[0] & 0x800 == 0
    assert lines[0] == "#支付宝业务明细查询"
    assert lines[1] == f"#账号：[{shop.merchant.merchant_no}0156]"
    assert lines[2] == (
        "#起始日期：[2026年05月01日 00:00:00]   终止日期：[2026年05月02日 00:00:00]"
    )
    assert lines[3].strip("#-") == "业务明细列表"
    header = lines[4].split(",")
    assert (len(header), header[0], header[22]) == (25, "支付宝交易号", "服务费（元）")
    assert lines[5].split(",")[0].endswith("\t")
    assert [row["商户订单号"] for row in rows] == ["P1", "P2", "P1"]
    assert [row["业务类型"] for row in rows] == ["交易", "交易", "退款"]
    assert [row["订单金额（元）"] for row in rows] == ["25.00", "100.00", "-10.00"]
    assert [row["服务费（元）"] for row in rows] == ["-0.15", "-0.60", "0.06"]
    assert [row["退款批次号/请求号"] for row in rows] == ["", "", "R1"]
    assert {row["商品名称"] for row in rows} == {"奶茶,大杯"}
    assert rows[0]["完成时间"] == "2026-05-01 12:00:00"
    assert rows[2]["完成时间"] == "2026-05-01 14:00:00"
    assert rows[2]["创建时间"] == rows[0]["创建时间"]
    assert "#交易合计：2笔，商家实收共125.00元，商家优惠共0.00元" in lines
    assert "#退款合计：1笔，商家实收退款共-10.00元，商家优惠退款共0.00元" in lines


def test_the_account_bill_balances(shop: Shop) -> None:
    busy_day(shop.merchant)
    name, rows, lines = detail_of(made(shop.merchant, "signcustomer"))
    assert name.endswith("_账务明细.csv")
    assert len(lines[4].split(",")) == 12
    assert [row["业务类型"] for row in rows] == [
        "在线支付",
        "收费",
        "在线支付",
        "收费",
        "交易退款",
        "收费",
    ]
    balance = Decimal("1000.00") + Decimal("7.00") - Decimal("0.04")
    for row in rows:
        balance += Decimal(row["收入金额（+元）"]) + Decimal(row["支出金额（-元）"])
        assert Decimal(row["账户余额（元）"]) == balance
    assert len({row["账务流水号"] for row in rows}) == 6


def test_a_month_covers_its_days(shop: Shop) -> None:
    busy_day(shop.merchant)
    period = bills.period_of("2026-05")
    assert (period.first, period.after, period.label) == (DAY, date(2026, 6, 1), "202605")
    assert len(bills.trade_rows(shop.merchant, period)) == 4


@pytest.mark.parametrize("text", ["2026-13-01", "2026", "2026/05/01", "2026-5-1"])
def test_a_malformed_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        bills.period_of(text)


def test_bill_faults_change_the_first_payment(shop: Shop) -> None:
    busy_day(shop.merchant)
    faults.add_fault(key="bill_off_by_fen", platform="alipay", uses=1)
    assert detail_of(made(shop.merchant))[1][0]["订单金额（元）"] == "25.01"
    faults.add_fault(key="bill_missing_row", platform="alipay", uses=1)
    assert [row["商户订单号"] for row in detail_of(made(shop.merchant))[1]] == ["P2", "P1"]
    faults.add_fault(key="bill_extra_row", platform="alipay", uses=1)
    rows = detail_of(made(shop.merchant))[1]
    assert len(rows) == 4
    assert rows[3]["商户订单号"].startswith("EXTRA")
    faults.add_fault(key="bill_changed_columns", platform="alipay", uses=1)
    _, rows, lines = detail_of(made(shop.merchant))
    assert lines[4].startswith("商户订单号,支付宝交易号,")
    assert [row["商户订单号"] for row in rows] == ["P1", "P2", "P1"]
    assert len(detail_of(made(shop.merchant))[1]) == 3


# --- asking for it --------------------------------------------------------------------------------

ASK = "alipay.data.dataservice.bill.downloadurl.query"


def to_beijing(text: str) -> None:
    """Set the simulated clock to a Beijing time."""
    wanted = datetime.fromisoformat(text).replace(tzinfo=clock.BEIJING)
    clock.set_clock(offset_seconds=(wanted - clock.real_now()).total_seconds(), factor=0)


def test_the_address_serves_the_zip_for_thirty_seconds(shop: Shop) -> None:
    busy_day(shop.merchant)
    to_beijing("2026-05-02 09:00:01")
    told = shop.call(ASK, {"bill_type": "trade", "bill_date": "2026-05-01"})
    parts = urlsplit(told["bill_download_url"])
    got = shop.http.get(f"{parts.path}?{parts.query}")
    assert got.status_code == 200
    assert len(detail_of(got.content)[1]) == 3
    clock.set_clock(advance_seconds=31)
    assert shop.http.get(f"{parts.path}?{parts.query}").status_code == 403
    assert shop.http.get("/alipay/billdownload?fileId=none").status_code == 403


def test_too_early_empty_and_late_are_told_alike(shop: Shop) -> None:
    busy_day(shop.merchant)
    biz = {"bill_type": "trade", "bill_date": "2026-05-01"}
    to_beijing("2026-05-02 08:59:00")
    assert shop.call(ASK, biz)["sub_code"] == "isp.bill_not_exist"
    to_beijing("2026-05-02 10:00:00")
    empty = shop.call(ASK, {**biz, "bill_date": "2026-04-29"})
    assert empty["sub_code"] == "isp.bill_not_exist"
    faults.add_fault(key="bill_late", platform="alipay", uses=1)
    assert shop.call(ASK, biz)["sub_code"] == "isp.bill_not_exist"
    assert shop.call(ASK, biz)["code"] == "10000"


@pytest.mark.parametrize(
    "change",
    [
        {"bill_date": "2026-05-02"},
        {"bill_date": "2026-05-03"},
        {"bill_date": "2026-05"},
        {"bill_date": "someday"},
        {"bill_type": "everything"},
        {"bill_date": "2015-12-31"},
    ],
)
def test_today_and_nonsense_are_refused(shop: Shop, change: dict[str, str]) -> None:
    to_beijing("2026-05-02 10:00:00")
    answer = shop.call(ASK, {"bill_type": "trade", "bill_date": "2026-05-01", **change})
    assert answer["sub_code"] == "INVAILID_ARGUMENTS"
    assert BillFile.objects.count() == 0
