"""What a platform charges for a payment by the terms in force on its day: the same sum here and in SQL. Free of Django."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

#: A rate is so many of these: 6000 is 0.6 %, one is a hundredth of a basis point.
PPM: Final = 1_000_000
_ALWAYS: Final = (date.min, date.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRule:
    """One rate and for what it holds: days ``[from_day, until_day)``, a wallet and product ("": any), amounts from
    ``from_minor`` fen on. ``is_agreed``: it stands in an agreement, else it is the account's own rate."""

    rate_ppm: int
    from_minor: int = 0
    wallet: str = ""
    product: str = ""
    cap_minor: int | None = None
    least_minor: int = 0
    rounding: str = "half_up"
    from_day: date = _ALWAYS[0]
    until_day: date = _ALWAYS[1]
    #: The part of a fee that comes back with a refund, in millionths.
    back_ppm: int = PPM
    is_agreed: bool = True

    @property
    def rank(self) -> int:
        """Which of two rules that fit goes first: agreed before not agreed, then wallet, then product."""
        return (4 if self.is_agreed else 0) + (2 if self.wallet else 0) + (1 if self.product else 0)

    def fits(self, *, amount_minor: int, day: date, wallet: str, product: str) -> bool:
        """Whether it may be what such a payment pays."""
        return (
            self.from_day <= day < self.until_day
            and self.wallet in {"", wallet}
            and self.product in {"", product}
            and self.from_minor <= amount_minor
        )

    def rounded(self, amount_minor: int) -> int:
        """The rate's part of an amount in whole fen, before cap and least fee."""
        return round_fen(amount_minor * self.rate_ppm, self.rounding)

    def fee(self, amount_minor: int) -> int:
        """What it charges for one payment, in fen; never more than the payment."""
        fee = self.rounded(amount_minor)
        if self.cap_minor is not None:
            fee = min(fee, self.cap_minor)
        return min(max(fee, self.least_minor), amount_minor)


def round_fen(millionths: int, rounding: str) -> int:
    """Millionths of a fen (not negative) as whole fen. Raises ValueError for an unknown rounding."""
    whole, rest = divmod(millionths, PPM)
    if rounding == "down":
        return whole
    if rounding == "up":
        return whole + (rest > 0)
    if rounding == "half_up":
        return whole + (2 * rest >= PPM)
    if rounding == "half_even":
        return whole + (2 * rest > PPM or (2 * rest == PPM and whole % 2 == 1))
    raise ValueError(f"no such rounding: {rounding}")


class FeeBook:
    """All rules of one account. The last resort, the account's own rate, fits every payment."""

    def __init__(self, rules: Iterable[FeeRule], *, own_rate_ppm: int) -> None:
        own = FeeRule(rate_ppm=own_rate_ppm, is_agreed=False)
        found = [*rules, own]
        #: The first that fits is the one.
        self.rules = sorted(found, key=lambda rule: (-rule.rank, -rule.from_minor))

    def rule(self, *, amount_minor: int, day: date, wallet: str = "", product: str = "") -> FeeRule:
        """The rule by which a payment of that day (China's calendar) is charged."""
        return next(
            rule
            for rule in self.rules
            if rule.fits(amount_minor=amount_minor, day=day, wallet=wallet, product=product)
        )

    def fee(self, *, amount_minor: int, day: date, wallet: str = "", product: str = "") -> int:
        """The fee of one payment, in fen."""
        rule = self.rule(amount_minor=amount_minor, day=day, wallet=wallet, product=product)
        return rule.fee(amount_minor)

    def values(self) -> dict[str, Any]:
        """What the statements of ``fee_sql`` and ``rate_sql`` are run with, beside their own values."""
        rules = self.rules
        return {
            "fee_from_day": [rule.from_day for rule in rules],
            "fee_until_day": [rule.until_day for rule in rules],
            "fee_wallet": [rule.wallet for rule in rules],
            "fee_product": [rule.product for rule in rules],
            "fee_from": [rule.from_minor for rule in rules],
            "fee_rate": [rule.rate_ppm for rule in rules],
            "fee_cap": [rule.cap_minor for rule in rules],
            "fee_least": [rule.least_minor for rule in rules],
            "fee_rounding": [rule.rounding for rule in rules],
            "fee_back": [rule.back_ppm for rule in rules],
            "fee_place": list(range(len(rules))),
        }


_RULES: Final = """
    FROM unnest(%(fee_from_day)s::date[], %(fee_until_day)s::date[], %(fee_wallet)s::text[], %(fee_product)s::text[],
                %(fee_from)s::bigint[], %(fee_rate)s::int[], %(fee_cap)s::bigint[], %(fee_least)s::bigint[],
                %(fee_rounding)s::text[], %(fee_back)s::int[], %(fee_place)s::int[])
         AS fee (from_day, until_day, wallet, product, from_minor, rate_ppm, cap_minor, least_minor, rounding, back_ppm,
                 place)
    WHERE {day} >= fee.from_day AND {day} < fee.until_day AND fee.wallet IN ('', {wallet})
      AND fee.product IN ('', {product}) AND fee.from_minor <= {amount}
    ORDER BY fee.place LIMIT 1
"""
_WHOLE: Final = "div({amount}::numeric * fee.rate_ppm, 1000000)"
_REST: Final = "mod({amount}::numeric * fee.rate_ppm, 1000000)"
#: One fee in whole fen, before cap and least fee, of an amount and the row ``fee``.
ROUNDED_SQL: Final = f"""
    ({_WHOLE} + CASE fee.rounding
        WHEN 'down' THEN 0
        WHEN 'up' THEN CASE WHEN {_REST} > 0 THEN 1 ELSE 0 END
        WHEN 'half_even' THEN CASE WHEN {_REST} > 500000 OR ({_REST} = 500000 AND mod({_WHOLE}, 2) = 1)
                                   THEN 1 ELSE 0 END
        ELSE CASE WHEN {_REST} >= 500000 THEN 1 ELSE 0 END
    END)
"""
#: The same under its cap. LEAST passes over what is null: without a cap there is none.
CAPPED_SQL: Final = f"LEAST({ROUNDED_SQL}, fee.cap_minor)"
#: The same with the least fee, and never more than the payment: what is charged.
FEE_SQL: Final = f"LEAST(GREATEST({CAPPED_SQL}, fee.least_minor), {{amount}})::bigint"


def fee_sql(*, amount: str, day: str, wallet: str, product: str) -> str:
    """A scalar subquery for the fee in fen; the arguments are SQL of ours, the values come from ``FeeBook.values``."""
    names = {"amount": amount, "day": day, "wallet": wallet, "product": product}
    return f"(SELECT {FEE_SQL} {_RULES})".format(**names)


def given_back_sql(*, amount: str, day: str, wallet: str, product: str) -> str:
    """A scalar subquery for what comes back of the fee when such a payment is refunded whole, in fen, rounded half up."""
    names = {"amount": amount, "day": day, "wallet": wallet, "product": product}
    back = f"div({FEE_SQL}::numeric * fee.back_ppm + 500000, 1000000)::bigint"
    return f"(SELECT {back} {_RULES})".format(**names)


def rate_sql(*, amount: str, day: str, wallet: str, product: str) -> str:
    """A scalar subquery for the rate in millionths by which such a payment is charged."""
    names = {"amount": amount, "day": day, "wallet": wallet, "product": product}
    return f"(SELECT fee.rate_ppm {_RULES})".format(**names)


def rule_sql(*, columns: str, amount: str, day: str, wallet: str, product: str) -> str:
    """A subquery for ``columns`` of the row ``fee`` that fits, such as ``FEE_SQL``, for LATERAL."""
    names = {"amount": amount, "day": day, "wallet": wallet, "product": product}
    return f"(SELECT {columns} {_RULES})".format(**names)


def fee_back(*, fee_minor: int, back_ppm: int, amount_minor: int, refunded_minor: int) -> int:
    """The part of a payment's fee that has come back once ``refunded_minor`` of it is refunded, rounded half up, in fen.

    Asked on the running total, the parts of several refunds add up exactly.
    """
    whole = 2 * PPM * amount_minor
    return (2 * fee_minor * back_ppm * refunded_minor + PPM * amount_minor) // whole
