"""The shop that works through the storm: ``python -m bench.storm`` with the settings of the world around it.

Reads one line with what to do, writes a line when the shop stands, and when told to begin works through its payments; then
it waits until nothing is open any more and compares the books.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, connections

from apps.accounts.models import User
from apps.core import clock
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Store
from apps.merchants.services import create_merchant
from apps.payments.models import Order, Payment, PaymentState
from apps.payments.services import (
    HandoverFailed,
    OrderNotPayable,
    charge_barcode,
    close_order,
    open_order,
    start_payment,
)
from apps.platforms.gateway import Capability, Credentials, Platform, Product
from apps.platforms.models import PlatformAccount
from apps.platforms.registry import capabilities_of, credential_fields
from apps.platforms.services import connect_account
from apps.refunds.services import NotRefundable, OverRefund, request_refund, set_rule
from bench.frame.processes import answer, orders
from bench.storm import books
from bench.storm.world import fetch

T = TypeVar("T")
ACTOR = Actor.system("storm")
#: How long a payer has; short, so that what nobody pays is settled within the run.
LIFETIME = timedelta(seconds=75)
#: Shares of the payments: by the payer's code, given up by the shop, never paid, paid on two platforms.
BARCODE, GIVEN_UP, LEFT, TWICE = 0.2, 0.04, 0.06, 0.04
#: Shares of what is paid: with refunds, named by a forger before it is paid, with an old notice sent again.
REFUNDED, FORGED, REPLAYED = 0.25, 0.03, 0.05
#: Share of the orders that nobody pays: named by a forger.
FORGED_UNPAID = 0.5
THREADS = 6
#: The longest that everything may take to come to rest after the last payment.
REST_SECONDS = 900


@dataclass
class Shop:
    """The merchant in the storm and its counters."""

    simulator: str
    merchant_id: int = 0
    store_id: int = 0
    accounts: dict[str, PlatformAccount] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    forged: set[str] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more of it."""
        with self.guard:
            self.counts[what] += 1

    def control(self, path: str, **body: Any) -> Any:
        """The simulator's control API; None where it refuses or does not answer."""
        try:
            return fetch(f"{self.simulator}/control/api/{path}", body)
        except OSError:
            return None

    def persist(self, work: Callable[[], T]) -> T:
        """Do something on the database however often it goes away meanwhile, as a person would press again."""
        deadline = time.monotonic() + 120
        while True:
            try:
                with enter_scope(Scope(self.merchant_id)):
                    return work()
            except (OperationalError, InterfaceError):
                if time.monotonic() > deadline:
                    raise
                self.count("tries repeated for want of a database")
                connection.close()
                time.sleep(0.5)


def _open_shop(simulator: str) -> Shop:
    shop = Shop(simulator)
    owner = User.objects.create_user("owner@storm.test", "a-long-password-for-nobody")
    now = clock.now()
    merchant = create_merchant(owner=owner, name="风暴", store_name="一号店", actor=ACTOR, now=now)
    shop.merchant_id = merchant.pk
    with enter_scope(Scope(merchant.pk)):
        shop.store_id = Store.objects.get().pk
        set_rule(threshold=Money(10_000_000), confirmations=1, member=owner, actor=ACTOR, now=now)
        for platform in Platform:
            shown = fetch(
                f"{simulator}/control/api/merchants", {"platform": platform, "name": "风暴"}
            )
            names = [one.name for one in credential_fields(platform)]
            keys = {
                name: str(shown[name])
                for name in names
                if name in shown and name not in {"merchant_no", "app_id"}
            }
            shop.accounts[platform] = connect_account(
                platform=platform,
                label=platform,
                credentials=Credentials(
                    app_id=str(shown.get("app_id", "")),
                    merchant_no=str(shown["merchant_no"]),
                    keys=keys,
                ),
                fee_rate_ppm=6000,
                all_stores=True,
                store_ids=[],
                actor=ACTOR,
                now=now,
            )
    return shop


# ---------------------------------------------------------------- one customer
def _serve(shop: Shop, seed: int, number: int) -> None:
    """One customer from the open order to the last refund."""
    dice = random.Random(f"{seed}/{number}")
    platform = dice.choice(list(shop.accounts))
    amount = Money(dice.randrange(1, 50_000))
    try:
        if dice.random() < BARCODE and Capability.BARCODE in capabilities_of(platform):
            payment = _by_code(shop, dice, platform, amount)
        else:
            payment = _by_qr(shop, dice, platform, amount)
        if payment is not None and dice.random() < REFUNDED:
            _refund(shop, dice, payment)
    except (HandoverFailed, OrderNotPayable):
        shop.count("customers who were turned away")
    finally:
        connections.close_all()


def _wallet(dice: random.Random, platform: str) -> str:
    if platform != Platform.SHOUQIANBA:
        return platform
    return dice.choice([Platform.WECHATPAY, Platform.ALIPAY, Platform.UNIONPAY])


def _by_code(shop: Shop, dice: random.Random, platform: str, amount: Money) -> int | None:
    # Of several accounts that could take a code the first in order of preference does, whatever ``platform`` says.
    wallet = _wallet(dice, platform)
    behaviour = dice.choices(["pays", "password", "poor"], [6, 3, 1])[0]
    made = shop.control("paycodes", wallet=wallet, behaviour=behaviour)
    if made is None:
        return None
    nonce = f"storm-{dice.getrandbits(96):024x}"
    payment = shop.persist(
        lambda: charge_barcode(
            store_id=shop.store_id,
            amount=amount,
            subject="风暴里的咖啡",
            auth_code=made["digits"],
            nonce=nonce,
            now=clock.now(),
            actor=ACTOR,
        )
    )
    shop.count("payments by code")
    if behaviour == "password" and dice.random() < 0.8:
        time.sleep(dice.uniform(0, 2))
        shop.control("paycodes/confirm", digits=made["digits"])
    return payment.pk if behaviour != "poor" else None


def _by_qr(shop: Shop, dice: random.Random, platform: str, amount: Money) -> int | None:
    order = shop.persist(
        lambda: open_order(
            store_id=shop.store_id,
            code_id=None,
            amount=amount,
            subject="风暴里的咖啡",
            now=clock.now(),
            actor=ACTOR,
            lifetime=LIFETIME,
        )
    )
    fate = dice.random()
    first = _attempt(shop, dice, order, platform)
    if first is None:
        return None
    if fate < GIVEN_UP:
        # The payer and the shop's "give up" race with each other.
        give_up = threading.Thread(target=_give_up, args=(shop, order.pk))
        give_up.start()
        _pay(shop, first)
        give_up.join()
        shop.count("orders given up while they were paid")
        return None
    if fate < GIVEN_UP + LEFT:
        if dice.random() < FORGED_UNPAID:
            _forge(shop, first)
        shop.count("orders that nobody paid")
        return None
    if fate < GIVEN_UP + LEFT + TWICE:
        other = dice.choice([name for name in shop.accounts if name != platform])
        second = _attempt(shop, dice, order, other)
        _pay(shop, first)
        if second is not None:
            _pay(shop, second)
            shop.count("orders paid on two platforms")
        return None
    if dice.random() < FORGED:
        _forge(shop, first)
    _pay(shop, first)
    if dice.random() < REPLAYED:
        _replay(shop, first)
    return first.pk


def _attempt(shop: Shop, dice: random.Random, order: Order, platform: str) -> Payment | None:
    wallet = _wallet(dice, platform)
    for _turn in range(4):
        try:
            return shop.persist(
                lambda: start_payment(
                    order_id=order.pk,
                    account_id=shop.accounts[platform].pk,
                    product=Product.DYNAMIC_QR,
                    wallet=wallet,
                    now=clock.now(),
                    actor=ACTOR,
                )
            )
        except HandoverFailed as error:
            shop.count("handovers that failed")
            if error.final:
                return None
            time.sleep(dice.uniform(0.2, 1))
    return None


def _pay(shop: Shop, payment: Payment) -> None:
    account = shop.accounts[payment.platform]
    done = shop.control(
        "pay",
        platform=payment.platform,
        merchant_no=account.merchant_no,
        out_trade_no=payment.order_no,
    )
    shop.count("payments made" if done is not None else "payments that the wallet refused")


def _give_up(shop: Shop, order_id: int) -> None:
    try:
        shop.persist(lambda: close_order(order_id=order_id, now=clock.now(), actor=ACTOR))
    finally:
        connections.close_all()


def _forge(shop: Shop, payment: Payment) -> None:
    account = shop.accounts[payment.platform]
    said = shop.control(
        "notices/forge",
        platform=payment.platform,
        merchant_no=account.merchant_no,
        out_trade_no=payment.order_no,
    )
    if said is not None:
        shop.count("notices forged")
        with shop.guard:
            shop.forged.add(payment.order_no)


def _replay(shop: Shop, payment: Payment) -> None:
    account = shop.accounts[payment.platform]
    try:
        found = fetch(
            f"{shop.simulator}/control/api/notices?merchant_no={account.merchant_no}"
            f"&out_trade_no={payment.order_no}"
        )["notices"]
    except OSError:
        return
    if found and shop.control("notices/replay", id=found[0]["id"]) is not None:
        shop.count("notices replayed")


def _refund(shop: Shop, dice: random.Random, payment_id: int) -> None:
    """Once it is paid: all of it, or parts, or more than there is."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        payment = shop.persist(lambda: Payment.objects.get(pk=payment_id))
        if payment.state == PaymentState.SUCCEEDED:
            _ask_back(shop, dice, payment)
            return
        time.sleep(0.5)


def _ask_back(shop: Shop, dice: random.Random, payment: Payment) -> None:
    paid = payment.amount_minor
    parts = dice.choice([1, 1, 2, 3])
    for _part in range(parts):
        amount = Money(paid if parts == 1 else max(1, dice.randrange(1, paid + 1)))
        try:
            shop.persist(
                lambda amount=amount: request_refund(  # type: ignore[misc]  # a loop variable bound at once
                    payment_id=payment.pk,
                    amount=amount,
                    reason="风暴",
                    member=None,
                    actor=ACTOR,
                    now=clock.now(),
                )
            )
            shop.count("refunds asked for")
        except (OverRefund, NotRefundable):
            shop.count("refunds refused as too much")


# ---------------------------------------------------------------- the end
def _rest(shop: Shop) -> dict[str, int]:
    """Wait until nothing is open any more; what still is when patience ends."""
    deadline = time.monotonic() + REST_SECONDS
    told = 0.0
    while True:
        left = shop.persist(books.still_open)
        if not any(left.values()) or time.monotonic() > deadline:
            return {name: count for name, count in left.items() if count}
        if time.monotonic() - told > 20:
            told = time.monotonic()
            shop.persist(_cut_waits_short)
            print(f"  still open: {left}", file=sys.stderr, flush=True)
        time.sleep(2)


def _cut_waits_short() -> int:
    """Let what would wait for minutes (a balance too low, a platform that was silent) be looked at now."""
    waiting = Due.objects.filter(task__regex=r"^(payments|refunds)\.", claimed_until=None)
    return int(
        waiting.filter(due_at__gt=clock.now() + timedelta(seconds=20)).update(due_at=clock.now())
    )


def main() -> None:
    """Stand ready, work, come to rest, compare."""
    told = orders()
    first = next(told)
    shop = _open_shop(first["simulator"])
    answer(ready=True)
    task = next(told)
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as hands:
        customers = [
            hands.submit(_serve, shop, task["seed"], number) for number in range(task["payments"])
        ]
        for number, customer in enumerate(customers):
            customer.result()
            if number % 500 == 499:
                print(f"  {number + 1} customers served", file=sys.stderr, flush=True)
    worked = time.monotonic() - began
    answer(worked=worked)
    # The weather clears: whatever was lost must now be found.
    next(told)
    left = _rest(shop)
    theirs = {
        account.pk: fetch(
            f"{shop.simulator}/control/api/books?platform={platform}"
            f"&merchant_no={account.merchant_no}"
        )
        for platform, account in shop.accounts.items()
    }
    result = shop.persist(lambda: books.compare(theirs, forged=shop.forged))
    if left:
        result.wrong.insert(0, f"not settled after {REST_SECONDS} s: {left}")
    answer(
        wrong=result.wrong,
        counts=dict(result.counts),
        did=dict(shop.counts),
        seconds=time.monotonic() - began,
    )
