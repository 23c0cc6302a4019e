"""What refund rules weigh, and what may follow: the vocabulary of every ``RefundRuleBook``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.core.money import MAX_AMOUNT_MINOR
from apps.core.rules import Book, Choice, Number, Schema, read_book

#: The whole of a payment, in the unit of ``share``.
WHOLE: Final = 10_000
#: Counts and sums look back so many days, each from the moment of asking.
WINDOWS: Final = (1, 7, 30)
#: Sums of many refunds stay below this many fen.
_MOST_SUM: Final = 10**15
_MOST_COUNT: Final = 1_000_000
#: Ten years: an older payment counts as so old.
MOST_AGE: Final = 10 * 366 * 24 * 60
_DAY: Final = 24 * 60

_COUNTED: Final = [(who, days) for who in ("payer", "asker") for days in WINDOWS] + [("store", 1)]

FACTS: Final[Mapping[str, Number | Choice]] = {
    "amount": Number(1, MAX_AMOUNT_MINOR),
    "total": Number(1, MAX_AMOUNT_MINOR),
    "share": Number(1, WHOLE),
    "age": Number(0, MOST_AGE),
    "minute": Number(0, _DAY - 1, turns=True),
    **{f"{who}_count_{days}": Number(1, _MOST_COUNT) for who, days in _COUNTED},
    **{f"{who}_sum_{days}": Number(1, _MOST_SUM) for who, days in _COUNTED},
    "store": Choice(),
    "code": Choice(),
    "platform": Choice(),
    "asker": Choice(),
    "reason": Choice(),
    "origin": Choice(),
}

#: Those that other refunds have a part in: who asks for two at once must not get around them.
COUNTED: Final = frozenset(name for name in FACTS if "_count_" in name or "_sum_" in name)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows: so many confirmations by members with this permission, or a refusal."""

    confirmations: int = 0
    permission: str = ""
    refuses: bool = False


ANY_APPROVER: Final = "refunds.approve"
FINANCE_APPROVER: Final = "refunds.approve_finance"

OUTCOMES: Final[Mapping[str, Outcome]] = {
    "at_once": Outcome(),
    "one": Outcome(1, ANY_APPROVER),
    "two": Outcome(2, ANY_APPROVER),
    "one_finance": Outcome(1, FINANCE_APPROVER),
    "two_finance": Outcome(2, FINANCE_APPROVER),
    "refuse": Outcome(refuses=True),
}

SCHEMA: Final = Schema(
    facts=FACTS,
    outcomes=frozenset(OUTCOMES),
    orders=(
        ("amount", "total"),
        *(("amount", f"{who}_sum_1") for who in ("payer", "asker", "store")),
        *(
            (f"{who}_{what}_{shorter}", f"{who}_{what}_{longer}")
            for who in ("payer", "asker")
            for what in ("count", "sum")
            for shorter, longer in ((1, 7), (7, 30))
        ),
    ),
)

#: Where a refund is asked for: by a member, or by the customer on the receipt and accepted by a member.
ORIGINS: Final = ("member", "receipt")

#: What holds until a merchant writes its own: ¥200.00, one confirmation.
DEFAULT_CONTENT: Final[dict[str, Any]] = {
    "rules": [{"when": {"total": {"over": 20_000}}, "outcome": "one"}],
    "otherwise": "at_once",
}


def refund_book(content: Any) -> Book:
    """A book of refund rules from its JSON. Raises BadBook."""
    return read_book(content, SCHEMA)
