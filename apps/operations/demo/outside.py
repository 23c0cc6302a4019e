"""What the demo shop takes at a POS device of its own: the platforms' bills name it, and rules book it from there."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from apps.core import clock
from apps.core.audit import Actor
from apps.merchants.models import Role
from apps.operations.demo.cast import Cast
from apps.operations.demo.control import SimulatorControl
from apps.operations.demo.history import trade_no
from apps.platforms.gateway import Platform
from apps.reconciliation.models import RuleScope
from apps.reconciliation.services import Wanted, add_outside_rule

#: The device as Alipay's bill names it. WeChat's names no device here, but the product that only such devices use.
DEVICE: Final = "HB-POS-01"
RULES: Final = {
    Platform.WECHATPAY: (RuleScope.PRODUCT, "MICROPAY"),
    Platform.ALIPAY: (RuleScope.TERMINAL, DEVICE),
}
#: Sales a day at each platform.
A_DAY: Final = {Platform.WECHATPAY: 3, Platform.ALIPAY: 2}
_PRICES: Final = (1_800, 2_600, 3_800, 4_500, 6_800, 12_800)


def write_rules(cast: Cast, *, since: date, now: datetime) -> None:
    """Days of bills from ``since`` on book what the device has taken, as sales of the first store."""
    member = cast.users[Role.FINANCE.value]
    for account in cast.accounts:
        if (what := RULES.get(Platform(account.platform))) is None:
            continue
        scope, value = what
        add_outside_rule(
            Wanted(
                account_id=account.pk,
                scope=scope,
                value=value,
                books=True,
                store_id=cast.stores[0].pk,
                valid_from=since,
            ),
            member=member,
            actor=Actor(member.email, member.pk),
            now=now,
        )


def tell_sales(
    control: SimulatorControl, cast: Cast, *, since: date, seed: int, now: datetime
) -> int:
    """Write the device's sales from ``since`` until an hour ago into the platforms' books, one given back; how many sales."""
    told = 0
    for account in cast.accounts:
        platform = Platform(account.platform)
        if platform not in RULES:
            continue
        rng = random.Random(f"{seed}/{platform}")  # noqa: S311  # a demo must be repeatable, not secret
        sales = [
            sale
            for back in range((clock.business_date(now) - since).days, -1, -1)
            for sale in _day(rng, platform, day=clock.business_date(now) - timedelta(days=back))
            if datetime.fromisoformat(sale["paid_at"]) < now - timedelta(hours=1)
        ]
        control.tell_past(
            platform=account.platform,
            merchant_no=account.merchant_no,
            payments=sales,
            refunds=[_given_back(rng, sales[0])] if sales else [],
        )
        told += len(sales)
    return told


def _day(rng: random.Random, platform: Platform, *, day: date) -> list[dict[str, Any]]:
    sales = []
    for number in range(1, A_DAY[platform] + 1):
        at = datetime.combine(
            day, time(9 + 3 * number, rng.randrange(60), rng.randrange(60)), tzinfo=clock.CHINA
        )
        sales.append(
            {
                "out_trade_no": f"HB{day:%Y%m%d}{platform.value[:2].upper()}{number:04d}",
                "trade_no": trade_no(rng, platform, at),
                "product": "barcode",
                "amount_fen": rng.choice(_PRICES),
                "paid_at": at.isoformat(),
                "payer_id": f"payer{rng.randrange(900)}",
                "description": "湖滨店 收款机",
                "terminal_id": DEVICE if platform is Platform.ALIPAY else "",
            }
        )
    return sales


def _given_back(rng: random.Random, sale: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromisoformat(sale["paid_at"]) + timedelta(minutes=20)
    return {
        "out_trade_no": sale["out_trade_no"],
        "out_refund_no": f"{sale['out_trade_no']}T",
        "refund_no": f"503{rng.randrange(10**25):025d}",
        "amount_fen": sale["amount_fen"] // 2,
        "accepted_at": at.isoformat(),
        "finished_at": (at + timedelta(seconds=15)).isoformat(),
    }
