"""UnionPay's reconciliation file, read by columns that are counted here anew."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from apps.simulator import books, clock, faults
from apps.simulator.models import Merchant, Order
from apps.simulator.payers import PAYERS
from apps.simulator.tests.unionpay_client import UnionClient, parse_raw

pytestmark = pytest.mark.django_db

#: Name, first byte, width: the columns that matter, from the dossier's table of offsets.
COLUMNS = {
    "code": (0, 3),
    "trace": (28, 6),
    "at": (35, 10),
    "account": (46, 19),
    "amount": (66, 12),
    "query_id": (87, 21),
    "order_id": (112, 32),
    "original_trace": (148, 6),
    "original_at": (155, 10),
    "fee": (166, 13),
    "settled": (180, 13),
    "type": (215, 2),
    "subtype": (218, 2),
    "business": (221, 6),
    "original": (271, 21),
    "merchant": (293, 15),
    "net": (374, 13),
    "terminal": (388, 8),
    "reserved": (397, 32),
}


def at(text: str) -> datetime:
    """``09-10 23:30:00`` of 2026 in Beijing."""
    return datetime.fromisoformat(f"2026-{text}+08:00")


def clock_at(text: str) -> None:
    clock.set_clock(offset_seconds=(at(text) - clock.real_now()).total_seconds())


def rows(union: UnionClient, answer: dict[str, str]) -> list[dict[str, str]]:
    """The records of the ZM member."""
    name, content = next(
        (name, content)
        for name, content in union.members(answer["fileContent"]).items()
        if "ZM_" in name
    )
    assert re.fullmatch(rf"INN\d{{8}}ZM_{union.mer_id}", name)
    assert content.endswith(b"\r\n") or not content
    lines = content.split(b"\r\n")[:-1]
    assert {len(line) for line in lines} <= {607}
    return [
        {
            name: line[start : start + width].decode("gbk").rstrip()
            for name, (start, width) in COLUMNS.items()
        }
        for line in lines
    ]


def paid(union: UnionClient, number: str, amount: int, moment: str, **more: str) -> Order:
    """A payment at a simulated moment."""
    clock_at(moment)
    union.apply_qr(number, amount, **more)
    order = Order.objects.get(out_trade_no=number)
    return books.pay_order(order=order, payer=PAYERS["demo"], now=clock.now())


@pytest.fixture
def shop(union: UnionClient, union_merchant: Merchant) -> UnionClient:
    """An account that was opened on the first of September 2026."""
    Merchant.objects.filter(pk=union_merchant.pk).update(created_at=at("09-01 12:00:00"))
    return union


def give_back(union: UnionClient, number: str, order: Order, amount: int, moment: str) -> None:
    clock_at(moment)
    answer = union.give_back(number, order.trade_no, amount)
    assert answer["respCode"] == "00", answer
    clock.set_clock(advance_seconds=5)
    assert union.query(number, union.sent["txnTime"])["origRespCode"] == "00"


def test_a_settlement_day(shop: UnionClient) -> None:
    paid(shop, "P2026000001", 999, "09-10 22:59:58")
    first = paid(shop, "P2026000002", 10000, "09-10 23:00:01", reqReserved="桌号八")
    second = paid(shop, "P2026000003", 2550, "09-11 22:30:00")
    give_back(shop, "R2026000001", first, 3000, "09-11 12:00:00")
    clock_at("09-11 22:40:00")
    assert shop.give_back("C2026000001", second.trade_no, 2550, "31")["respCode"] == "00"
    clock_at("09-12 09:00:00")
    answer = shop.file("0911")
    assert answer["fileName"] == f"{shop.mer_id}_20260911.zip"
    assert (answer["respCode"], answer["settleDate"]) == ("00", "0911")
    found = rows(shop, answer)
    assert [row["order_id"] for row in found] == [
        "P2026000002",
        "R2026000001",
        "P2026000003",
        "C2026000001",
    ]
    payment, refund, _, cancelled = found
    assert payment == {
        "code": "S22",
        "trace": first.trade_no[14:20],
        "at": "0910230001",
        "account": "621626*********0018",
        "amount": "000000010000",
        "query_id": first.trade_no,
        "order_id": "P2026000002",
        "original_trace": "",
        "original_at": "",
        "fee": "D000000000060",
        "settled": "C000000009940",
        "type": "01",
        "subtype": "07",
        "business": "000000",
        "original": "",
        "merchant": shop.mer_id,
        "net": "C000000009940",
        "terminal": "",
        "reserved": "桌号八",
    }
    assert (refund["type"], refund["subtype"], refund["amount"]) == ("04", "00", "000000003000")
    assert (refund["fee"], refund["net"]) == ("C000000000018", "D000000002982")
    assert (refund["original"], refund["original_at"]) == (first.trade_no, "0910230001")
    assert refund["original_trace"] == first.trade_no[14:20]
    assert (cancelled["type"], cancelled["original"]) == ("31", second.trade_no)
    assert (cancelled["fee"], cancelled["net"]) == ("C000000000015", "D000000002535")
    [before] = rows(shop, shop.file("0910"))
    assert (before["order_id"], before["at"]) == ("P2026000001", "0910225958")


def test_the_members_and_the_printed_totals(shop: UnionClient) -> None:
    first = paid(shop, "P2026000001", 1_234_567, "09-11 10:00:00")
    give_back(shop, "R2026000001", first, 234_567, "09-11 12:00:00")
    clock_at("09-12 09:00:00")
    members = shop.members(shop.file("0911")["fileContent"])
    names = sorted(members)
    assert names == [
        f"INN26091188ZME_{shop.mer_id}",
        f"INN26091188ZM_{shop.mer_id}",
        f"RD201026091188_{shop.mer_id}",
    ]
    assert members[names[0]] == b""
    total = members[names[2]].decode("gbk").split("\r\n")[-2]
    fee = 7407 - 1407
    assert total.split() == ["合计", "2", "10,000.00", f"{fee / 100:.2f}", f"{10000 - 60:,.2f}"]


def test_a_transaction_done_across_the_hour_settles_when_it_is_done(shop: UnionClient) -> None:
    first = paid(shop, "P2026000001", 1000, "09-11 10:00:00")
    give_back(shop, "R2026000001", first, 400, "09-11 22:59:59")
    clock_at("09-13 09:00:00")
    assert [row["order_id"] for row in rows(shop, shop.file("0911"))] == ["P2026000001"]
    [refund] = rows(shop, shop.file("0912"))
    assert (refund["order_id"], refund["at"]) == ("R2026000001", "0911225959")


def test_shifted_by_a_day_in_the_file_and_in_the_query(shop: UnionClient) -> None:
    faults.add_fault(key="settles_next_day", platform="unionpay", uses=1)
    paid(shop, "P2026000001", 1000, "09-11 22:58:00")
    paid(shop, "P2026000002", 1000, "09-11 22:59:00")
    sent = Order.objects.get(out_trade_no="P2026000001").request["txnTime"]
    clock_at("09-13 09:00:00")
    assert [row["order_id"] for row in rows(shop, shop.file("0911"))] == ["P2026000002"]
    assert [row["order_id"] for row in rows(shop, shop.file("0912"))] == ["P2026000001"]
    assert shop.query("P2026000001", sent)["settleDate"] == "0912"


@pytest.mark.parametrize(
    ("moment", "settle_date", "code"),
    [
        ("09-12 08:59:00", "0911", "98"),
        ("09-12 09:00:00", "0911", "00"),
        ("09-12 09:00:00", "0912", "98"),
        ("09-12 09:00:00", "0913", "98"),
        ("09-12 09:00:00", "0831", "98"),
        ("09-12 09:00:00", "0902", "00"),
        ("09-12 09:00:00", "0230", "98"),
        ("09-12 09:00:00", "1331", "98"),
        ("09-12 09:00:00", "20260911", "10"),
        ("09-12 09:00:00", "", "13"),
    ],
)
def test_which_days_have_a_file(
    shop: UnionClient, moment: str, settle_date: str, code: str, settings: Any
) -> None:
    settings.SIMULATOR_BILL_HOUR = 9
    clock_at(moment)
    assert shop.file(settle_date)["respCode"] == code


def test_an_empty_day_is_a_file_without_records_or_none(shop: UnionClient) -> None:
    clock_at("09-12 09:00:00")
    assert rows(shop, shop.file("0911")) == []
    faults.add_fault(key="bill_missing_when_empty", platform="unionpay")
    assert shop.file("0911")["respCode"] == "98"


def test_new_year(shop: UnionClient, union_merchant: Merchant) -> None:
    past = books.PastPayment(
        out_trade_no="P2026000001",
        trade_no="512612312330475616528",
        product="barcode",
        amount_fen=1000,
        paid_at=at("12-31 23:30:47"),
    )
    books.add_history(merchant=union_merchant, payments=[past], refunds=[])
    clock.set_clock(
        offset_seconds=(
            datetime.fromisoformat("2027-01-02T09:00:00+08:00") - clock.real_now()
        ).total_seconds()
    )
    answer = shop.file("0101")
    assert answer["fileName"].endswith("_20270101.zip")
    [row] = rows(shop, answer)
    assert (row["at"], row["subtype"]) == ("1231233047", "06")
    assert shop.file("1231")["fileName"].endswith("_20261231.zip")


def test_a_signature_covers_the_file(shop: UnionClient) -> None:
    clock_at("09-12 09:00:00")
    answer = shop.file("0911")
    assert b"fileContent=" + answer["fileContent"].encode() + b"&" in shop.raw
    assert parse_raw(shop.raw)["fileName"] == answer["fileName"]


@pytest.mark.parametrize(
    ("more", "code"), [({"fileType": "01"}, "10"), ({"txnTime": "20200101000000"}, "10")]
)
def test_bad_requests(shop: UnionClient, more: dict[str, str], code: str) -> None:
    fields = shop.base("76", "01", **{"settleDate": "0911", "fileType": "00", **more})
    assert shop.call("/unionpay/file/", fields)["respCode"] == code


class TestFaults:
    def fetch(self, shop: UnionClient, *keys: str) -> dict[str, str]:
        paid(shop, "P2026000001", 1000, "09-11 10:00:00")
        paid(shop, "P2026000002", 2000, "09-11 11:00:00")
        clock_at("09-12 09:00:00")
        for key in keys:
            faults.add_fault(key=key, platform="unionpay", uses=1)
        return shop.file("0911")

    def test_late(self, shop: UnionClient) -> None:
        assert self.fetch(shop, "bill_late")["respCode"] == "98"
        assert len(rows(shop, shop.file("0911"))) == 2

    def test_a_fen_too_much(self, shop: UnionClient) -> None:
        found = rows(shop, self.fetch(shop, "bill_off_by_fen"))
        assert [row["amount"] for row in found] == ["000000001001", "000000002000"]
        assert found[0]["net"] == "C000000000995"

    def test_one_missing_and_one_too_many(self, shop: UnionClient) -> None:
        found = rows(shop, self.fetch(shop, "bill_missing_row", "bill_extra_row"))
        assert [row["order_id"] for row in found] == ["P2026000002", "EXTRA20260911"]

    def test_another_layout_has_another_length(self, shop: UnionClient) -> None:
        answer = self.fetch(shop, "bill_changed_columns")
        content = shop.members(answer["fileContent"])[f"INN26091188ZM_{shop.mer_id}"]
        assert {len(line) for line in content.split(b"\r\n")[:-1]} == {620}

    def test_totals_that_do_not_add_up(self, shop: UnionClient) -> None:
        answer = self.fetch(shop, "bill_wrong_totals")
        text = shop.members(answer["fileContent"])[f"RD201026091188_{shop.mer_id}"].decode("gbk")
        assert "30.01" in text
        assert sum(int(row["amount"]) for row in rows(shop, answer)) == 3000


def test_the_calendar_of_the_request() -> None:
    from apps.simulator.unionpay.bills import asked_day

    now = at("03-01 12:00:00")
    assert asked_day("0301", now=now) == date(2026, 3, 1)
    assert asked_day("0302", now=now) == date(2025, 3, 2)
    assert asked_day("0229", now=now) is None
    assert asked_day("0302", now=at("03-01 23:00:00")) == date(2026, 3, 2)
    assert asked_day("0302", now=at("03-01 23:00:00") - timedelta(seconds=1)) == date(2025, 3, 2)
