"""What each platform would have charged and allowed for one month of the shop's own payments and refunds, by today's terms.

The month is gathered once into temporary tables, by wallet, way to pay, scenario and amount; each platform's terms are then
laid over them. Nothing is estimated from averages: each amount is charged, rounded and capped by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection, transaction

from apps.core.tenancy import current_merchant_id
from apps.platforms import registry
from apps.platforms.fees import PPM, FeeBook, FeeRule
from apps.platforms.gateway import Platform
from apps.platforms.models import Agreement, FeeTier, PlatformAccount
from apps.platforms.selectors.agreements import in_force, rule_of, tiers_of, versions_by_account
from apps.platforms.usual import USUAL_TERMS
from apps.platforms.wallets import wallets_of
from apps.reports.selectors import adviser_sql
from apps.statements.months import month_after


@dataclass(frozen=True, slots=True)
class Volume:
    """What was taken of one wallet and scenario ("": none), in fen; ``fee_minor`` is our estimate of what it cost."""

    wallet: str
    scenario: str
    count: int
    amount_minor: int
    fee_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to take the money, by its terms of today. ``source``: ``agreement``, ``own_rate`` or ``usual``."""

    platform: str
    account: PlatformAccount | None
    source: str
    rules: tuple[FeeRule, ...]
    wallets: tuple[str, ...]
    cycle_days: int
    working_days: bool
    refund_window_days: int | None
    fee_back_ppm: int
    payment_limit_minor: int | None = None
    day_limit_minor: int | None = None
    deposit_minor: int = 0

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return f"{self.platform}-{self.account.pk}" if self.account else self.platform


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSum:
    """What one rate came to: ``exact_micro`` is amount × rate in millionths of a fen, and the other parts explain the rest.

    ``exact_micro + rounding_micro + (cap_minor + least_minor) × 1,000,000 = charged_minor × 1,000,000``.
    """

    rule: FeeRule
    count: int
    amount_minor: int
    rounded_minor: int
    capped_minor: int
    charged_minor: int
    capped_count: int
    least_count: int

    @property
    def exact_micro(self) -> int:
        """The sum of the amounts times the rate, before anything is rounded."""
        return self.amount_minor * self.rule.rate_ppm

    @property
    def rounding_micro(self) -> int:
        """What rounding each payment's fee to whole fen added."""
        return self.rounded_minor * PPM - self.exact_micro

    @property
    def cap_minor(self) -> int:
        """What caps took off; zero or negative."""
        return self.capped_minor - self.rounded_minor

    @property
    def least_minor(self) -> int:
        """What least fees added."""
        return self.charged_minor - self.capped_minor


@dataclass(slots=True, kw_only=True)
class Answer:
    """What one option would have cost and allowed."""

    option: Option
    tiers: list[TierSum] = field(default_factory=list)
    by_wallet: dict[str, int] = field(default_factory=dict)
    by_scenario: dict[str, int] = field(default_factory=dict)
    other_wallet_count: int = 0
    other_wallet_minor: int = 0
    over_limit_count: int = 0
    over_limit_minor: int = 0
    over_day_count: int = 0
    over_day_minor: int = 0
    refund_count: int = 0
    refund_minor: int = 0
    fee_back_minor: int = 0
    late_count: int = 0
    late_minor: int = 0

    @property
    def count(self) -> int:
        """How many payments it would have taken."""
        return sum(tier.count for tier in self.tiers)

    @property
    def amount_minor(self) -> int:
        """Their sum, in fen."""
        return sum(tier.amount_minor for tier in self.tiers)

    @property
    def charged_minor(self) -> int:
        """Its fees for them, in fen."""
        return sum(tier.charged_minor for tier in self.tiers)

    @property
    def cost_minor(self) -> int:
        """Fees less what comes back with refunds, in fen."""
        return self.charged_minor - self.fee_back_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A month, what was taken, and what each option would have made of it."""

    month: date
    volumes: list[Volume]
    refund_count: int
    refund_minor: int
    fee_back_minor: int
    answers: list[Answer]

    @property
    def count(self) -> int:
        """Payments of the month."""
        return sum(row.count for row in self.volumes)

    @property
    def amount_minor(self) -> int:
        """Their sum, in fen."""
        return sum(row.amount_minor for row in self.volumes)

    @property
    def fee_minor(self) -> int:
        """What they cost by the books, in fen."""
        return sum(row.fee_minor for row in self.volumes)

    @property
    def average_minor(self) -> int:
        """The average payment, rounded down; 0 without any."""
        return self.amount_minor // self.count if self.count else 0


def options_on(today: date) -> list[Option]:
    """The active accounts by their terms of that day, then the platforms without one by what is usual. Three queries at most."""
    accounts = list(PlatformAccount.objects.filter(is_active=True).order_by("priority", "pk"))
    versions = versions_by_account([row.pk for row in accounts if row.has_agreement])
    held = {pk: in_force(rows, today) for pk, rows in versions.items()}
    tiers = tiers_of([row.pk for row in held.values() if row is not None]) if held else {}
    found = [
        _of_account(account, held.get(account.pk), tiers)
        for account in accounts
        if account.platform in registry.connected_platforms()
    ]
    known = {account.platform for account in accounts}
    found += [
        _usual(platform)
        for platform in registry.connected_platforms()
        if platform.value not in known
    ]
    return found


def _wallets(platform: str) -> tuple[str, ...]:
    named = wallets_of(Platform(platform), registry.capabilities_of(platform))
    # What an aggregator took without a word about the wallet, it took.
    return tuple(dict.fromkeys([*(wallet.value for wallet in named), platform]))


def _of_account(
    account: PlatformAccount, agreement: Agreement | None, tiers: Mapping[int, Sequence[FeeTier]]
) -> Option:
    usual = USUAL_TERMS[Platform(account.platform)]
    if agreement is None:
        return Option(
            platform=account.platform,
            account=account,
            source="own_rate",
            rules=(FeeRule(rate_ppm=account.fee_rate_ppm),),
            wallets=_wallets(account.platform),
            cycle_days=usual.cycle_days,
            working_days=usual.working_days,
            refund_window_days=usual.refund_window_days,
            fee_back_ppm=usual.fee_back_ppm,
        )
    return Option(
        platform=account.platform,
        account=account,
        source="agreement",
        rules=tuple(
            rule_of(tier, from_day=date.min, until_day=date.max, back_ppm=agreement.fee_back_ppm)
            for tier in tiers.get(agreement.pk, [])
        ),
        wallets=_wallets(account.platform),
        cycle_days=agreement.cycle_days,
        working_days=agreement.working_days,
        refund_window_days=agreement.refund_window_days,
        fee_back_ppm=agreement.fee_back_ppm,
        payment_limit_minor=agreement.payment_limit_minor,
        day_limit_minor=agreement.day_limit_minor,
        deposit_minor=agreement.deposit_minor,
    )


def _usual(platform: Platform) -> Option:
    usual = USUAL_TERMS[platform]
    return Option(
        platform=platform.value,
        account=None,
        source="usual",
        rules=usual.rules,
        wallets=_wallets(platform.value),
        cycle_days=usual.cycle_days,
        working_days=usual.working_days,
        refund_window_days=usual.refund_window_days,
        fee_back_ppm=usual.fee_back_ppm,
    )


@transaction.atomic
def advise(*, month: date, today: date, options: Sequence[Option]) -> Advice:
    """Lay each option's terms over the month's payments and refunds (by booked day). Four queries, and three or four an option."""
    values: dict[str, Any] = {
        "merchant": current_merchant_id(),
        "first": month,
        "until": month_after(month),
        "today": today,
    }
    with connection.cursor() as cursor:
        cursor.execute(adviser_sql.PAID, values)
        cursor.execute(adviser_sql.REFUNDED, values)
        cursor.execute(adviser_sql.SUMS)
        volumes = [Volume(*row) for row in cursor.fetchall()]
        cursor.execute(adviser_sql.BACK_SUMS)
        refund_count, refund_minor, fee_back_minor = cursor.fetchone()
        answers = [_answer(cursor, option, values) for option in options]
        cursor.execute(adviser_sql.FORGET)
    return Advice(
        month=month,
        volumes=volumes,
        refund_count=refund_count,
        refund_minor=refund_minor,
        fee_back_minor=fee_back_minor,
        answers=answers,
    )


def _answer(cursor: Any, option: Option, month: Mapping[str, Any]) -> Answer:
    # The last resort of the book is never reached: an option's rules say something of every payment.
    book = FeeBook(option.rules, own_rate_ppm=option.rules[0].rate_ppm)
    values = {
        **month,
        **book.values(),
        "wallets": list(option.wallets),
        "limit": option.payment_limit_minor,
        "window": option.refund_window_days,
        "back": option.fee_back_ppm,
    }
    answer = Answer(option=option)
    cursor.execute(adviser_sql.COSTS, values)
    sums: defaultdict[int, list[int]] = defaultdict(lambda: [0] * 7)
    by_wallet: defaultdict[str, int] = defaultdict(int)
    by_scenario: defaultdict[str, int] = defaultdict(int)
    for place, wallet, scenario, *parts in cursor.fetchall():
        sums[place] = [one + other for one, other in zip(sums[place], parts, strict=True)]
        charged = parts[4]
        by_wallet[wallet] += charged
        by_scenario[scenario] += charged
    answer.by_wallet, answer.by_scenario = dict(by_wallet), dict(by_scenario)
    answer.tiers = [_tier_sum(book.rules[place], parts) for place, parts in sorted(sums.items())]
    cursor.execute(adviser_sql.REFUSED, values)
    (
        answer.other_wallet_count,
        answer.other_wallet_minor,
        answer.over_limit_count,
        answer.over_limit_minor,
    ) = cursor.fetchone()
    cursor.execute(adviser_sql.BACK, values)
    for late, count, minor, back in cursor.fetchall():
        if late:
            answer.late_count, answer.late_minor = count, minor
        else:
            answer.refund_count, answer.refund_minor = count, minor
            answer.fee_back_minor = int(back)
    if option.day_limit_minor is not None:
        _look_at_days(cursor, answer, option.day_limit_minor, values)
    return answer


def _tier_sum(rule: FeeRule, parts: Sequence[int]) -> TierSum:
    count, amount, rounded, capped, charged, capped_count, least_count = parts
    return TierSum(
        rule=rule,
        count=count,
        amount_minor=amount,
        rounded_minor=rounded,
        capped_minor=capped,
        charged_minor=charged,
        capped_count=capped_count,
        least_count=least_count,
    )


def _look_at_days(cursor: Any, answer: Answer, limit: int, values: Mapping[str, Any]) -> None:
    cursor.execute(adviser_sql.DAYS, values)
    days: defaultdict[date, int] = defaultdict(int)
    for wallet, day, is_over, minor in cursor.fetchall():
        if wallet in answer.option.wallets and not is_over:
            days[day] += minor
    over = [total - limit for total in days.values() if total > limit]
    answer.over_day_count, answer.over_day_minor = len(over), sum(over)
