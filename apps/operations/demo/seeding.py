"""Making the demo merchant, once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.conf import settings

from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tasks import drain
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant
from apps.operations.demo import cast as people
from apps.operations.demo.bank import show_bank
from apps.operations.demo.bookkeeping import keep_books
from apps.operations.demo.cast import Cast
from apps.operations.demo.contracts import sign
from apps.operations.demo.control import SimulatorControl
from apps.operations.demo.history import (
    SHARES,
    SYSTEM,
    WALLETS,
    plant_differences,
    scan_oddly,
    write_history,
)
from apps.operations.demo.outside import tell_sales, write_rules
from apps.operations.demo.risk import watch_risk
from apps.payments import services as payments
from apps.platforms.gateway import Platform, Product, StatementKind
from apps.qrcodes.models import QRCode, Scan
from apps.reports.services import watch_codes
from apps.statements.selectors import is_asked
from apps.statements.services import fetch_now

#: Bills fetched at once, so that the first look at reconciliation is not an empty page.
BILL_DAYS = 6

#: Hears what is being done, in a few words.
Say = Callable[[str], None]


class SimulatorNeeded(Exception):
    """The demo shop is connected to the simulator, and no address of one is set."""


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What was made, and how long it took in seconds."""

    merchant: str
    made: bool
    payments: int = 0
    over_the_wire: int = 0
    differences: int = 0
    outside: int = 0
    days_closed: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return asdict(self)


def _pay_over_the_wire(
    control: SimulatorControl, cast: Cast, *, count: int, rng: random.Random
) -> int:
    """Real orders through real HTTP, paid by the simulated wallet, found out by query."""
    paid = 0
    shares = [SHARES[Platform(account.platform)] for account in cast.accounts]
    for number in range(count):
        now = clock.now()
        code = rng.choice(cast.codes)
        # Each platform once, then as in the history.
        account = (
            cast.accounts[number]
            if number < len(cast.accounts)
            else rng.choices(cast.accounts, weights=shares)[0]
        )
        minor = code.amount_minor or rng.choice((1200, 1800, 2600, 3800, 5800))
        Scan.objects.create(
            code_id=code.pk, store_id=code.store_id, at=now, wallet=rng.choice(WALLETS)
        )
        order = payments.open_order(
            store_id=code.store_id,
            code_id=code.pk,
            amount=Money(minor),
            subject=f"{cast.merchant.name} {code.scenario.name}",
            now=now,
            actor=Actor("payer"),
        )
        payment = payments.start_payment(
            order_id=order.pk,
            account_id=account.pk,
            product=Product.DYNAMIC_QR,
            wallet=rng.choice(WALLETS) if account.platform == Platform.SHOUQIANBA else "",
            now=now,
            actor=Actor("payer"),
        )
        control.pay(
            platform=account.platform,
            merchant_no=account.merchant_no,
            order_no=payment.order_no,
            code=payment.handover.get("qr_content", ""),
        )
        payment = payments.refresh_payment(payment_id=payment.pk, now=clock.now())
        paid += payment.state == "succeeded"
    return paid


def _fetch_bills(cast: Cast, *, now: datetime) -> None:
    """Bills of the last days that the platforms have ready; what is not ready yet is fetched later by the clock.

    A bill that the seed itself has asked for is never planned by the clock again, so whoever asks sees to its next try.
    """
    for back in range(1, BILL_DAYS + 1):
        day = clock.business_date(now) - timedelta(days=back)
        for account in cast.accounts:
            fetch_now(
                account_id=account.pk, kind=StatementKind.TRADE, day=day, actor=SYSTEM, now=now
            )
    drain(now=clock.now(), task="reconciliation.run")
    drain(now=clock.now(), task="statements.settle")


def seed(
    *, days: int, count: int, wire: int, seed: int, say: Say = lambda _words: None
) -> DemoReport:
    """Make the demo merchant unless it is there. The same ``seed`` and clock give the same shop. ``say`` hears how far it is.

    Raises SimulatorNeeded; PlatformUnavailable when the simulator does not answer.
    """
    if not settings.SIMULATOR_URL:
        raise SimulatorNeeded
    if Merchant.objects.filter(slug=people.SLUG).exists():
        return DemoReport(people.SLUG, made=False)
    started = time.monotonic()
    now = clock.now()
    rng = random.Random(seed)  # noqa: S311  # a demo must be repeatable, not secret
    control = SimulatorControl(settings.SIMULATOR_URL)
    say("people, stores, and an account at each platform")
    merchant, stores, users = people.make_people_and_places(since=now - timedelta(days=90))
    owner = Actor(users["owner"].email, users["owner"].pk)
    with enter_scope(Scope(merchant.pk)):
        people.write_rule(users["owner"], actor=owner, now=now - timedelta(days=90))
        people.draft_rules(users["owner"], actor=owner, now=now)
        accounts = people.connect_to_simulator(control, store=stores[0], actor=owner, now=now)
        sign(accounts, owner=users["owner"], actor=owner, now=now)
        made = people.make_codes(stores, actor=owner, now=now)
        people.make_living_codes(stores, actor=owner, now=now)
        retired = people.make_retired_code(stores, actor=owner, now=now)
        codes = list(
            QRCode.objects.select_related("scenario")
            .filter(pk__in=[code.pk for code in made])
            .order_by("pk")
        )
        cast = Cast(merchant, stores, codes, accounts, users)
    told = write_history(
        cast,
        seed=seed,
        days=days,
        count=count,
        now=now,
        progress=lambda written: say(f"{written} of {count} payments of {days} days"),
    )
    with enter_scope(Scope(merchant.pk)):
        planted = 0
        for account in accounts:
            platform = Platform(account.platform)
            # Of a platform without bills only our own payments are asked about: its days fit.
            for back in () if is_asked(platform) else (1, 2):
                day = clock.business_date(now) - timedelta(days=back)
                planted += plant_differences(told[account.pk], platform=platform, day=day)
            control.tell_past(
                platform=account.platform,
                merchant_no=account.merchant_no,
                payments=told[account.pk].payments,
                refunds=told[account.pk].refunds,
            )
        since = clock.business_date(now) - timedelta(days=min(days, BILL_DAYS))
        write_rules(cast, since=since, now=now)
        outside = tell_sales(control, cast, since=since, seed=seed, now=now)
        say(f"{wire} payments over HTTP")
        paid = _pay_over_the_wire(control, cast, count=wire, rng=rng)
        say("bills, and matching them with the books")
        _fetch_bills(cast, now=clock.now())
        say("settlements, and the bank")
        show_bank(cast, days=BILL_DAYS, now=clock.now())
        say("differences settled, days closed")
        closed = keep_books(cast, days=BILL_DAYS, now=clock.now())
        people.let_customers_ask(owner, now=clock.now())
        scan_oddly(cast, retired, now=now)
        watch_codes(now=clock.now())
        say("risk rules, and what they find")
        watch_risk(cast, now=clock.now())
    control.close()
    return DemoReport(
        people.SLUG,
        made=True,
        payments=count,
        over_the_wire=paid,
        differences=planted,
        outside=outside,
        days_closed=closed,
        seconds=round(time.monotonic() - started, 1),
    )
