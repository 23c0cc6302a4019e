"""The UnionPay connector: the contract, and what only this platform does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import pytest
from typing_extensions import override

from apps.core.money import Money
from apps.platforms import messages
from apps.platforms.connectors.unionpay import connector, wire
from apps.platforms.connectors.unionpay.connector import UnionpayEndpoints, UnionpayGateway
from apps.platforms.gateway import (
    AskedTooOften,
    BarcodeRequest,
    Capability,
    CheckState,
    Credentials,
    InvalidSignature,
    MalformedMessage,
    NotificationKind,
    OrderNotFound,
    Outcome,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    StatementKind,
    StatementMissing,
    StatementNotReady,
)
from apps.platforms.tests import unionpay_bills
from apps.platforms.tests.contract import (
    BEGAN_AT,
    DAY,
    EXPIRES_AT,
    ORDER,
    REFUND,
    REFUND_BEGAN_AT,
    REFUNDED_AT,
    Fault,
    GatewayContract,
    Rig,
    create_request,
    payment_ref,
    refund_ref,
    refund_request,
)
from apps.platforms.tests.unionpay_server import (
    MERCHANT_NO,
    OWNER,
    QR,
    UnionpayServer,
    pem,
    pfx,
    zipped,
)
from apps.platforms.tests.wechatpay_server import NOW

TILL = BEGAN_AT + timedelta(seconds=30)
AUTH_CODE = "6223456789012345678"


def gateway_at(
    server: UnionpayServer,
    ours: Credentials | None = None,
    *,
    now: datetime = TILL,
    owners: tuple[str, ...] = (OWNER,),
    cancels_same_day: bool = False,
) -> UnionpayGateway:
    return UnionpayGateway(
        credentials=ours or server.ours,
        http=server.http,
        endpoints=UnionpayEndpoints(
            back_url="https://unionpay.test/backTransReq.do",
            front_url="https://unionpay.test/frontTransReq.do",
            query_url="https://unionpay.test/queryTrans.do",
            file_url="https://file.test/",
            certificate_owners=owners,
        ),
        clock=lambda: now,
        cancels_same_day=cancels_same_day,
    )


def barcode_request(**changes: object) -> BarcodeRequest:
    request = BarcodeRequest(
        order_no=ORDER,
        auth_code=AUTH_CODE,
        amount=Money(2500),
        subject="咖啡",
        began_at=BEGAN_AT,
        expires_at=BEGAN_AT + timedelta(seconds=60),
        notify_url="https://shop.test/notify/unionpay/abc",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def bill() -> bytes:
    """Two payments and a refund of the first, of DAY."""
    one, two, refund = unionpay_bills.SAMPLE
    rows = [
        {**one, 35: "0501102133", 66: "000000002500", 112: ORDER.ljust(32)}
        | {166: "D000000000015", 180: "C000000002485", 374: "C000000002485"},
        {**two, 35: "0501110207", 66: "000000010000", 112: "P20260501110100002".ljust(32)}
        | {166: "D000000000059", 180: "C000000009941", 374: "C000000009941"},
        {**refund, 35: "0501154012", 66: "000000001000", 112: REFUND.ljust(32)}
        | {166: "C000000000006", 180: "D000000000994", 374: "D000000000994"},
    ]
    content = unionpay_bills.file(
        *(unionpay_bills.record({**row, 293: MERCHANT_NO}) for row in rows)
    )
    return zipped([(f"INN26050188ZM_{MERCHANT_NO}", content)])


@dataclass
class UnionpayRig(Rig):
    server: UnionpayServer = field(default_factory=UnionpayServer)
    now: datetime = TILL
    refunds_take_time = True
    success_ack = b"ok"
    tells_payer = False
    auth_code = AUTH_CODE
    barcodes_pay_at_once = False
    signing_key = "certificate"
    open_keys = frozenset({"root_certificate", "middle_certificate"})

    def gateway(self) -> PlatformGateway:
        return gateway_at(self.server, now=self.now)

    def begin(self) -> None:
        self.server.scan(ORDER)

    def pay(self) -> None:
        self.server.pay(ORDER)

    def finish_refund(self) -> None:
        self.server.finish(REFUND)

    def fault(self, fault: Fault) -> None:
        self.server.faults.append(fault)

    def refusal(self, code: str) -> Fault:
        return self.server.saying(code)

    def system_error(self) -> Fault:
        return self.server.saying("99")

    def balance_short(self) -> Fault:
        return self.server.saying("64")

    def spoil(self, change: Callable[[bytes], bytes]) -> None:
        self.server.spoil = change

    def sign_with_stranger(self) -> None:
        self.server.signer = "self-signed"

    @override
    def barcode_refusal(self) -> Fault:
        return self.server.saying("64")

    @override
    def gateway_with(
        self, *, keys: dict[str, str] | None = None, fast: timedelta = timedelta(0)
    ) -> PlatformGateway:
        ours = replace(self.server.ours, keys={**self.server.ours.keys, **(keys or {})})
        return gateway_at(self.server, ours, now=self.now + fast)

    @override
    def foreign_key(self) -> str:
        return pfx("other merchant")

    @override
    def misstate(self, what: str) -> None:
        other = {"amount": {"txnAmt": "1"}, "merchant": {"merId": "777290058110049"}}
        self.server.misstated = other[what]

    @override
    def double_a_field(self) -> None:
        self.server.doubled = {"txnAmt": "1"}

    def payment_notice(self) -> RawNotification:
        return self.server.notice(self.server.fields(ORDER))

    def refund_notice(self) -> RawNotification:
        return self.server.notice(self.server.fields(REFUND))

    def add_bills(self) -> None:
        self.server.bills[f"{DAY:%m%d}"] = bill()
        self.now = NOW


@pytest.fixture
def server() -> UnionpayServer:
    return UnionpayServer()


class TestUnionpayContract(GatewayContract):
    """Where UnionPay has no such thing, the test of the contract is replaced by what it has instead."""

    @pytest.fixture
    def rig(self) -> Rig:
        return UnionpayRig()

    @override
    def test_a_code_for_one_order_may_be_asked_for_twice(self, rig: Rig) -> None:
        """UnionPay gives a number one answer. The second call tells nothing about the first, so nothing fails."""
        assert rig.gateway().create_payment(create_request()).qr_content == QR
        with pytest.raises(PlatformUnavailable) as caught:
            rig.gateway().create_payment(create_request())
        assert caught.value.code == "12"

    @override
    def test_closing(self, rig: Rig) -> None:
        """There is no call to close: what is unpaid counts as closed, and may be paid until its time is over."""
        gateway = rig.gateway()
        assert Capability.CLOSE not in gateway.capabilities
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED
        gateway.create_payment(create_request())
        assert gateway.close_payment(payment_ref()).outcome is Outcome.CLOSED

    @override
    def test_a_refund_for_want_of_money_is_sent_again_with_the_same_number(self, rig: Rig) -> None:
        """A number is used up by its refusal, so another refund is needed."""
        self._paid(rig)
        ref = refund_request(platform_trade_no="522605011021335616528")
        rig.fault(rig.balance_short())
        with pytest.raises(PlatformRejected) as caught:
            rig.gateway().refund(ref)
        assert (caught.value.code, caught.value.retry_same) == ("64", False)

    @override
    def test_a_day_without_trade(self, rig: Rig) -> None:
        """A missing file does not prove an empty day: see TestStatements."""
        assert isinstance(rig, UnionpayRig)
        rig.now = NOW
        with pytest.raises(StatementNotReady) as caught:
            rig.gateway().fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert caught.value.code == "98"


class TestOrders:
    def test_the_code_as_applied_for(self, server: UnionpayServer) -> None:
        gateway_at(server).create_payment(create_request())
        sent = server.requests[0]
        assert server.urls == ["https://unionpay.test/backTransReq.do"]
        assert {name: sent[name] for name in sent.keys() - {"signature", "certId"}} == {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "accessType": "0",
            "merId": MERCHANT_NO,
            "txnType": "01",
            "txnSubType": "07",
            "bizType": "000000",
            "channelType": "08",
            "orderId": ORDER,
            "txnTime": "20260501102100",
            "txnAmt": "2500",
            "currencyCode": "156",
            "backUrl": "https://shop.test/notify/x/abc",
            "payTimeout": "20260501110000",
        }

    @pytest.mark.parametrize("product", [Product.BROWSER, Product.IN_APP])
    def test_the_cashier_page(self, server: UnionpayServer, product: Product) -> None:
        request = create_request(product=product, subject='一号店 "咖啡"&{糕点}=[1]')
        handover = gateway_at(server).create_payment(request)
        assert server.requests == []
        assert handover.form is not None
        assert handover.form.url == "https://unionpay.test/frontTransReq.do"
        form = dict(handover.form.fields)
        assert (form["txnType"], form["txnSubType"], form["bizType"]) == ("01", "01", "000201")
        assert form["channelType"] == "08"
        assert form["frontUrl"] == "https://shop.test/pay/1"
        assert form["payTimeout"] == "20260501110000"
        assert form["riskRateInfo"] == "{commodityName=一号店 咖啡 糕点 1}"
        # The server checks the signature of what the browser brings.
        body = httpx.Request("POST", handover.form.url, data=form)
        with pytest.raises(AssertionError):
            server.route({**form, "txnType": "77"})
        server.route = lambda fields: server.good()  # type: ignore[method-assign]
        answer = dict(parse_qsl(server.handle(body).content.decode()))
        assert answer["respCode"] == "00"
        assert form["signature"] not in repr(handover)

    @pytest.mark.parametrize("code", ["02", "03", "04", "05", "11", "12", "34", "37", "99", "98"])
    def test_an_unclear_answer_to_a_new_code(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == code

    def test_success_without_a_code(self, server: UnionpayServer) -> None:
        server.faults.append(server.saying("00"))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).create_payment(create_request())
        assert caught.value.code == "bad_answer"

    def test_an_unusable_certificate_sends_nothing(self, server: UnionpayServer) -> None:
        ours = replace(server.ours, keys={**server.ours.keys, "certificate_password": "wrong"})
        for product in (Product.DYNAMIC_QR, Product.BROWSER):
            with pytest.raises(PlatformRejected) as caught:
                gateway_at(server, ours).create_payment(create_request(product=product))
            assert caught.value.code == "bad_key"
        assert server.requests == []


class TestQueries:
    """Two levels of codes, and time."""

    def asked(self, server: UnionpayServer, code: str, **changes: object) -> Outcome:
        now = changes.pop("now", TILL)
        assert isinstance(now, datetime)
        if ORDER not in server.deals:
            gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.deals[ORDER]["code"] = code
        return gateway_at(server, now=now).query_payment(payment_ref(**changes)).outcome

    @pytest.mark.parametrize("now", [TILL, EXPIRES_AT, EXPIRES_AT + timedelta(days=9)])
    @pytest.mark.parametrize("code", ["00", "A6"])
    def test_paid_and_paid_with_a_defect(
        self, server: UnionpayServer, code: str, now: datetime
    ) -> None:
        assert self.asked(server, code, now=now) is Outcome.SUCCEEDED
        result = gateway_at(server, now=now).query_payment(payment_ref())
        assert (result.code, result.amount) == (code, Money(2500))

    @pytest.mark.parametrize("product", list(Product))
    @pytest.mark.parametrize("code", ["03", "04", "05", "99", "42"])
    def test_undecided(self, server: UnionpayServer, code: str, product: Product) -> None:
        assert self.asked(server, code, product=product) is Outcome.PENDING
        over = EXPIRES_AT + timedelta(days=30)
        assert self.asked(server, code, product=product, now=over) is Outcome.UNKNOWN

    @pytest.mark.parametrize("product", [Product.DYNAMIC_QR, Product.IN_APP, Product.BROWSER])
    @pytest.mark.parametrize("code", ["01", "61", "64", "70", "XX"])
    def test_not_paid(self, server: UnionpayServer, code: str, product: Product) -> None:
        """Another card may still pay it until its time is over."""
        last = EXPIRES_AT - timedelta(seconds=1)
        assert self.asked(server, code, product=product, now=last) is Outcome.PENDING
        assert self.asked(server, code, product=product, now=EXPIRES_AT) is Outcome.CLOSED

    @pytest.mark.parametrize(
        ("code", "before", "after"),
        [
            ("01", Outcome.FAILED, Outcome.FAILED),
            ("64", Outcome.FAILED, Outcome.FAILED),
            ("70", Outcome.PENDING, Outcome.UNKNOWN),
            ("XX", Outcome.PENDING, Outcome.UNKNOWN),
        ],
    )
    def test_a_payers_code_has_one_try(
        self, server: UnionpayServer, code: str, before: Outcome, after: Outcome
    ) -> None:
        assert self.asked(server, code, product=Product.BARCODE) is before
        assert self.asked(server, code, product=Product.BARCODE, now=EXPIRES_AT) is after

    @pytest.mark.parametrize("now", [TILL, EXPIRES_AT + timedelta(days=30)])
    def test_not_known_is_never_a_failure(self, server: UnionpayServer, now: datetime) -> None:
        gateway = gateway_at(server, now=now)
        for product in Product:
            with pytest.raises(OrderNotFound) as caught:
                gateway.query_payment(payment_ref(product=product))
            assert caught.value.code == "34"
        with pytest.raises(OrderNotFound):
            asyncio.run(gateway.query_payment_async(payment_ref()))
        # The same one level deeper.
        with pytest.raises(OrderNotFound):
            self.asked(server, "34", now=now)

    @pytest.mark.parametrize(
        "code", ["01", "02", "03", "11", "12", "30", "37", "98", "99", "A6", "XX"]
    )
    def test_a_question_that_failed_says_nothing(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, now=NOW).query_payment(payment_ref())
        assert caught.value.code == code

    def test_asked_too_often(self, server: UnionpayServer) -> None:
        """It is an answer, and about this one number only."""
        for fault in (server.saying("37"), server.saying("98")):
            server.faults.append(fault)
        with pytest.raises(AskedTooOften):
            gateway_at(server, now=NOW).query_payment(payment_ref())
        with pytest.raises(PlatformUnavailable) as other:
            gateway_at(server, now=NOW).query_payment(payment_ref())
        assert not isinstance(other.value, AskedTooOften)

    @pytest.mark.parametrize("code", ["10", "13", "31", "32"])
    def test_a_question_that_we_may_not_ask(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server, now=NOW).query_payment(payment_ref())
        assert not isinstance(caught.value, OrderNotFound)

    def test_the_payer_is_told_by_the_masked_card(self, server: UnionpayServer) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        paid = gateway_at(server).query_payment(payment_ref())
        assert paid.platform_trade_no == "522605011021335616528"
        assert (paid.payer_id, paid.payer_masked) == (None, "621626*********0018")
        assert "signPubKeyCert" not in paid.payload

    def test_success_of_the_question_is_not_success(self, server: UnionpayServer) -> None:
        """omnipay-unionpay issue 37: respCode 00 beside origRespCode 66."""
        assert self.asked(server, "66") is Outcome.PENDING
        server.faults.append(server.saying("00"))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        ("product", "business"),
        [
            (Product.DYNAMIC_QR, "000000"),
            (Product.BARCODE, "000000"),
            (Product.BROWSER, "000201"),
            (Product.IN_APP, "000201"),
        ],
    )
    def test_the_question_as_sent(
        self, server: UnionpayServer, product: Product, business: str
    ) -> None:
        with pytest.raises(OrderNotFound):
            gateway_at(server).query_payment(payment_ref(product=product))
        sent = server.requests[0]
        assert server.urls == ["https://unionpay.test/queryTrans.do"]
        assert (sent["txnType"], sent["txnSubType"]) == ("00", "00")
        assert (sent["orderId"], sent["txnTime"]) == (ORDER, "20260501102100")
        assert sent["bizType"] == business
        assert not sent.keys() & {"txnAmt", "channelType", "currencyCode", "backUrl"}


class TestClosing:
    def closed(self, server: UnionpayServer, late: timedelta, **changes: object) -> Outcome:
        now = EXPIRES_AT + late
        return gateway_at(server, now=now).close_payment(payment_ref(**changes)).outcome

    def test_a_payment_of_the_last_second_may_lag(self, server: UnionpayServer) -> None:
        assert self.closed(server, timedelta(0)) is Outcome.PENDING
        assert self.closed(server, timedelta(seconds=59)) is Outcome.PENDING
        assert self.closed(server, timedelta(seconds=60)) is Outcome.CLOSED

    @pytest.mark.parametrize("code", ["01", "64", "XX"])
    def test_unpaid_counts_as_closed(self, server: UnionpayServer, code: str) -> None:
        gateway_at(server).create_payment(create_request())
        server.deals[ORDER]["code"] = code
        assert self.closed(server, timedelta(minutes=-5)) is Outcome.CLOSED
        assert self.closed(server, timedelta(0)) is Outcome.CLOSED

    @pytest.mark.parametrize("code", ["03", "04", "05", "99"])
    def test_undecided_stays_open_until_the_bill_has_told(
        self, server: UnionpayServer, code: str
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.deals[ORDER]["code"] = code
        assert self.closed(server, timedelta(minutes=-5)) is Outcome.PENDING
        assert self.closed(server, timedelta(minutes=5)) is Outcome.UNKNOWN
        assert self.closed(server, timedelta(hours=36)) is Outcome.CLOSED

    @pytest.mark.parametrize("late", [timedelta(minutes=-5), timedelta(days=3)])
    def test_paid_stays_paid(self, server: UnionpayServer, late: timedelta) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        assert self.closed(server, late) is Outcome.SUCCEEDED

    def test_no_answer_closes_nothing(self, server: UnionpayServer) -> None:
        server.faults.append(server.saying("99"))
        with pytest.raises(PlatformUnavailable):
            self.closed(server, timedelta(days=3))


class TestBarcodes:
    def test_the_payment_as_sent(self, server: UnionpayServer) -> None:
        gateway_at(server).pay_barcode(barcode_request(terminal_ref="T0000001"))
        sent = server.requests[0]
        assert (sent["txnType"], sent["txnSubType"], sent["bizType"]) == ("01", "06", "000000")
        assert sent["qrNo"] == AUTH_CODE
        assert sent["termId"] == "T0000001"
        gateway_at(server).pay_barcode(barcode_request(order_no="P2", terminal_ref="17"))
        assert "termId" not in server.requests[2]

    def test_accepted_and_waiting(self, server: UnionpayServer) -> None:
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.order_no) == (Outcome.PENDING, ORDER)

    def test_paid_at_once(self, server: UnionpayServer) -> None:
        def pay(request: httpx.Request) -> httpx.Response:
            answer = server.handle(request)
            server.pay(ORDER)
            return answer

        server.faults.append(pay)
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(2500))
        assert len(server.urls) == 3  # our two calls, the first of which went through twice

    def test_accepted_is_not_yet_paid(self, server: UnionpayServer) -> None:
        server.faults += [server.saying("00"), server.saying("34")]
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.code) == (Outcome.PENDING, "00")
        server.faults += [server.saying("00"), _silence]
        result = gateway_at(server).pay_barcode(barcode_request())
        assert result.outcome is Outcome.PENDING

    def test_the_payer_types_a_password(self, server: UnionpayServer) -> None:
        server.faults.append(server.saying("05"))
        result = gateway_at(server).pay_barcode(barcode_request())
        assert (result.outcome, result.code) == (Outcome.PENDING, "05")
        assert len(server.requests) == 1

    @pytest.mark.parametrize("code", ["61", "64", "65", "38", "33", "01"])
    def test_refused(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == code

    @pytest.mark.parametrize("code", ["02", "03", "04", "11", "12", "34", "42", "99", "XX"])
    def test_unclear(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == code

    def test_undecided_past_its_end_is_still_waited_for(self, server: UnionpayServer) -> None:
        """Our clock may be wrong, and the answer to a payer's code never says "unknown": that is an error."""
        late = gateway_at(server, now=EXPIRES_AT)
        assert late.pay_barcode(barcode_request()).outcome is Outcome.PENDING

    def test_another_amount(self, server: UnionpayServer) -> None:
        def pay(request: httpx.Request) -> httpx.Response:
            answer = server.handle(request)
            server.pay(ORDER)
            server.deals[ORDER]["txnAmt"] = "1"
            return answer

        server.faults.append(pay)
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).pay_barcode(barcode_request())
        assert caught.value.code == "bad_answer"

    def test_the_code_is_not_told(self, server: UnionpayServer) -> None:
        result = gateway_at(server).pay_barcode(barcode_request())
        assert AUTH_CODE not in f"{result!r}{dict(result.payload)}{barcode_request()!r}"


def _silence(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


class TestReversals:
    REF = payment_ref(product=Product.BARCODE, expires_at=BEGAN_AT + timedelta(seconds=60))

    def reversed(self, server: UnionpayServer, *, late: int = 0) -> Outcome:
        now = self.REF.expires_at + timedelta(seconds=late)
        return gateway_at(server, now=now).reverse_payment(self.REF).outcome

    def test_a_payment_that_was_made(self, server: UnionpayServer) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        server.pay(ORDER)
        assert self.reversed(server) is Outcome.CLOSED
        sent = server.requests[-1]
        assert (sent["txnType"], sent["txnSubType"]) == ("99", "01")
        assert (sent["orderId"], sent["txnTime"]) == (ORDER, "20260501102100")
        assert "txnAmt" not in sent
        assert server.deals[ORDER]["code"] == "01"
        assert self.reversed(server) is Outcome.CLOSED

    def test_a_payment_that_never_arrived(self, server: UnionpayServer) -> None:
        assert self.reversed(server, late=59) is Outcome.PENDING
        assert self.reversed(server, late=60) is Outcome.CLOSED

    @pytest.mark.parametrize("code", ["02", "03", "04", "05", "11", "99", "XX"])
    def test_unclear(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformUnavailable):
            self.reversed(server, late=600)

    @pytest.mark.parametrize("code", ["10", "13", "31"])
    def test_refused_for_our_fault(self, server: UnionpayServer, code: str) -> None:
        """Nor was it looked at: a reversal before it may have taken effect, and the payment stays a success all the same."""
        server.faults.append(server.saying(code))
        with pytest.raises(PlatformUnavailable) as caught:
            self.reversed(server)
        assert caught.value.code == code

    @pytest.mark.parametrize(("refusal", "state"), [("12", "00"), ("35", "00"), ("32", "05")])
    def test_what_no_question_decides_ends_with_the_bill(
        self, server: UnionpayServer, refusal: str, state: str
    ) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        server.pay(ORDER)
        server.deals[ORDER]["code"] = state
        hours = 60 * 60
        for late, outcome in ((35 * hours, Outcome.PENDING), (36 * hours, Outcome.CLOSED)):
            server.faults.append(server.saying(refusal))
            assert self.reversed(server, late=late) is outcome

    @pytest.mark.parametrize(
        ("refusal", "state", "outcome"),
        [
            # Nothing was taken, so there is nothing to reverse.
            ("35", "64", Outcome.CLOSED),
            ("12", "64", Outcome.CLOSED),
            ("32", "05", Outcome.PENDING),
            # The merchant may not reverse, and it is paid.
            ("32", "00", Outcome.SUCCEEDED),
            ("39", "A6", Outcome.SUCCEEDED),
            # This may be the echo of a reversal before, of which a query of the payment does not tell.
            ("12", "00", Outcome.PENDING),
            ("35", "00", Outcome.PENDING),
        ],
    )
    def test_refused(
        self, server: UnionpayServer, refusal: str, state: str, outcome: Outcome
    ) -> None:
        gateway_at(server).pay_barcode(barcode_request())
        server.pay(ORDER)
        server.deals[ORDER]["code"] = state
        server.faults.append(server.saying(refusal))
        assert self.reversed(server, late=600) is outcome


class TestRefunds:
    TRADE_NO = "522605011021335616528"

    @pytest.fixture
    def paid(self, server: UnionpayServer) -> UnionpayServer:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.requests.clear()
        return server

    def test_the_refund_as_sent(self, paid: UnionpayServer) -> None:
        result = gateway_at(paid).refund(refund_request(platform_trade_no=self.TRADE_NO))
        (sent,) = paid.requests
        assert (sent["txnType"], sent["txnSubType"], sent["bizType"]) == ("04", "00", "000000")
        assert (sent["orderId"], sent["txnTime"]) == (REFUND, "20260501154012")
        assert (sent["origQryId"], sent["txnAmt"]) == (self.TRADE_NO, "1000")
        assert sent["backUrl"] == "https://shop.test/notify/x/abc"
        assert sent["reqReserved"] == ORDER
        assert result.platform_refund_no

    def test_without_the_platforms_number_the_payment_is_asked_for_it(
        self, paid: UnionpayServer
    ) -> None:
        gateway_at(paid).refund(refund_request())
        question, sent = paid.requests
        assert (question["orderId"], question["txnTime"]) == (ORDER, "20260501102100")
        assert sent["origQryId"] == self.TRADE_NO

    @pytest.mark.parametrize("code", ["", "05", "01"])
    def test_a_payment_that_is_not_paid_as_far_as_the_platform_knows(
        self, paid: UnionpayServer, code: str
    ) -> None:
        paid.deals[ORDER]["code"] = code
        with pytest.raises(PlatformUnavailable):
            gateway_at(paid).refund(refund_request())
        assert REFUND not in paid.deals

    @pytest.mark.parametrize("code", ["02", "03", "04", "11", "34", "37", "99", "XX"])
    def test_unclear(self, paid: UnionpayServer, code: str) -> None:
        paid.faults.append(paid.saying(code))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).refund(refund_request(platform_trade_no=self.TRADE_NO))
        assert caught.value.code == code

    @pytest.mark.parametrize("code", ["00", "05", "A6"])
    def test_accepted_is_not_done(self, paid: UnionpayServer, code: str) -> None:
        paid.faults.append(paid.saying(code))
        result = gateway_at(paid).refund(refund_request(platform_trade_no=self.TRADE_NO))
        assert (result.outcome, result.amount) == (Outcome.PENDING, Money(1000))

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("00", Outcome.SUCCEEDED),
            ("A6", Outcome.SUCCEEDED),
            ("03", Outcome.PENDING),
            ("05", Outcome.PENDING),
            ("64", Outcome.FAILED),
            ("36", Outcome.FAILED),
            ("99", Outcome.UNKNOWN),
            ("42", Outcome.UNKNOWN),
            ("XX", Outcome.UNKNOWN),
        ],
    )
    def test_states(self, paid: UnionpayServer, code: str, outcome: Outcome) -> None:
        gateway_at(paid).refund(refund_request())
        paid.finish(REFUND, code=code)
        result = gateway_at(paid, now=NOW).query_refund(refund_ref())
        assert (result.outcome, result.code) == (outcome, code)
        # A repeat is told the same, since UnionPay knows the number already.
        assert gateway_at(paid).refund(refund_request()).outcome is outcome

    def test_a_repeat_with_another_amount(self, paid: UnionpayServer) -> None:
        gateway_at(paid).refund(refund_request())
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).refund(refund_request(amount=Money(900)))
        assert caught.value.code == "bad_answer"

    def test_a_number_that_is_known_and_not_found(self, paid: UnionpayServer) -> None:
        gateway_at(paid).refund(refund_request())
        paid.finish(REFUND, code="")
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).refund(refund_request())
        assert caught.value.code == "12"

    @pytest.mark.parametrize(
        ("age", "error"),
        [
            (timedelta(minutes=-1), PlatformRejected),
            (timedelta(minutes=5), PlatformRejected),
            (timedelta(minutes=6), PlatformUnavailable),
            (timedelta(hours=23), PlatformUnavailable),
            (timedelta(hours=24), PlatformRejected),
        ],
    )
    def test_the_refusal_of_a_repeat_says_nothing_about_the_first_call(
        self, paid: UnionpayServer, age: timedelta, error: type[Exception]
    ) -> None:
        paid.faults.append(paid.saying("36"))
        with pytest.raises(error):
            gateway_at(paid, now=REFUND_BEGAN_AT + age).refund(
                refund_request(platform_trade_no=self.TRADE_NO)
            )

    @pytest.mark.parametrize(
        ("age", "code"),
        [(timedelta(hours=1), "clock_skew"), (timedelta(hours=25), "number_too_old")],
    )
    def test_a_number_whose_time_has_passed(
        self, paid: UnionpayServer, age: timedelta, code: str
    ) -> None:
        paid.now = REFUND_BEGAN_AT + age
        with pytest.raises((PlatformUnavailable, PlatformRejected)) as caught:
            gateway_at(paid, now=paid.now).refund(refund_request())
        error = caught.value
        assert isinstance(error, (PlatformUnavailable, PlatformRejected))
        assert error.code == code
        assert isinstance(error, PlatformRejected) is (code == "number_too_old")

    def test_another_payments_refund(self, paid: UnionpayServer) -> None:
        gateway_at(paid).refund(refund_request())
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).query_refund(refund_ref(platform_trade_no="5" * 21))
        assert caught.value.code == "bad_answer"

    def test_a_payment_is_no_refund(self, paid: UnionpayServer) -> None:
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(paid).query_refund(refund_ref(refund_no=ORDER, began_at=BEGAN_AT))
        assert caught.value.code == "bad_answer"
        gateway_at(paid).refund(refund_request())
        with pytest.raises(PlatformUnavailable):
            gateway_at(paid).query_payment(payment_ref(order_no=REFUND, began_at=REFUND_BEGAN_AT))


class TestCancellations:
    """A whole payment, on its settlement day, 23:00 to 23:00 in China."""

    @pytest.mark.parametrize(
        ("paid_at", "began_at", "amount", "kind"),
        [
            ("05-01 10:21", "05-01 15:40", 2500, "31"),
            ("05-01 10:21", "05-01 15:40", 2499, "04"),
            ("05-01 10:21", "05-02 00:00", 2500, "04"),
            ("05-01 10:21", "05-01 22:49", 2500, "31"),
            # Too close to the end of the day to be sure to arrive in it.
            ("05-01 10:21", "05-01 22:50", 2500, "04"),
            ("05-01 10:21", "05-01 23:00", 2500, "04"),
            ("04-30 23:00", "05-01 09:00", 2500, "31"),
            ("04-30 22:59", "05-01 09:00", 2500, "04"),
            ("05-01 22:30", "05-01 23:05", 2500, "04"),
        ],
    )
    def test_which_kind(
        self, server: UnionpayServer, paid_at: str, began_at: str, amount: int, kind: str
    ) -> None:
        def beijing(text: str) -> datetime:
            return datetime.strptime(f"2026-{text} +0800", "%Y-%m-%d %H:%M %z").astimezone(UTC)

        request = refund_request(
            platform_trade_no="1",
            amount=Money(amount),
            paid_at=beijing(paid_at),
            began_at=beijing(began_at),
        )
        for later in (0, 3, 30):
            # A repeat at whatever time is the same.
            now = request.began_at + timedelta(hours=later)
            server.faults.append(server.saying("00"))
            gateway_at(server, now=now, cancels_same_day=True).refund(request)
            server.faults.append(server.saying("00"))
            gateway_at(server, now=now).refund(request)
        assert [sent["txnType"] for sent in server.requests] == [kind, "04"] * 3

    def test_a_payment_of_unknown_time_is_refunded(self, server: UnionpayServer) -> None:
        server.faults.append(server.saying("00"))
        request = refund_request(platform_trade_no="1", amount=Money(2500), paid_at=None)
        gateway_at(server, cancels_same_day=True).refund(request)
        assert server.requests[0]["txnType"] == "04"

    def test_from_begin_to_end(self, server: UnionpayServer) -> None:
        gateway = gateway_at(server, cancels_same_day=True)
        gateway.create_payment(create_request())
        server.pay(ORDER)
        assert gateway.refund(refund_request(amount=Money(2500))).outcome is Outcome.PENDING
        server.finish(REFUND)
        assert server.deals[REFUND]["txnType"] == "31"
        done = gateway.query_refund(refund_ref())
        assert (done.outcome, done.refunded_at) == (Outcome.SUCCEEDED, REFUNDED_AT)
        notice = gateway.parse_notification(server.notice(server.fields(REFUND)))
        assert notice.refund is not None
        assert notice.refund.amount == Money(2500)


class TestNotices:
    @pytest.fixture
    def paid(self, server: UnionpayServer) -> UnionpayServer:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        return server

    @pytest.mark.parametrize("charset", ["UTF-8", "GBK"])
    def test_in_either_character_set(self, paid: UnionpayServer, charset: str) -> None:
        codec = "gb18030" if charset == "GBK" else "utf-8"
        raw = paid.notice(paid.fields(ORDER, encoding=charset), charset=codec)
        notice = gateway_at(paid).parse_notification(raw)
        assert notice.payment is not None
        assert notice.payment.message == "成功[0000000]"

    def test_what_stands_in_the_address_is_not_part_of_it(self, paid: UnionpayServer) -> None:
        raw = paid.notice(paid.fields(ORDER), query="txnAmt=1&respCode=01&x=y")
        notice = gateway_at(paid).parse_notification(raw)
        assert notice.payment is not None
        assert notice.payment.amount == Money(2500)

    def test_unknown_fields_are_signed_too(self, paid: UnionpayServer) -> None:
        raw = paid.notice(paid.fields(ORDER, somethingNew="a+b c"))
        assert gateway_at(paid).parse_notification(raw).payment is not None
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(replace(raw, body=raw.body + b"&extra=1"))

    def test_a_field_twice(self, paid: UnionpayServer) -> None:
        raw = paid.notice(paid.fields(ORDER))
        with pytest.raises(MalformedMessage):
            gateway_at(paid).parse_notification(replace(raw, body=b"txnAmt=1&" + raw.body))

    @pytest.mark.parametrize(
        "change",
        [
            {"merId": "777290058110049"},
            {"merId": ""},
            {"txnAmt": "25.00"},
            {"txnAmt": "-2500"},
            {"txnAmt": "２５００"},
            {"currencyCode": "840"},
            {"orderId": ""},
            {"queryId": ""},
            {"txnTime": "2026"},
            {"traceTime": "0230101010"},
        ],
    )
    def test_what_is_not_ours_or_not_readable(
        self, paid: UnionpayServer, change: dict[str, str]
    ) -> None:
        with pytest.raises(MalformedMessage):
            gateway_at(paid).parse_notification(paid.notice({**paid.fields(ORDER), **change}))

    @pytest.mark.parametrize("change", [{"respCode": "05"}, {"respCode": "01"}, {"txnType": "99"}])
    def test_what_is_not_acted_upon(self, paid: UnionpayServer, change: dict[str, str]) -> None:
        raw = paid.notice({**paid.fields(ORDER), **change})
        assert gateway_at(paid).parse_notification(raw).kind is NotificationKind.OTHER

    def test_paid_with_a_defect(self, paid: UnionpayServer) -> None:
        notice = gateway_at(paid).parse_notification(paid.notice(paid.fields(ORDER, respCode="A6")))
        assert notice.payment is not None
        assert (notice.payment.outcome, notice.payment.code) == (Outcome.SUCCEEDED, "A6")

    def test_a_refund_whose_remark_did_not_come_back(self, paid: UnionpayServer) -> None:
        gateway_at(paid).refund(refund_request())
        fields = paid.fields(REFUND)
        del fields["reqReserved"]
        notice = gateway_at(paid).parse_notification(paid.notice(fields))
        assert notice.refund is not None
        assert (notice.refund.refund_no, notice.refund.order_no) == (REFUND, "")

    @pytest.mark.parametrize(
        ("signer", "signs_with", "reason"),
        [
            ("self-signed", "", "chain"),
            ("other chain", "", "chain"),
            ("other owner", "", "owner"),
            ("expired", "", "expired"),
            ("unionpay", "self-signed", "wrong"),
        ],
    )
    def test_forged(self, paid: UnionpayServer, signer: str, signs_with: str, reason: str) -> None:
        paid.signer, paid.signs_with = signer, signs_with
        with pytest.raises(InvalidSignature) as caught:
            gateway_at(paid).parse_notification(paid.notice(paid.fields(ORDER)))
        assert str(caught.value) == reason

    def test_it_is_judged_as_of_its_arrival(self, paid: UnionpayServer) -> None:
        raw = paid.notice(paid.fields(ORDER))
        later = gateway_at(paid, now=datetime(2050, 1, 1, tzinfo=UTC))
        assert later.parse_notification(raw).payment is not None
        with pytest.raises(InvalidSignature):
            gateway_at(paid).parse_notification(
                replace(raw, received_at=datetime(2050, 1, 1, tzinfo=UTC))
            )

    def test_the_refusal(self, server: UnionpayServer) -> None:
        assert gateway_at(server).acknowledge(accepted=False).status == 400


class TestBadAnswers:
    """The state stays as it was, and the reason can be told."""

    def calls(self, gateway: PlatformGateway) -> list[Callable[[], object]]:
        reversed_ref = payment_ref(product=Product.BARCODE)
        return [
            lambda: gateway.create_payment(create_request()),
            lambda: gateway.pay_barcode(barcode_request()),
            lambda: gateway.query_payment(payment_ref()),
            lambda: asyncio.run(gateway.query_payment_async(payment_ref())),
            lambda: gateway.close_payment(payment_ref()),
            lambda: gateway.reverse_payment(reversed_ref),
            lambda: gateway.refund(refund_request(platform_trade_no="1")),
            lambda: gateway.query_refund(refund_ref()),
            lambda: asyncio.run(gateway.query_refund_async(refund_ref())),
            lambda: gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE),
        ]

    def refused(self, server: UnionpayServer, fault: Fault, code: str) -> None:
        for call in self.calls(gateway_at(server)):
            server.faults.append(fault)
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == code

    @pytest.mark.parametrize(
        ("signer", "signs_with"),
        [
            ("unionpay", "self-signed"),
            ("self-signed", ""),
            ("other chain", ""),
            ("other owner", ""),
            ("expired", ""),
        ],
    )
    def test_foreign_certificates(
        self, server: UnionpayServer, signer: str, signs_with: str
    ) -> None:
        server.signer, server.signs_with = signer, signs_with
        # Even a refusal, which would otherwise be final, is not believed.
        self.refused(server, server.saying("00"), "bad_signature")
        self.refused(server, server.saying("64"), "bad_signature")

    def test_success_without_a_signature(self, server: UnionpayServer) -> None:
        def unsigned(request: httpx.Request) -> httpx.Response:
            echo = {name: server.requests[-1].get(name, "") for name in ("merId", "orderId")}
            return server.answer({**echo, "respCode": "00", "origRespCode": "00"}, signed=False)

        self.refused(server, unsigned, "bad_signature")

    def test_a_refusal_without_a_signature_is_told_and_not_believed(
        self, server: UnionpayServer
    ) -> None:
        answer = {"respCode": "64", "respMsg": "余额不足"}
        self.refused(server, lambda _: server.answer(answer, signed=False), "64")

    def test_a_signed_answer_without_a_code(self, server: UnionpayServer) -> None:
        self.refused(server, lambda _: server.answer({"merId": MERCHANT_NO}), "bad_answer")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html><body>502</body></html>",
            b'{"respCode":"00"}',
            b"respCode=00&respMsg=[",
            b"respCode=00&respCode=00",
            b"\xff\xfe",
        ],
    )
    def test_what_is_no_answer(self, server: UnionpayServer, body: bytes) -> None:
        self.refused(server, lambda _: httpx.Response(200, content=body), "bad_answer")

    @pytest.mark.parametrize("keep", [20, 400, -1])
    def test_truncated(self, server: UnionpayServer, keep: int) -> None:
        def cut(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=server.saying("64")(request).content[:keep])

        for call in self.calls(gateway_at(server)):
            server.faults.append(cut)
            with pytest.raises(PlatformUnavailable):
                call()

    @pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
    def test_any_status_but_200(self, server: UnionpayServer, status: int) -> None:
        def other(request: httpx.Request) -> httpx.Response:
            return httpx.Response(status, content=server.saying("64")(request).content)

        self.refused(server, other, f"http_{status}")

    def test_silence(self, server: UnionpayServer) -> None:
        self.refused(server, _silence, "timeout")

    def test_ten_megabytes(self, server: UnionpayServer) -> None:
        gateway = gateway_at(server)
        for call in self.calls(gateway)[:-1]:
            server.faults.append(lambda _: httpx.Response(200, content=b"a" * (10 << 20)))
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == "too_large"

    @pytest.mark.parametrize(
        "change",
        [
            {"orderId": "P2"},
            {"orderId": ""},
            {"merId": "777290058110049"},
            {"merId": ""},
            {"txnTime": "20260501102101"},
        ],
    )
    def test_an_answer_about_something_else(
        self, server: UnionpayServer, change: dict[str, str]
    ) -> None:
        def other(request: httpx.Request) -> httpx.Response:
            sent = {
                name: server.requests[-1].get(name, "") for name in ("merId", "orderId", "txnTime")
            }
            answer = {**sent, "respCode": "00", "origRespCode": "01", **change}
            return server.answer({name: value for name, value in answer.items() if value})

        gateway = gateway_at(server)
        for call in self.calls(gateway)[:-1]:
            server.faults.append(other)
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == "bad_answer"

    @pytest.mark.parametrize(
        "change",
        [
            {"txnAmt": ""},
            {"txnAmt": "25.00"},
            {"txnAmt": "9" * 13},
            {"currencyCode": "840"},
            {"queryId": ""},
            {"txnType": "04"},
            {"traceTime": "yesterday"},
        ],
    )
    def test_a_payment_that_cannot_be_read(
        self, server: UnionpayServer, change: dict[str, str]
    ) -> None:
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.deals[ORDER] |= change
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server).query_payment(payment_ref())
        assert caught.value.code == "bad_answer"

    def test_another_amount_is_told_as_it_is(self, server: UnionpayServer) -> None:
        """Whoever applies the result compares it with ours and changes nothing."""
        gateway_at(server).create_payment(create_request())
        server.pay(ORDER)
        server.deals[ORDER]["txnAmt"] = "2501"
        assert gateway_at(server).query_payment(payment_ref()).amount == Money(2501)

    def test_a_clock_that_is_wrong(self, server: UnionpayServer) -> None:
        server.now = BEGAN_AT - timedelta(minutes=10)
        gateway = gateway_at(server)
        for call in self.calls(gateway)[:2]:
            with pytest.raises(PlatformUnavailable) as caught:
                call()
            assert caught.value.code == "clock_skew"
        assert server.deals == {}

    def test_no_secret_in_any_log(
        self, server: UnionpayServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        said = []
        for fault in (_silence, server.saying("11"), server.saying("XX")):
            for call in self.calls(gateway_at(server)):
                server.faults.append(fault)
                with pytest.raises((PlatformUnavailable, PlatformRejected)) as caught:
                    call()
                said.append(repr(caught.value) + str(caught.value))
        everything = caplog.text + "".join(said) + repr(gateway_at(server)) + repr(server.ours)
        signature = server.requests[0]["signature"]
        for secret in (AUTH_CODE, pfx()[100:140], signature[:40]):
            assert secret not in everything


class TestStatements:
    @pytest.mark.parametrize("days", [1, 4, 30, 300])
    def test_a_missing_file_is_not_an_empty_day(self, server: UnionpayServer, days: int) -> None:
        """Nor with time: who has waited long enough, and a person, may say so."""
        gateway = gateway_at(server, now=NOW + timedelta(days=days - 1))
        with pytest.raises(StatementMissing) as caught:
            gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert caught.value.code == "98"

    def test_the_file_is_kept_as_it_came(self, server: UnionpayServer) -> None:
        server.bills[f"{DAY:%m%d}"] = bill()
        gateway = gateway_at(server, now=NOW)
        file = gateway.fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert file.filename == f"{MERCHANT_NO}_20260501_trade.zip"
        assert file.content == bill()

    def test_the_request_as_sent(self, server: UnionpayServer) -> None:
        with pytest.raises(StatementNotReady):
            gateway_at(server, now=NOW).fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        sent = server.requests[0]
        assert server.urls == ["https://file.test/"]
        assert {name: sent[name] for name in ("txnType", "txnSubType", "bizType", "fileType")} == {
            "txnType": "76",
            "txnSubType": "01",
            "bizType": "000000",
            "fileType": "00",
        }
        assert (sent["settleDate"], sent["txnTime"]) == ("0501", "20260502110000")
        assert not sent.keys() & {"orderId", "currencyCode", "backUrl", "channelType"}

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"fileContent": "!"}, "bad_file"),
            ({"fileContent": "eJxLSQ=="}, "bad_file"),
            ({"fileContent": ""}, "bad_answer"),
            ({"fileName": ""}, "bad_answer"),
            ({"fileName": f"{MERCHANT_NO}_20250501.zip"}, "bad_file"),
            ({"fileContent": "eJzLSM3JyQcABiwCFQ=="}, "bad_file"),
            ({"respCode": "99"}, "99"),
        ],
    )
    def test_unusable_files(
        self, server: UnionpayServer, changes: dict[str, str], code: str
    ) -> None:
        good = {"merId": MERCHANT_NO, "respCode": "00", "fileName": "x", "fileContent": "x"}
        server.faults.append(lambda _: server.answer({**good, **changes}))
        with pytest.raises(PlatformUnavailable) as caught:
            gateway_at(server, now=NOW).fetch_statement(business_date=DAY, kind=StatementKind.TRADE)
        assert caught.value.code == code

    def test_the_same_day_of_another_year_is_not_fetched(self, server: UnionpayServer) -> None:
        with pytest.raises(PlatformRejected) as caught:
            gateway_at(server, now=NOW).fetch_statement(
                business_date=date(2025, 5, 1), kind=StatementKind.TRADE
            )
        assert caught.value.code == "bill_too_old"
        assert server.requests == []


class TestCredentials:
    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"certificate": pfx("renewed")}, "certificate", "11"),
            ({"certificate": "rubbish"}, "certificate", "certificate_garbled"),
            ({"certificate": ""}, "certificate", "certificate_empty"),
            ({"certificate_password": "1"}, "certificate_password", "certificate_password"),
            ({"certificate": pfx("expired")}, "certificate", "own_certificate_expired"),
            ({"root_certificate": ""}, "root_certificate", "certificate_empty"),
            ({"root_certificate": pem("other root")}, "middle_certificate", "certificate_chain"),
            (
                {"middle_certificate": pem("other middle")},
                "middle_certificate",
                "certificate_chain",
            ),
            ({"middle_certificate": "x"}, "middle_certificate", "certificate_garbled"),
            (
                {"root_certificate": pem("other root"), "middle_certificate": pem("other middle")},
                "root_certificate",
                "certificate_chain",
            ),
        ],
    )
    def test_the_credential_at_fault(
        self, server: UnionpayServer, changes: dict[str, str], field: str, code: str
    ) -> None:
        ours = replace(server.ours, keys={**server.ours.keys, **changes})
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field, verdict.code) == (CheckState.BAD, field, code)

    def test_a_wrong_merchant_code(self, server: UnionpayServer) -> None:
        ours = replace(server.ours, merchant_no="777290058110049")
        verdict = gateway_at(server, ours).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, "merchant_no")

    @pytest.mark.parametrize(
        ("signer", "signs_with", "field", "code"),
        [
            ("self-signed", "", "root_certificate", "certificate_chain"),
            ("other owner", "", "", "certificate_owner"),
            ("expired", "", "", "certificate_expired"),
            ("unionpay", "self-signed", "", "answer_altered"),
        ],
    )
    def test_answers_that_are_not_the_platforms(
        self, server: UnionpayServer, signer: str, signs_with: str, field: str, code: str
    ) -> None:
        server.signer, server.signs_with = signer, signs_with
        verdict = gateway_at(server).check_credentials()
        assert (verdict.state, verdict.field, verdict.code) == (CheckState.BAD, field, code)

    def test_a_test_owner_is_a_setting(self, server: UnionpayServer) -> None:
        server.signer = "merchant"
        assert gateway_at(server).check_credentials().code == "certificate_owner"
        owners = (OWNER, "777290058110048:SIGN")
        assert gateway_at(server, owners=owners).check_credentials().state is CheckState.GOOD

    @pytest.mark.parametrize("code", ["99", "03", "37"])
    def test_trouble_says_nothing(self, server: UnionpayServer, code: str) -> None:
        server.faults.append(server.saying(code))
        verdict = gateway_at(server).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.UNREACHABLE, "")

    def test_a_complaint_without_a_signature_names_the_field(self, server: UnionpayServer) -> None:
        answer = {"respCode": "11", "respMsg": "Signature verification failed[9100004]"}
        server.faults.append(lambda _: server.answer(answer, signed=False))
        verdict = gateway_at(server).check_credentials()
        assert (verdict.state, verdict.field) == (CheckState.BAD, "certificate")

    def test_it_asks_about_a_number_that_nothing_has(self, server: UnionpayServer) -> None:
        gateway_at(server).check_credentials()
        gateway_at(server).check_credentials()
        one, two = (sent["orderId"] for sent in server.requests)
        assert one != two
        assert one.isalnum()
        assert 8 <= len(one) <= 32
        assert server.requests[0]["txnTime"] == "20260501102130"


def test_every_code_that_the_connector_knows_has_words() -> None:
    known = messages.known_codes(Platform.UNIONPAY)
    assert known >= wire.DOUBTFUL | wire.REFUSED | wire.PAID | wire.OUR_FAULT
    assert {*connector._UNTRUSTED.values(), *connector._AT_FAULT, connector._ALTERED} <= known
    reasons = ("empty", "garbled", "password", "no_key", "private", "not_rsa", "weak", "chain")
    assert {f"certificate_{reason}" for reason in reasons} <= known
    assert {"own_certificate_expired", "number_too_old", "bill_too_old", "clock_skew"} <= known
