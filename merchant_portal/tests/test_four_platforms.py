"""Each platform's whole life of payments and refunds: our connector against the running simulator, over real HTTP.

The two share no code, so whatever both take for the protocol was read in the dossier twice.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, TypeVar

import httpx
import pytest
import time_machine
from pytest_django import Settings

from apps.core import clock
from apps.core.money import Money
from apps.platforms import registry
from apps.platforms.gateway import (
    BarcodeRequest,
    Capability,
    CheckState,
    CreateRequest,
    Credentials,
    InvalidSignature,
    MalformedMessage,
    Notification,
    NotificationKind,
    OrderNotFound,
    Outcome,
    PaymentRef,
    PaymentResult,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    RefundRef,
    RefundRequest,
    RefundResult,
    StatementKind,
)
from merchant_portal.tests.foreign.harness import Inbox, Simulator, receiving, running_simulator

pytestmark = pytest.mark.simulator

AMOUNT = Money(2500)
#: What a wallet's own browser says it is.
AGENTS = {
    "wechatpay": "Mozilla/5.0 MicroMessenger/8.0.49",
    "alipay": "Mozilla/5.0 AlipayClient/10.5.90",
    "unionpay": "Mozilla/5.0 UnionPay/1.0 CloudPay",
}

Result = TypeVar("Result", PaymentResult, RefundResult)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_simulator(tmp_path_factory.mktemp("four")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    with receiving(b"success") as inbox:
        yield inbox


@dataclass
class Shop:
    """A merchant at one of the simulated platforms, our gateway for it, and what may be done there by hand."""

    platform: Platform
    simulator: Simulator
    inbox: Inbox
    shown: dict[str, Any]
    ours: Credentials

    @property
    def gateway(self) -> PlatformGateway:
        return registry.gateway_for(platform=self.platform, credentials=self.ours)

    @property
    def wallet(self) -> str:
        """Who pays here; at Shouqianba, who takes all, Alipay."""
        return "alipay" if self.platform is Platform.SHOUQIANBA else self.platform.value

    def order(self, product: Product = Product.DYNAMIC_QR, **changes: Any) -> CreateRequest:
        now = clock.now()
        request = CreateRequest(
            product=product,
            order_no=_number("P"),
            amount=AMOUNT,
            subject="一号店 ☕️ 咖啡",
            began_at=now,
            expires_at=now + timedelta(minutes=15),
            notify_url=self.inbox.url,
            wallet=self.wallet,
            return_url="http://localhost/pay/1",
        )
        return replace(request, **changes)

    def barcode(self, behaviour: str) -> BarcodeRequest:
        now = clock.now()
        code = self.simulator.control(
            "paycodes", {"wallet": self.wallet, "behaviour": behaviour, "seconds": 120}
        )
        return BarcodeRequest(
            order_no=_number("P"),
            auth_code=code["digits"],
            amount=AMOUNT,
            subject="一号店 咖啡",
            began_at=now,
            expires_at=now + timedelta(seconds=60),
            notify_url=self.inbox.url,
            store_ref="1",
            terminal_ref="1",
            operator="7",
            client_ip="203.0.113.7",
        )

    def refund_of(self, paid: PaymentResult, order: CreateRequest, fen: int) -> RefundRequest:
        return RefundRequest(
            order_no=order.order_no,
            refund_no=_number("R"),
            amount=Money(fen),
            order_amount=order.amount,
            reason="顾客退货",
            notify_url=self.inbox.url,
            began_at=clock.now(),
            payment_began_at=order.began_at,
            paid_at=paid.paid_at,
            platform_trade_no=paid.platform_trade_no,
            operator="7",
        )

    def pay(self, order_no: str) -> None:
        self.simulator.control("pay", {**self.named, "out_trade_no": order_no})

    @property
    def named(self) -> dict[str, str]:
        return {"platform": self.platform.value, "merchant_no": self.shown["merchant_no"]}

    def fault(self, key: str, **value: Any) -> None:
        self.simulator.control(
            "faults", {"key": key, "platform": self.platform.value, "value": value, "uses": 1}
        )

    def books(self) -> dict[str, Any]:
        query = "&".join(f"{name}={value}" for name, value in self.named.items())
        books: dict[str, Any] = self.simulator.control(f"books?{query}")
        return books

    def refunded(self, order_no: str) -> int:
        """What the platform's own books say was given back, in fen."""
        (row,) = [one for one in self.books()["payments"] if one["out_trade_no"] == order_no]
        given: int = row["refunded_fen"]
        return given

    def paid(self, **changes: Any) -> tuple[CreateRequest, PaymentResult]:
        """A payment made by code."""
        order = self.order(**changes)
        assert self.gateway.create_payment(order).qr_content
        self.pay(order.order_no)
        result = self.gateway.query_payment(ref_of(order))
        assert result.outcome is Outcome.SUCCEEDED
        return order, result

    def heard(self, order_no: str, kind: NotificationKind) -> Notification:
        """The notice of this order that our gateway verifies, within ten seconds."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for headers, body in list(self.inbox.posts):
                raw = RawNotification(
                    headers={name.lower(): value for name, value in headers.items()},
                    query="",
                    body=body,
                    received_at=clock.now(),
                )
                try:
                    notice = self.gateway.parse_notification(raw)
                except (InvalidSignature, MalformedMessage):
                    # Another merchant's.
                    continue
                about = notice.refund or notice.payment
                if about and about.order_no == order_no and notice.kind is kind:
                    return notice
            time.sleep(0.05)
        raise AssertionError(f"no {kind} notice about {order_no} came")


def _number(prefix: str) -> str:
    return f"{prefix}{clock.now():%Y%m%d%H%M%S}{secrets.token_hex(5)}"


def ref_of(order: CreateRequest | BarcodeRequest) -> PaymentRef:
    return PaymentRef(
        order_no=order.order_no,
        began_at=order.began_at,
        expires_at=order.expires_at,
        product=order.product if isinstance(order, CreateRequest) else Product.BARCODE,
    )


def refund_ref(request: RefundRequest, before: int) -> RefundRef:
    return RefundRef(
        order_no=request.order_no,
        refund_no=request.refund_no,
        began_at=request.began_at,
        platform_trade_no=request.platform_trade_no or "",
        amount=request.amount,
        refunded_before=Money(before),
    )


def settled(ask: Callable[[], Result]) -> Result:
    """The answer once it is no longer under way, within ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        result = ask()
        if result.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}:
            return result
        assert time.monotonic() < deadline, result
        time.sleep(0.1)


def failed(ask: Callable[[], PaymentResult]) -> bool:
    """Refused for good, or answered with a failure."""
    try:
        return ask().outcome is Outcome.FAILED
    except PlatformRejected as refusal:
        return not refusal.retry_same


@contextmanager
def later(simulator: Simulator, by: timedelta, *, here: bool = True) -> Iterator[None]:
    """There, and ``here`` too. What is signed with the time of now is compared with the true one there."""
    simulator.control("clock", {"advance_seconds": by.total_seconds()})
    try:
        with time_machine.travel(clock.now() + (by if here else timedelta(0)), tick=True):
            yield
    finally:
        simulator.control("clock", {"advance_seconds": -by.total_seconds()})


@pytest.fixture(params=list(Platform), ids=str)
def shop(
    request: pytest.FixtureRequest, settings: Settings, simulator: Simulator, inbox: Inbox
) -> Shop:
    """A new merchant; Shouqianba's with a terminal, activated by our gateway."""
    address = simulator.address
    settings.WECHATPAY_API_URL = f"{address}/wechatpay"
    settings.ALIPAY_GATEWAY_URL = f"{address}/alipay/gateway.do"
    settings.UNIONPAY_BACK_URL = f"{address}/unionpay/gateway/api/backTransReq.do"
    settings.UNIONPAY_FRONT_URL = f"{address}/unionpay/gateway/api/frontTransReq.do"
    settings.UNIONPAY_QUERY_URL = f"{address}/unionpay/gateway/api/queryTrans.do"
    settings.UNIONPAY_FILE_URL = f"{address}/unionpay/file/"
    settings.SHOUQIANBA_API_URL = f"{address}/shouqianba"
    settings.SHOUQIANBA_GATEWAY_URL = f"{address}/shouqianba/qr/gateway"
    platform = request.param
    shown = simulator.control("merchants", {"platform": platform.value, "name": "四个平台"})
    held = {"platform", "merchant_no", "app_id", "name", "rate_ppm", "activation_code"}
    ours = Credentials(
        app_id=shown["app_id"],
        merchant_no=shown["merchant_no"],
        keys={name: str(value) for name, value in shown.items() if name not in held},
    )
    shop = Shop(platform, simulator, inbox, shown, ours)
    if Capability.TERMINALS in shop.gateway.capabilities:
        shop.ours = with_terminal(shop)
    return shop


def with_terminal(shop: Shop) -> Credentials:
    device = f"portal-{secrets.token_hex(8)}"
    made = shop.gateway.activate_terminal(
        code=shop.shown["activation_code"], device_id=device, name="Merchant Portal"
    )
    keys = {
        "terminal_sn": made.terminal_sn,
        "terminal_key": made.terminal_key,
        "device_id": device,
    }
    return replace(shop.ours, keys={**shop.ours.keys, **keys})


def test_the_credentials_as_the_console_hands_them_out(shop: Shop) -> None:
    assert shop.gateway.check_credentials().state is CheckState.GOOD
    entered = {**shop.ours.keys, "activation_code": shop.shown.get("activation_code", "")}
    assert (
        registry.validate_credentials_shape(shop.platform, replace(shop.ours, keys=entered)) == {}
    )


def test_a_code_is_paid_and_told_of(shop: Shop) -> None:
    order = shop.order()
    assert shop.gateway.create_payment(order).qr_content
    try:
        before = shop.gateway.query_payment(ref_of(order)).outcome
    except OrderNotFound:
        before = Outcome.PENDING
    assert before is Outcome.PENDING
    shop.pay(order.order_no)
    paid = shop.gateway.query_payment(ref_of(order))
    assert (paid.outcome, paid.amount, paid.order_no) == (Outcome.SUCCEEDED, AMOUNT, order.order_no)
    assert paid.wallet in {"", shop.wallet}
    assert paid.platform_trade_no
    assert paid.paid_at is not None
    assert abs(paid.paid_at - clock.now()) < timedelta(minutes=1)
    told = shop.heard(order.order_no, NotificationKind.PAYMENT).payment
    assert told is not None
    assert (told.outcome, told.amount) == (Outcome.SUCCEEDED, AMOUNT)
    assert (told.platform_trade_no, told.paid_at) == (paid.platform_trade_no, paid.paid_at)
    assert shop.gateway.close_payment(ref_of(order)).outcome is Outcome.SUCCEEDED


def test_our_answer_to_a_notice_is_the_one_that_ends_it(shop: Shop) -> None:
    ack = shop.gateway.acknowledge(accepted=True)
    with receiving(ack.body) as other:
        order, _paid = shop.paid(notify_url=other.url)
        deadline = time.monotonic() + 10
        while True:
            query = f"notices?platform={shop.platform}&out_trade_no={order.order_no}"
            notices = shop.simulator.control(query)["notices"]
            if [notice["state"] for notice in notices] == ["DELIVERED"]:
                break
            assert time.monotonic() < deadline, notices
            time.sleep(0.05)


def test_a_code_that_nobody_pays_is_closed(shop: Shop) -> None:
    order = shop.order()
    shop.gateway.create_payment(order)
    closed = shop.gateway.close_payment(ref_of(order)).outcome
    if Capability.CLOSE not in shop.gateway.capabilities:
        # UnionPay calls a code that it gave out "accepted" (05), and nothing closes it but time.
        assert closed is Outcome.PENDING
        with later(shop.simulator, timedelta(minutes=20)):
            assert shop.gateway.close_payment(ref_of(order)).outcome is Outcome.CLOSED
        return
    assert closed is Outcome.CLOSED
    if shop.platform is not Platform.ALIPAY:
        # Alipay knows a code only once it was scanned.
        assert shop.gateway.query_payment(ref_of(order)).outcome is Outcome.CLOSED


def test_two_refunds_each_told_apart(shop: Shop) -> None:
    order, paid = shop.paid()
    first, second = shop.refund_of(paid, order, 1000), shop.refund_of(paid, order, 500)
    gateway = shop.gateway
    for request, before in ((first, 0), (second, 1000)):
        with pytest.raises(OrderNotFound):
            gateway.query_refund(refund_ref(request, before))
        request_ = replace(request, refunded_before=Money(before))
        assert gateway.refund(request_).outcome in {Outcome.PENDING, Outcome.SUCCEEDED}
        done = settled(lambda r=request, b=before: gateway.query_refund(refund_ref(r, b)))  # type: ignore[misc]
        assert (done.outcome, done.amount) == (Outcome.SUCCEEDED, request.amount)
        assert done.refund_no == request.refund_no
        told = shop.heard(order.order_no, NotificationKind.REFUND).refund
        assert told is not None
        assert told.outcome is Outcome.SUCCEEDED
    # The first is no longer the latest. Shouqianba does not show it any more; sent again, it is not made again.
    if shop.platform is Platform.SHOUQIANBA:
        with pytest.raises(OrderNotFound):
            gateway.query_refund(refund_ref(first, 500))
    else:
        earlier = gateway.query_refund(refund_ref(first, 500))
        assert (earlier.outcome, earlier.amount) == (Outcome.SUCCEEDED, Money(1000))
    again = gateway.refund(replace(first, refunded_before=Money(500)))
    assert again.outcome in {Outcome.PENDING, Outcome.SUCCEEDED}
    assert shop.refunded(order.order_no) == 1500
    still = gateway.query_payment(ref_of(order))
    assert (still.outcome, still.amount) == (Outcome.SUCCEEDED, AMOUNT)


def test_no_more_is_refunded_than_was_paid(shop: Shop) -> None:
    order, paid = shop.paid()
    with pytest.raises(PlatformRejected) as caught:
        shop.gateway.refund(shop.refund_of(paid, order, 2501))
    assert not caught.value.retry_same
    assert shop.refunded(order.order_no) == 0


def test_a_refund_whose_answer_was_lost_is_made_once(shop: Shop) -> None:
    order, paid = shop.paid()
    request = shop.refund_of(paid, order, 1000)
    shop.fault("lost_after_commit")
    with pytest.raises(PlatformUnavailable):
        shop.gateway.refund(request)
    found = settled(lambda: shop.gateway.query_refund(refund_ref(request, 0)))
    assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, Money(1000))
    again = shop.gateway.refund(replace(request, refunded_before=Money(0)))
    assert again.outcome in {Outcome.PENDING, Outcome.SUCCEEDED}
    assert shop.refunded(order.order_no) == 1000


def test_a_payers_code(shop: Shop) -> None:
    request = shop.barcode("pays")
    said = shop.gateway.pay_barcode(request)
    assert said.outcome in {Outcome.PENDING, Outcome.SUCCEEDED}
    paid = settled(lambda: shop.gateway.query_payment(ref_of(request)))
    assert (paid.outcome, paid.amount) == (Outcome.SUCCEEDED, AMOUNT)
    assert paid.wallet in {"", shop.wallet}


def test_a_payers_code_that_waits_for_a_password(shop: Shop) -> None:
    request = shop.barcode("password")
    assert shop.gateway.pay_barcode(request).outcome is Outcome.PENDING
    assert shop.gateway.query_payment(ref_of(request)).outcome is Outcome.PENDING
    shop.simulator.control("paycodes/confirm", {"digits": request.auth_code})
    paid = shop.gateway.query_payment(ref_of(request))
    assert (paid.outcome, paid.amount) == (Outcome.SUCCEEDED, AMOUNT)


def test_a_payer_without_money(shop: Shop) -> None:
    request = shop.barcode("poor")
    assert failed(lambda: shop.gateway.pay_barcode(request))
    assert shop.books()["totals"]["paid_count"] == 0


@pytest.mark.parametrize("behaviour", ["pays", "password"])
def test_a_payers_code_is_reversed(shop: Shop, behaviour: str) -> None:
    request = shop.barcode(behaviour)
    shop.fault("lost_after_commit")
    with pytest.raises(PlatformUnavailable):
        shop.gateway.pay_barcode(request)
    for _ in range(2):
        assert settled(lambda: shop.gateway.reverse_payment(ref_of(request))).outcome is (
            Outcome.CLOSED
        )
    after = shop.gateway.query_payment(ref_of(request))
    assert after.outcome in {Outcome.CLOSED, Outcome.FAILED}
    if behaviour == "password":
        with pytest.raises(Exception, match="409"):
            shop.simulator.control("paycodes/confirm", {"digits": request.auth_code})


def test_a_page_inside_the_wallet_opens_and_is_paid(shop: Shop) -> None:
    if shop.platform in {Platform.WECHATPAY, Platform.ALIPAY}:
        pytest.skip("the journeys walk through these pages")
    order = shop.order(Product.IN_APP)
    handover = shop.gateway.create_payment(order)
    agent = {"User-Agent": AGENTS[shop.wallet]}
    with httpx.Client(follow_redirects=True, headers=agent) as browser:
        if handover.form is not None:
            page = browser.post(handover.form.url, data=dict(handover.form.fields))
        else:
            page = browser.get(handover.redirect_url)
    assert page.status_code == 200
    assert "25.00" in page.text
    shop.pay(order.order_no)
    paid = shop.gateway.query_payment(ref_of(order))
    assert (paid.outcome, paid.amount) == (Outcome.SUCCEEDED, AMOUNT)
    told = shop.heard(order.order_no, NotificationKind.PAYMENT)
    assert told.payment is not None
    assert told.payment.amount == AMOUNT


def test_an_answer_that_is_not_the_platforms(shop: Shop) -> None:
    if shop.platform is Platform.SHOUQIANBA:
        pytest.skip("its answers carry no signature")
    order, _paid = shop.paid()
    shop.fault("wrong_signature")
    with pytest.raises(PlatformUnavailable) as caught:
        shop.gateway.query_payment(ref_of(order))
    assert caught.value.code == "bad_signature"
    assert shop.gateway.query_payment(ref_of(order)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "key", ["http_500", "lost_before_commit", "truncated_answer", "proxy_page"]
)
def test_trouble_on_the_way_says_nothing(shop: Shop, key: str) -> None:
    order, paid = shop.paid()
    shop.fault(key)
    with pytest.raises(PlatformUnavailable):
        shop.gateway.refund(shop.refund_of(paid, order, 1000))
    assert shop.gateway.query_payment(ref_of(order)).outcome is Outcome.SUCCEEDED


def test_the_key_of_the_day(shop: Shop) -> None:
    if Capability.TERMINALS not in shop.gateway.capabilities:
        pytest.skip("no terminals")
    order, _paid = shop.paid()
    old = shop.ours
    shop.fault("checkin_lost")
    with pytest.raises(PlatformUnavailable):
        shop.gateway.check_in_terminal()
    fresh = shop.gateway.check_in_terminal()
    keys = {"terminal_sn": fresh.terminal_sn, "terminal_key": fresh.terminal_key}
    shop.ours = replace(old, keys={**old.keys, **keys})
    assert shop.gateway.query_payment(ref_of(order)).outcome is Outcome.SUCCEEDED
    with pytest.raises(PlatformUnavailable) as caught:
        registry.gateway_for(platform=shop.platform, credentials=old).query_payment(ref_of(order))
    assert caught.value.code == "ILLEGAL_SIGN"


def test_the_bill_of_the_day(shop: Shop) -> None:
    order, paid = shop.paid()
    other, _ = shop.paid(amount=Money(10_000))
    request = shop.refund_of(paid, order, 1000)
    shop.gateway.refund(request)
    settled(lambda: shop.gateway.query_refund(refund_ref(request, 0)))
    held = shop.books()
    # In the evening what was paid after 23:00 is in UnionPay's bill of the day after.
    at = clock.now()
    starts = shop.gateway.bill_day_starts
    day = clock.business_date(at - starts)
    with later(shop.simulator, timedelta(days=1), here=False):
        if shop.platform is Platform.SHOUQIANBA:
            content = _export(shop, day)
        else:
            content = shop.gateway.fetch_statement(
                business_date=day, kind=StatementKind.TRADE
            ).content
        bill = shop.gateway.parse_statement(content, business_date=day, kind=StatementKind.TRADE)
    assert bill.unknown_columns == () or shop.platform is Platform.SHOUQIANBA
    lines = sorted((one.kind.value, one.amount.minor, one.fee.minor) for one in bill.lines)
    fees = {one["out_trade_no"]: one["fee_fen"] for one in held["payments"]}
    (refund,) = held["refunds"]
    assert lines == sorted(
        [
            ("payment", 2500, fees[order.order_no]),
            ("payment", 10_000, fees[other.order_no]),
            ("refund", 1000, -refund["fee_fen"]),
        ]
    )
    orders = {one.order_no for one in bill.lines if one.kind.value == "payment"}
    assert orders == {order.order_no, other.order_no}


def _export(shop: Shop, day: date) -> bytes:
    """What a person saves in Shouqianba's console."""
    answer = httpx.get(
        f"{shop.simulator.address}/control/api/shouqianba-export",
        params={"merchant_no": shop.shown["merchant_no"], "date": day.isoformat()},
    )
    assert answer.status_code == 200, answer.text
    return answer.content
