"""Cells of a WeChat Pay bill: names, amounts, fees and counts, each with its place when something is wrong."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from apps.core.money import InvalidAmount, Money
from apps.platforms import files


class Cells(files.Row):
    """One row, read by heading; every complaint says where."""

    def identifier(self, name: str) -> str:
        """A number that may be absent, which some bills write as 0."""
        value = self.name(name)
        return "" if value == "0" else value

    def amount(self, name: str) -> int:
        """An amount without its sign, in whole fen."""
        return abs(self.fen(name, amount_fen))

    def first_amount(self, *names: str) -> int:
        """The amount in the first of these columns that the bill has."""
        for name in names:
            if self.get(name):
                return self.amount(name)
        raise self.error("bad_row", "the amount is missing", names[0])

    def count(self, name: str) -> int:
        """A number of rows, which some bills write as ``20.0``."""
        try:
            value = Decimal(self.get(name))
        except InvalidOperation as error:
            raise self.error("bad_row", "not a count", name) from error
        if not value.is_finite() or value != value.to_integral_value():
            raise self.error("bad_row", "not a count", name)
        return int(value)


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise InvalidAmount("not an amount") from error
    if not value.is_finite() or value.adjusted() > 13 or "_" in text or not text.isascii():
        raise InvalidAmount("not an amount")
    return value


def amount_fen(text: str) -> int:
    """Fen of an amount in yuan. Raises InvalidAmount."""
    return Money.from_yuan(_decimal(text)).minor


def plain_fee(text: str) -> int | None:
    """Fen of a fee as nearly all are written, ``0.15000``; None for any other text."""
    digits = text[:-6] + text[-5:]
    if text[-6:-5] == "." and digits.isdecimal() and digits.isascii() and 5 < len(digits) < 18:
        return (int(digits) + 500) // 1000
    return None


def fee_fen(text: str) -> int:
    """Fen of a fee; bills show it with five decimals, its sign is kept."""
    return int(_decimal(text).scaleb(2).to_integral_value(ROUND_HALF_UP))
