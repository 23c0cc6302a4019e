"""Money as integer minor units: one fen is one, ¥12.50 is 1250. No float ever touches an amount."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CNY = "CNY"
#: The largest amount that one payment may carry, in fen: ¥100,000,000.00, the platforms' own ceiling.
MAX_AMOUNT_MINOR = 10_000_000_000

_SYMBOLS = {CNY: "¥"}
_YUAN = re.compile(r"[+-]?\d{1,13}(?:\.(?P<fraction>\d*))?")


class InvalidAmount(ValueError):
    """The text or number is not an amount of money in whole fen."""


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met in one sum or comparison."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: ``minor`` whole fen of ``currency`` (ISO 4217)."""

    minor: int
    currency: str = CNY

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise InvalidAmount(f"an amount is a whole number of fen, not {self.minor!r}")

    @classmethod
    def from_yuan(cls, text: str | Decimal, currency: str = CNY) -> Money:
        """Read yuan such as ``"88.8"`` or ``"88.80"``.

        Raises InvalidAmount for anything else: a third decimal, an exponent, a separator, a float.
        """
        if isinstance(text, Decimal):
            text = format(text, "f")
        if type(text) is not str:
            raise InvalidAmount(f"an amount in yuan is text or Decimal, not {type(text).__name__}")
        match = _YUAN.fullmatch(text.strip())
        if match is None or not text.isascii():
            raise InvalidAmount(f"{text!r} is not an amount in yuan")
        fraction = match.group("fraction") or ""
        if fraction[2:].strip("0"):
            raise InvalidAmount(f"{text!r} is finer than one fen")
        return cls(int(Decimal(text.strip()).scaleb(2)), currency)

    def to_yuan(self) -> str:
        """Yuan with exactly two decimals and no separators: ``"-0.05"``."""
        sign = "-" if self.minor < 0 else ""
        yuan, fen = divmod(abs(self.minor), 100)
        return f"{sign}{yuan}.{fen:02d}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor < other.minor

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.minor <= other.minor

    def __gt__(self, other: Money) -> bool:
        return other < self

    def __ge__(self, other: Money) -> bool:
        return other <= self

    def display(self) -> str:
        """For people: ``¥1,234.50``; a true minus sign stands before the symbol."""
        yuan, fen = divmod(abs(self.minor), 100)
        sign = "\N{MINUS SIGN}" if self.minor < 0 else ""
        symbol = _SYMBOLS.get(self.currency, f"{self.currency} ")
        return f"{sign}{symbol}{yuan:,}.{fen:02d}"

    def __str__(self) -> str:
        return self.to_yuan()

    def share(self, *, rate_ppm: int) -> Money:
        """The part ``rate_ppm`` millionths of this amount, rounded half up to whole fen (fees: 0.6 % = 6000)."""
        part = (Decimal(self.minor) * rate_ppm / 1_000_000).quantize(Decimal(1), ROUND_HALF_UP)
        return Money(int(part), self.currency)

    def allocate(self, weights: Iterable[int]) -> list[Money]:
        """Split exactly by non-negative weights; the fen left over go to the first parts.

        Raises InvalidAmount when the weights are empty, negative or all zero.
        """
        shares = list(weights)
        total = sum(shares)
        if not shares or min(shares) < 0 or total == 0:
            raise InvalidAmount("weights must be non-negative and not all zero")
        sign = -1 if self.minor < 0 else 1
        parts = [abs(self.minor) * weight // total for weight in shares]
        left = abs(self.minor) - sum(parts)
        for index, weight in enumerate(shares):
            if left == 0:
                break
            if weight:
                parts[index] += 1
                left -= 1
        return [Money(sign * part, self.currency) for part in parts]
