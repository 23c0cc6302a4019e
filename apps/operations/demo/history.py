"""Sixty days of takings, written through the same services that write today's."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from multiprocessing import get_context
from typing import Any, Final

from django.db import connections, transaction

from apps.accounts.models import User
from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.ledger.models import Purpose
from apps.ledger.services import account_ids, claim_day
from apps.operations.demo.cast import Cast
from apps.payments import services as payments
from apps.payments.models import Payment
from apps.platforms.gateway import Outcome, PaymentResult, Platform, Product, RefundResult
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import QRCode, Scan
from apps.refunds import services as refunds
from apps.refunds.models import Refund
from apps.statements.selectors import bill_period

PAYER = Actor("payer")
SYSTEM = Actor.system("demo")
#: Payments written in one transaction.
BATCH = 100
#: Processes that write history at the same time.
PARTS = 2
#: How often it is looked how far they are.
LOOK_SECONDS = 4.0
#: How busy each hour of the day is, from 00:00.
HOURS = (1, 0, 0, 0, 0, 0, 1, 4, 9, 12, 14, 16, 18, 14, 12, 13, 12, 11, 13, 15, 14, 9, 5, 2)
#: How payers are led to each platform, and how the simulator calls that.
PRODUCTS = {
    Platform.WECHATPAY: (Product.IN_APP, "jsapi"),
    Platform.ALIPAY: (Product.BROWSER, "wap"),
    Platform.UNIONPAY: (Product.BROWSER, "front"),
    Platform.SHOUQIANBA: (Product.IN_APP, "wap2"),
}
#: Of a hundred payments.
SHARES = {
    Platform.WECHATPAY: 46,
    Platform.ALIPAY: 30,
    Platform.UNIONPAY: 13,
    Platform.SHOUQIANBA: 11,
}
#: Who pays through the aggregator.
WALLETS = (Platform.WECHATPAY.value, Platform.ALIPAY.value)
#: The code whose sticker has fallen off, and for how many days it is gone.
GONE, GONE_DAYS = "3号桌", 5


@dataclass(slots=True)
class Told:
    """What the simulator's books are to hold of one account."""

    payments: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)


def _moment(rng: random.Random, *, days: int, now: datetime) -> datetime:
    """A busy-hours instant within the last ``days`` days, at least an hour ago."""
    while True:
        day = clock.business_date(now) - timedelta(days=rng.randrange(days + 1))
        hour = rng.choices(range(24), weights=HOURS)[0]
        local = datetime.combine(
            day, time(hour, rng.randrange(60), rng.randrange(60)), tzinfo=clock.CHINA
        )
        if local < now - timedelta(hours=1):
            return local


def _amount(rng: random.Random) -> Money:
    """A tea-house bill: mostly tens of yuan, sometimes hundreds, odd fen now and then."""
    yuan = rng.choice((12, 15, 18, 22, 26, 28, 32, 36, 38, 45, 58, 68, 88, 128, 168, 298, 520))
    return Money(yuan * 100 + rng.choice((0, 0, 0, 0, 50, 80, 1)))


def _codes_in_use(cast: Cast, at: datetime, *, now: datetime) -> list[QRCode]:
    """The codes that hung at that time: one sticker has been gone for some days, which the portal notices."""
    gone = at > now - timedelta(days=GONE_DAYS)
    return [code for code in cast.codes if not (gone and code.scenario.name == GONE)] or cast.codes


def _scans(rng: random.Random, payment: Payment, at: datetime) -> list[Scan]:
    """The scan before a payment, and those of people who only looked, within the hour around it."""
    wallet = payment.wallet or payment.platform
    looks = rng.choices((0, 1, 2), weights=(60, 30, 10))[0]
    openings = [(at - timedelta(seconds=8), wallet)]
    for _look in range(looks):
        other = rng.choice((wallet, wallet, *WALLETS, ""))
        openings.append((at - timedelta(seconds=rng.randrange(20, 3_000)), other))
    return [
        Scan(code_id=payment.code_id or 0, store_id=payment.store_id or 0, at=when, wallet=what)
        for when, what in openings
    ]


def _leave(cast: Cast, rng: random.Random, codes: list[QRCode], at: datetime) -> None:
    """Somebody gives an amount and goes away; the order closes by itself."""
    code = rng.choice(codes)
    order = payments.open_order(
        store_id=code.store_id,
        code_id=code.pk,
        amount=Money(code.amount_minor) if code.amount_minor else _amount(rng),
        subject=f"{cast.merchant.name} {code.scenario.name}",
        now=at,
        actor=PAYER,
    )
    payments.expire_order(order_id=order.pk, now=order.expires_at)
    outbox.forget(task="payments.expire_order", merchant_id=order.merchant_id, subject_id=order.pk)
    Scan.objects.create(
        code_id=code.pk,
        store_id=code.store_id,
        at=at - timedelta(seconds=15),
        wallet=rng.choice(WALLETS),
    )


def _pay(
    rng: random.Random,
    cast: Cast,
    account: PlatformAccount,
    at: datetime,
    *,
    codes: list[QRCode],
) -> tuple[Payment, Money]:
    code = rng.choice(codes)
    amount = Money(code.amount_minor) if code.amount_minor else _amount(rng)
    order = payments.open_order(
        store_id=code.store_id,
        code_id=code.pk,
        amount=amount,
        subject=f"{cast.merchant.name} {code.scenario.name}",
        now=at,
        actor=PAYER,
    )
    platform = Platform(account.platform)
    payment = payments.prepare_payment(
        order_id=order.pk,
        account_id=account.pk,
        product=PRODUCTS[platform][0],
        wallet=rng.choice(WALLETS) if platform is Platform.SHOUQIANBA else "",
        now=at,
        actor=PAYER,
    )
    return payment, amount


def trade_no(rng: random.Random, platform: Platform, at: datetime) -> str:
    """A platform's number of a payment, in its manner."""
    local = at.astimezone(clock.CHINA)
    if platform is Platform.WECHATPAY:
        return f"42000025{rng.randrange(10**20):020d}"
    if platform is Platform.ALIPAY:
        return f"{local:%Y%m%d}{rng.randrange(10**20):020d}"
    if platform is Platform.UNIONPAY:
        return f"{rng.randrange(100):02d}{local:%y%m%d%H%M%S}{rng.randrange(10**7):07d}"
    return f"7895{rng.randrange(10**12):012d}"


def _refund_numbers(
    rng: random.Random, platform: Platform, refund_no: str, at: datetime
) -> tuple[str, str]:
    """The number by which a platform is asked for a refund, and its own."""
    if platform is Platform.UNIONPAY:
        return refund_no, trade_no(rng, platform, at)
    if platform is Platform.SHOUQIANBA:
        # Its numbers have 20 characters at most: the connector sends longer ones like this.
        refund_no = hashlib.sha256(refund_no.encode()).hexdigest()[:20]
    return refund_no, f"503{rng.randrange(10**25):025d}"


def _settle(rng: random.Random, payment: Payment, account: PlatformAccount, told: Told) -> bool:
    """Most payments succeed within a minute; a few are abandoned and closed."""
    if rng.random() < 0.03:
        closed_at = payment.expires_at
        result = PaymentResult(outcome=Outcome.CLOSED, order_no=payment.order_no, code="CLOSED")
        payments.apply_payment_result(
            payment_id=payment.pk, result=result, via="poll", now=closed_at, actor=SYSTEM
        )
        payments.expire_order(order_id=payment.order_id, now=closed_at)
        return False
    paid_at = payment.created_at + timedelta(seconds=rng.randrange(4, 55))
    platform = Platform(account.platform)
    number = trade_no(rng, platform, paid_at)
    payer = f"payer{rng.randrange(900)}"
    result = PaymentResult(
        outcome=Outcome.SUCCEEDED,
        order_no=payment.order_no,
        platform_trade_no=number,
        amount=Money(payment.amount_minor),
        payer_id=payer,
        paid_at=paid_at,
        wallet=payment.wallet if platform is Platform.SHOUQIANBA else "",
        code="SUCCESS",
    )
    payments.apply_payment_result(
        payment_id=payment.pk, result=result, via="notification", now=paid_at, actor=SYSTEM
    )
    told.payments.append(
        {
            "out_trade_no": payment.order_no,
            "trade_no": number,
            "product": PRODUCTS[platform][1],
            "amount_fen": payment.amount_minor,
            "paid_at": paid_at.isoformat(),
            "payer_id": payer,
            "wallet": result.wallet,
        }
    )
    return True


#: Why the demo's refunds are asked for, and which kind of reason that is.
_REASONS: Final = {
    "点错了": "mistake",
    "茶凉了": "quality",
    "顾客取消": "returned",
    "重复付款": "paid_twice",
}


def _refund(rng: random.Random, payment: Payment, cashier: User, told: Told) -> None:
    whole = rng.random() < 0.5 and payment.amount_minor <= 20_000
    minor = payment.amount_minor if whole else max(1, min(payment.amount_minor // 3, 20_000))
    at = payment.created_at + timedelta(minutes=rng.randrange(10, 50))
    reason = rng.choice(tuple(_REASONS))
    refund = refunds.request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason=reason,
        reason_code=_REASONS[reason],
        member=cashier,
        actor=Actor(cashier.email, cashier.pk),
        now=at,
    )
    done_at = at + timedelta(seconds=20)
    # No platform is called for the past: this is what sending leaves behind.
    Refund.objects.filter(pk=refund.pk).update(sent_at=at)
    asked_as, number = _refund_numbers(rng, Platform(payment.platform), refund.refund_no, done_at)
    refunds.apply_refund_result(
        refund_id=refund.pk,
        result=RefundResult(
            outcome=Outcome.SUCCEEDED,
            order_no=payment.order_no,
            refund_no=refund.refund_no,
            platform_refund_no=number,
            amount=Money(minor),
            refunded_at=done_at,
            code="SUCCESS",
        ),
        via="notification",
        now=done_at,
        actor=SYSTEM,
    )
    told.refunds.append(
        {
            "out_trade_no": payment.order_no,
            "out_refund_no": asked_as,
            "refund_no": number,
            "amount_fen": minor,
            "accepted_at": at.isoformat(),
            "finished_at": done_at.isoformat(),
        }
    )


def write_history(
    cast: Cast,
    *,
    seed: int,
    days: int,
    count: int,
    now: datetime,
    progress: Callable[[int], None] = lambda _written: None,
) -> dict[int, Told]:
    """``count`` attempts over ``days`` days; what to tell each account's platform, by account id.

    Written by two processes, since the work is Python's more than the database's. ``progress`` hears now and then how many
    are written. Needs the merchant's scope.
    """
    share = count // PARTS
    sizes = [count - share * (PARTS - 1), *[share] * (PARTS - 1)]
    told: dict[int, Told] = defaultdict(Told)
    _open_books(cast, days=days, now=now)
    # A forked child must not share its parent's connection.
    connections.close_all()
    fork = get_context("fork")
    written = fork.Value("i", 0)
    with ProcessPoolExecutor(
        PARTS, mp_context=fork, initializer=_count_in, initargs=(written,)
    ) as pool:
        parts = [
            pool.submit(_write_part, cast, f"{seed}-{part}", size, days=days, now=now)
            for part, size in enumerate(sizes)
        ]
        told_last = -1
        while wait(parts, timeout=LOOK_SECONDS).not_done:
            if written.value != told_last:
                told_last = written.value
                progress(told_last)
        for part in parts:
            for account_id, what in part.result().items():
                told[account_id].payments += what.payments
                told[account_id].refunds += what.refunds
    progress(count)
    return told


def _open_books(cast: Cast, *, days: int, now: datetime) -> None:
    """Make the rows of the business days and of the ledger's accounts.

    Two processes that made them in batches, each in its own order, would wait for each other for ever.
    """
    today = clock.business_date(now)
    with enter_scope(Scope(cast.merchant.pk)), transaction.atomic():
        account_ids(
            {(purpose, 0) for purpose in (Purpose.SALES, Purpose.REFUNDS, Purpose.FEES)}
            | {
                (Purpose.RECEIVABLE, pk)
                for pk in PlatformAccount.objects.values_list("pk", flat=True)
            }
        )
        for back in range(days, -1, -1):
            claim_day(today - timedelta(days=back))


#: How many attempts all processes together have written; each process holds the same counter.
_written: Any = None


def _count_in(counter: Any) -> None:
    global _written  # a counter reaches a pool's processes in no other way
    _written = counter


def _note_written(number: int) -> None:
    if _written is not None:
        with _written.get_lock():
            _written.value += number


def _write_part(cast: Cast, seed: str, count: int, *, days: int, now: datetime) -> dict[int, Told]:
    with enter_scope(Scope(cast.merchant.pk)):
        told = write_attempts(cast, seed=seed, days=days, count=count, now=now)
    connections.close_all()
    return told


def _dice(seed: str, attempt: int) -> random.Random:
    """Each attempt has its own, so that a minute's difference of the clock changes one attempt and not all after it."""
    return random.Random(f"{seed}/{attempt}")  # noqa: S311  # a demo must be repeatable, not secret


def write_attempts(
    cast: Cast, *, seed: str, days: int, count: int, now: datetime
) -> dict[int, Told]:
    """Oldest first, in batches of one transaction each; the same seed and clock give the same shop."""
    told: dict[int, Told] = {account.pk: Told() for account in cast.accounts}
    attempts = [_dice(seed, number) for number in range(count)]
    moments = sorted(
        ((_moment(rng, days=days, now=now), number) for number, rng in enumerate(attempts))
    )
    cashier = cast.users["cashier"]
    shares = [SHARES[Platform(account.platform)] for account in cast.accounts]
    for start in range(0, count, BATCH):
        with transaction.atomic():
            scans: list[Scan] = []
            for at, number in moments[start : start + BATCH]:
                rng = attempts[number]
                account = rng.choices(cast.accounts, weights=shares)[0]
                codes = _codes_in_use(cast, at, now=now)
                payment, _amount_paid = _pay(rng, cast, account, at, codes=codes)
                paid = _settle(rng, payment, account, told[account.pk])
                if paid and rng.random() < 0.035:
                    payment.refresh_from_db()
                    _refund(rng, payment, cashier, told[account.pk])
                scans += _scans(rng, payment, at)
                if rng.random() < 0.05:
                    _leave(cast, rng, codes, at + timedelta(seconds=40))
            Scan.objects.bulk_create(scans)
        _note_written(len(moments[start : start + BATCH]))
    return told


def scan_oddly(cast: Cast, retired: QRCode, *, now: datetime) -> None:
    """An old sticker that is still scanned, and a code that many open in one hour while nobody pays. Needs the scope."""
    openings = [
        (retired, now - timedelta(hours=hours, minutes=7 * hours % 60), "wechatpay")
        for hours in (3, 9, 26, 31, 55, 76)
    ]
    quiet_hour = clock.business_period(clock.business_date(now))[0] + timedelta(hours=3)
    if quiet_hour > now:
        quiet_hour -= timedelta(days=1)
    openings += [
        (cast.codes[0], quiet_hour + timedelta(seconds=70 * number), "")
        for number in range(44)
        if quiet_hour + timedelta(seconds=70 * number) < now
    ]
    Scan.objects.bulk_create(
        Scan(code_id=code.pk, store_id=code.store_id, at=at, wallet=wallet)
        for code, at, wallet in openings
    )


def plant_differences(told: Told, *, platform: Platform, day: date) -> int:
    """Make the platform's books of ``day`` differ from ours in a few telling ways; how many differences that makes."""
    from_at, until = bill_period(platform, day)
    rows = [
        item for item in told.payments if from_at <= datetime.fromisoformat(item["paid_at"]) < until
    ]
    refunded = {item["out_trade_no"] for item in told.refunds}
    free = [item for item in rows if item["out_trade_no"] not in refunded]
    if len(free) < 4:
        return 0
    # A fen too much, one the platform never booked, one we never saw, and a fee that is not the agreed one.
    free[0]["amount_fen"] += 1
    told.payments.remove(free[1])
    stranger = dict(free[2])
    stranger["out_trade_no"] = f"POS{day:%Y%m%d}0001"
    stranger["trade_no"] = free[2]["trade_no"][:-4] + "9999"
    told.payments.append(stranger)
    free[3]["fee_fen"] = max(1, free[3]["amount_fen"] * 8 // 1000)
    if len(free) < 5 or platform not in {Platform.WECHATPAY, Platform.ALIPAY}:
        return 4
    # Given back at the platform's console.
    at = datetime.fromisoformat(free[4]["paid_at"])
    told.refunds.append(
        {
            "out_trade_no": free[4]["out_trade_no"],
            "out_refund_no": f"CONSOLE{day:%Y%m%d}01",
            "refund_no": f"503{free[4]['trade_no'][-25:]:0>25}",
            "amount_fen": max(1, free[4]["amount_fen"] // 4),
            "accepted_at": (at + timedelta(seconds=40)).isoformat(),
            "finished_at": (at + timedelta(seconds=50)).isoformat(),
        }
    )
    return 5
