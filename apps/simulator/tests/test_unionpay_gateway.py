"""UnionPay's gateway, called as a client would: signed forms in, raw signed answers out."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509 import load_der_x509_certificate
from django.test import Client

from apps.simulator import books, clock, faults, keys, merchants, notifications
from apps.simulator.models import Merchant, Order, OrderState, Refund
from apps.simulator.payers import PAYERS
from apps.simulator.tests.unionpay_client import (
    BACK,
    FRONT,
    QUERY,
    UnionClient,
    beijing,
    checked,
    digest,
    parse_raw,
)
from apps.simulator.tests.vectors import vector
from apps.simulator.unionpay import days, signing

pytestmark = pytest.mark.django_db
NUMBER = "P2026000001"


def pay(order_id: str = NUMBER, payer: str = "demo", at: datetime | None = None) -> Order:
    """The payer pays in 云闪付."""
    order = Order.objects.get(out_trade_no=order_id)
    return books.pay_order(order=order, payer=PAYERS[payer], now=at or clock.now())


def paid(union: UnionClient, order_id: str = NUMBER, amount: int = 2500) -> dict[str, str]:
    """A paid code, as a query tells it."""
    union.apply_qr(order_id, amount)
    sent = union.sent
    pay(order_id)
    return union.query(order_id, sent["txnTime"])


def advance(**delta: float) -> None:
    clock.set_clock(advance_seconds=timedelta(**delta).total_seconds())


# --- the wire -------------------------------------------------------------------------------------


def test_an_answer_is_raw_and_signed(union: UnionClient) -> None:
    code = union.apply_qr(reqReserved="桌号 8 + 茶")
    assert code.startswith("https://qr.95516.com/00010000/62")
    assert len(code) == 62
    assert b"qrCode=https://qr.95516.com/00010000/62" in union.raw
    assert "reqReserved=桌号 8 + 茶".encode() in union.raw
    assert b"-----BEGIN CERTIFICATE-----\r\n" in union.raw
    assert union.raw.index(b"&signPubKeyCert=") < union.raw.index(b"&signature=")
    answer = parse_raw(union.raw)
    assert answer["respMsg"] == "成功[0000000]"
    echoed = set(answer) - {"respCode", "respMsg", "qrCode", "signature", "signPubKeyCert"}
    assert {name: answer[name] for name in echoed} == {name: union.sent[name] for name in echoed}
    assert echoed >= {"merId", "orderId", "txnTime", "txnAmt", "txnType", "txnSubType"}


def test_changing_the_line_ends_of_the_certificate_breaks_the_signature(union: UnionClient) -> None:
    union.apply_qr()
    answer = parse_raw(union.raw)
    assert signing.verify(answer, public_key=_platform_key())
    changed = {**answer, "signPubKeyCert": answer["signPubKeyCert"].replace("\r\n", "\n")}
    assert not signing.verify(changed, public_key=_platform_key())


def _platform_key() -> str:
    return keys.public_pem(Merchant.objects.get().config["platform_private_key"])


def test_the_published_vector(db: None) -> None:
    published = vector("unionpay 5.1.0 signature")
    pairs = [pair.partition("=") for pair in published["signed_text"].split("&")]
    fields = {name: value for name, _, value in reversed(pairs)} | {"signature": "old"}
    assert signing.signed_text(fields) == published["signed_text"]
    assert digest(fields).decode() == published["digest"]
    fields["signature"] = published["signature"]
    assert signing.verify(fields, public_key=published["public_key"])
    assert not signing.verify({**fields, "txnAmt": "2"}, public_key=published["public_key"])


def test_gbk_messages_are_signed_in_gbk(union: UnionClient) -> None:
    fields = union.transaction("01", "07", NUMBER, encoding="GBK", orderDesc="茉莉花茶")
    answer = union.post(BACK, union.sign(fields))
    assert "成功".encode("gbk") in answer.content
    assert Order.objects.get().description == "茉莉花茶"


def test_merchants_get_their_own_certificate_of_one_authority(union: UnionClient) -> None:
    assert len(union.mer_id) == 15
    other = merchants.create_merchant(platform="unionpay", name="二号店", now=clock.now())
    second = UnionClient(merchants.credentials_of(other))
    assert (second.root, second.middle) == (union.root, union.middle)
    assert second.certificate.serial_number != union.certificate.serial_number
    shown = merchants.credentials_of(other)
    assert shown["app_id"] == ""
    assert not [name for name in shown if "private" in name]
    # Another merchant's key and number do not fit together.
    stolen = {**second.transaction("01", "07", NUMBER), "merId": union.mer_id}
    assert second.call(BACK, stolen)["respCode"] == "11"
    assert second.certificate.issuer == union.certificate.issuer


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"merId": "898000000000000"}, "31"),
        ({"version": "5.0.0"}, "10"),
        ({"signMethod": "11"}, "10"),
        ({"txnType": "02", "txnSubType": "05"}, "32"),
        ({"txnType": "77"}, "10"),
        ({"txnSubType": "01"}, "32"),
        ({"bizType": "000201"}, "10"),
        ({"channelType": ""}, "13"),
        ({"channelType": "09"}, "10"),
        ({"currencyCode": "840"}, "10"),
        ({"orderId": "P2026-0001"}, "10"),
        ({"orderId": "short"}, "10"),
        ({"orderId": ""}, "13"),
        ({"txnAmt": "0"}, "10"),
        ({"txnAmt": "25.00"}, "10"),
        ({"txnAmt": "1234567890123"}, "10"),
        ({"backUrl": ""}, "13"),
        ({"backUrl": "ftp://x"}, "10"),
        ({"txnTime": "2026-01-01"}, "10"),
        ({"payTimeout": "20200101000000"}, "10"),
        ({"payTimeout": "soon"}, "10"),
        ({"reqReserved": "x" * 1025}, "10"),
    ],
)
def test_bad_messages(union: UnionClient, change: dict[str, str], code: str) -> None:
    fields = {**union.transaction("01", "07", NUMBER), **change}
    answer = union.call(BACK, {name: value for name, value in fields.items() if value})
    assert answer["respCode"] == code, answer
    assert Order.objects.count() == 0


@pytest.mark.parametrize("body", ["txnType=01&txnType=00", "encoding=EBCDIC", "merId=%FF", "&" * 9])
def test_what_is_no_message_at_all(union: UnionClient, body: str) -> None:
    raw = union.http.post(BACK, body, content_type="application/x-www-form-urlencoded")
    assert checked(parse_raw(raw.content), union.root, union.middle)["respCode"] in {"10", "13"}


def test_a_changed_field_or_another_certificates_number_is_11(union: UnionClient) -> None:
    signed = union.sign(union.transaction("01", "07", NUMBER))
    for change in ({"txnAmt": "1"}, {"certId": "123"}, {"extra": "1"}, {"signature": "AAAA"}):
        answer = parse_raw(union.post(BACK, {**signed, **change}).content)
        assert answer["respCode"] == "11", change
        assert "9100004" in answer["respMsg"]
    assert Order.objects.count() == 0


@pytest.mark.parametrize(("minutes", "code"), [(-11, "10"), (-9, "00"), (9, "00"), (11, "10")])
def test_txn_time_must_be_about_now(union: UnionClient, minutes: int, code: str) -> None:
    at = beijing(datetime.now(UTC) + timedelta(minutes=minutes))
    fields = union.transaction("01", "07", NUMBER, txnTime=at)
    answer = union.call(BACK, fields)
    assert answer["respCode"] == code
    assert ("txnTime" in answer["respMsg"]) is (code == "10")


def test_txn_time_is_held_against_true_time(union: UnionClient) -> None:
    advance(days=3)
    union.apply_qr()
    order = Order.objects.get()
    assert timedelta(minutes=14) < order.expires_at - clock.now() <= timedelta(minutes=15)


def test_only_posts_and_nobody_known() -> None:
    assert Client().get(BACK).status_code == 405
    assert Client().get(FRONT).status_code == 405
    kind = "application/x-www-form-urlencoded"
    answer = Client().post(BACK, "merId=1", content_type=kind).content
    assert parse_raw(answer) == {
        "encoding": "UTF-8",
        "merId": "1",
        "respCode": "13",
        "respMsg": "报文交易要素缺失[6100031]：version",
    }


# --- paying and asking ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [QUERY, BACK])
def test_a_paid_code(union: UnionClient, path: str) -> None:
    union.apply_qr(reqReserved="R1")
    sent = union.sent
    told = union.query(NUMBER, sent["txnTime"], path)
    assert (told["respCode"], told["origRespCode"], told["settleAmt"]) == ("00", "05", "0")
    assert "queryId" not in told
    order = pay()
    told = union.query(NUMBER, sent["txnTime"], path)
    assert (told["respCode"], told["origRespCode"]) == ("00", "00")
    assert told["origRespMsg"] == "成功[0000000]"
    assert (told["txnType"], told["txnSubType"], told["txnAmt"]) == ("01", "07", "2500")
    assert told["queryId"] == order.trade_no
    assert len(told["queryId"]) == 21
    assert told["queryId"].isdigit()
    assert told["traceNo"] == told["queryId"][14:20]
    assert told["reqReserved"] == "R1"
    assert order.paid_at is not None
    assert told["traceTime"] == beijing(order.paid_at)[4:]
    sealed = base64.b64decode(told["accNo"])
    assert union.key.decrypt(sealed, padding.PKCS1v15()) == b"6216261000000000018"


def test_number_and_time_belong_together(union: UnionClient) -> None:
    union.apply_qr()
    assert union.query(NUMBER, "20260101000000")["respCode"] == "34"
    assert union.query("P2026999999", union.sent["txnTime"])["respCode"] == "34"
    assert union.call(QUERY, union.base("00", "00", orderId=NUMBER, txnTime=""))["respCode"] == "13"


def test_a_number_is_used_once(union: UnionClient) -> None:
    told = paid(union)
    assert union.call(BACK, union.sent)["respCode"] == "12"
    assert "2010002" in parse_raw(union.raw)["respMsg"]
    assert union.give_back(NUMBER, told["queryId"], 100)["respCode"] == "12"
    assert union.give_back("R2026000001", told["queryId"], 100)["respCode"] == "00"
    again = union.sent
    assert union.call(BACK, again)["respCode"] == "12"
    fields = union.transaction("01", "07", "R2026000001")
    assert union.call(BACK, fields)["respCode"] == "12"
    assert (Order.objects.count(), Refund.objects.count()) == (1, 1)


def test_an_unpaid_code_runs_out(union: UnionClient) -> None:
    code = union.apply_qr()
    advance(minutes=15)
    told = union.query(NUMBER, union.sent["txnTime"])
    assert (told["respCode"], told["origRespCode"]) == ("00", "69")
    order = books.order_by_code(platform="unionpay", code=code)
    assert order is not None
    with pytest.raises(books.NotPayable):
        books.pay_order(order=order, payer=PAYERS["demo"], now=clock.now())


def test_a_refused_attempt_shows_but_is_not_the_end(union: UnionClient) -> None:
    union.apply_qr()
    sent = union.sent
    with pytest.raises(books.NotPayable):
        pay(payer="poor")
    told = union.query(NUMBER, sent["txnTime"])
    assert (told["respCode"], told["origRespCode"]) == ("00", "64")
    pay()
    assert union.query(NUMBER, sent["txnTime"])["origRespCode"] == "00"


def test_the_settlement_day_ends_at_eleven_in_the_evening() -> None:
    before = datetime(2026, 12, 31, 14, 59, 59, tzinfo=UTC)
    assert f"{days.settlement_day(before):%Y%m%d}" == "20261231"
    assert f"{days.settlement_day(before + timedelta(seconds=1)):%Y%m%d}" == "20270101"
    start, end = days.settlement_period(days.settlement_day(before))
    assert (beijing(start), beijing(end)) == ("20261230230000", "20261231230000")


# --- giving back ----------------------------------------------------------------------------------


def test_refunds_in_parts_until_nothing_is_left(union: UnionClient) -> None:
    told = paid(union)
    first = union.give_back("R2026000001", told["queryId"], 1000)
    sent = union.sent
    assert (first["respCode"], first["origQryId"]) == ("00", told["queryId"])
    assert len(first["queryId"]) == 21
    asked = union.query("R2026000001", sent["txnTime"])
    assert (asked["respCode"], asked["origRespCode"]) == ("00", "05")
    advance(seconds=3)
    asked = union.query("R2026000001", sent["txnTime"])
    assert (asked["origRespCode"], asked["txnType"], asked["txnAmt"]) == ("00", "04", "1000")
    assert (asked["queryId"], asked["origQryId"]) == (first["queryId"], told["queryId"])
    assert union.give_back("R2026000002", told["queryId"], 1501)["respCode"] == "36"
    assert union.give_back("R2026000003", told["queryId"], 1500)["respCode"] == "00"
    assert union.give_back("R2026000004", told["queryId"], 1)["respCode"] == "36"
    assert sum(refund.amount_fen for refund in Refund.objects.all()) == 2500
    assert sum(refund.fee_fen for refund in Refund.objects.all()) == Order.objects.get().fee_fen


def test_what_cannot_be_given_back(union: UnionClient) -> None:
    union.apply_qr()
    unpaid = Order.objects.get().trade_no
    assert union.give_back("R2026000001", unpaid, 100)["respCode"] == "35"
    assert union.give_back("R2026000001", "0" * 21, 100)["respCode"] == "35"
    assert union.give_back("R2026000001", "", 100)["respCode"] == "13"
    pay()
    advance(days=336)
    assert union.give_back("R2026000001", unpaid, 100)["respCode"] == "35"
    assert Refund.objects.count() == 0


def at_beijing(hour: int, minute: int = 0) -> None:
    """Move the simulated clock forward to the next such time."""
    local = clock.now().astimezone(clock.BEIJING)
    wanted = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if wanted <= local:
        wanted += timedelta(days=1)
    clock.set_clock(advance_seconds=(wanted - local).total_seconds())


def test_cancelling_is_for_the_whole_on_the_same_settlement_day(union: UnionClient) -> None:
    at_beijing(22, 50)
    first, second, third = (paid(union, f"P202600000{number}")["queryId"] for number in range(1, 4))
    assert union.give_back("C2026000001", first, 2499, "31")["respCode"] == "36"
    done = union.give_back("C2026000002", first, 2500, "31")
    sent = union.sent
    assert (done["respCode"], done["origQryId"]) == ("00", first)
    assert union.give_back("C2026000003", first, 2500, "31")["respCode"] == "35"
    assert union.give_back("R2026000001", second, 1)["respCode"] == "00"
    assert union.give_back("C2026000004", second, 2500, "31")["respCode"] == "35"
    advance(minutes=10)
    assert union.give_back("C2026000005", third, 2500, "31")["respCode"] == "35"
    assert union.give_back("R2026000002", third, 2500)["respCode"] == "00"
    told = union.query("C2026000002", sent["txnTime"])
    assert (told["origRespCode"], told["txnType"]) == ("00", "31")
    # A cancelled payment was made all the same.
    original = union.query("P2026000001", Order.objects.earliest("pk").request["txnTime"])
    assert original["origRespCode"] == "00"


def test_history_can_be_asked_for_and_given_back(
    union: UnionClient, union_merchant: Merchant
) -> None:
    at = clock.now() - timedelta(days=2)
    past = books.PastPayment(
        out_trade_no=NUMBER,
        trade_no="512209110416475616528",
        product="qr",
        amount_fen=1000,
        paid_at=at,
        payer_id="621626*********0018",
    )
    books.add_history(merchant=union_merchant, payments=[past], refunds=[])
    told = union.query(NUMBER, "20200101000000")
    assert (told["origRespCode"], told["queryId"]) == ("00", past.trade_no)
    assert told["traceNo"] == "561652"
    assert union.give_back("R2026000001", past.trade_no, 1000)["respCode"] == "00"
    advance(seconds=5)
    assert notifications.deliver_due(now=clock.now()) == 0


# --- faults ---------------------------------------------------------------------------------------


def fault(key: str, uses: int | None = 1, **value: Any) -> None:
    faults.add_fault(key=key, platform="unionpay", value=value, uses=uses)


def test_an_unclear_answer_is_done_all_the_same(union: UnionClient) -> None:
    told = paid(union)
    for number, code in enumerate(("03", "04", "05")):
        fault("unclear_answer", code=code, path="0400")
        answer = union.give_back(f"R202600000{number}", told["queryId"], 100)
        assert (answer["respCode"], "queryId" in answer) == (code, False)
        sent = union.sent
        advance(seconds=3)
        told_later = union.query(sent["orderId"], sent["txnTime"])
        assert (told_later["respCode"], told_later["origRespCode"]) == ("00", "00")
    assert Refund.objects.count() == 3


def test_an_unclear_query_then_the_truth(union: UnionClient) -> None:
    paid(union)
    sent = union.sent
    fault("unclear_answer", code="04", uses=2, path="queryTrans")
    found = [union.query(NUMBER, sent["txnTime"]) for _ in range(3)]
    assert [one["respCode"] for one in found] == ["00"] * 3
    assert [one["origRespCode"] for one in found] == ["04", "04", "00"]
    assert ["queryId" in one for one in found] == [False, False, True]


def test_34_then_found(union: UnionClient) -> None:
    paid(union)
    fault("query_not_found")
    found = [union.query(NUMBER, union.sent["txnTime"]) for _ in range(2)]
    assert [one["respCode"] for one in found] == ["34", "00"]
    assert "origRespCode" not in found[0]


def test_success_with_a_defect_stays_one(union: UnionClient) -> None:
    fault("success_with_defect")
    told = paid(union)
    assert (told["respCode"], told["origRespCode"]) == ("00", "A6")
    assert len(told["queryId"]) == 21
    assert union.query(NUMBER, union.sent["txnTime"])["origRespCode"] == "A6"


def test_http_500_does_nothing(union: UnionClient) -> None:
    fault("http_500")
    answer = union.post(BACK, union.sign(union.transaction("01", "07", NUMBER)))
    assert answer.status_code == 500
    assert Order.objects.count() == 0


def test_too_often(union: UnionClient) -> None:
    fault("rate_limited")
    answer = union.call(BACK, union.transaction("01", "07", NUMBER))
    assert (answer["respCode"], Order.objects.count()) == ("37", 0)


def test_an_answer_lost_after_the_work(union: UnionClient) -> None:
    fault("lost_after_commit")
    fields = union.transaction("01", "07", NUMBER)
    assert union.post(BACK, union.sign(fields)).status_code == 504
    assert union.query(NUMBER, fields["txnTime"])["origRespCode"] == "05"
    assert union.call(BACK, fields)["respCode"] == "12"


def test_no_money_for_refunds(union: UnionClient) -> None:
    told = paid(union)
    fault("not_enough")
    assert union.give_back("R2026000001", told["queryId"], 100)["respCode"] == "64"
    assert Refund.objects.count() == 0


def test_refunds_that_take_long_or_fail(union: UnionClient) -> None:
    told = paid(union)
    fault("refund_slow", seconds=None)
    union.give_back("R2026000001", told["queryId"], 100)
    slow = union.sent
    fault("refund_closed")
    union.give_back("R2026000002", told["queryId"], 2400)
    closed = union.sent
    advance(days=2)
    assert union.query("R2026000001", slow["txnTime"])["origRespCode"] == "05"
    assert union.query("R2026000002", closed["txnTime"])["origRespCode"] == "01"
    assert union.give_back("R2026000003", told["queryId"], 2400)["respCode"] == "00"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("wrong_signature", ""),
        ("foreign_certificate", "owner"),
        ("expired_certificate", "dates"),
    ],
)
def test_answers_that_must_not_be_believed(union: UnionClient, key: str, reason: str) -> None:
    fault(key)
    fields = union.transaction("01", "07", NUMBER)
    with pytest.raises(AssertionError if reason else InvalidSignature, match=reason or None):
        union.call(BACK, fields)
    assert Order.objects.get().state == OrderState.WAITING
    assert union.query(NUMBER, fields["txnTime"])["origRespCode"] == "05"


def test_a_foreign_certificate_is_of_the_same_authority(union: UnionClient) -> None:
    fault("foreign_certificate")
    raw = union.post(BACK, union.sign(union.transaction("01", "07", NUMBER))).content
    answer = parse_raw(raw)
    pem = answer["signPubKeyCert"].replace("\r\n", "\n").split("\n")
    certificate = load_der_x509_certificate(base64.b64decode("".join(pem[1:-1])))
    assert certificate.issuer == union.certificate.issuer
    key = keys.public_pem(keys.stranger_key())
    assert signing.verify(answer, public_key=key)
