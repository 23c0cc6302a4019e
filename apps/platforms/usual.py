"""What is usual at the platforms, as a starting value for those who have no agreement yet. A contract may say otherwise.

None of it is certain for a given merchant: rates differ by trade and by who signed the merchant on. Only WeChat Pay's refund
window is the platform's own rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.platforms.fees import FeeBook, FeeRule
from apps.platforms.gateway import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualTerms:
    """Starting values: rates, days until the money is there, days in which refunds are taken, whether fees come back."""

    rules: tuple[FeeRule, ...]
    cycle_days: int
    working_days: bool
    refund_window_days: int
    fee_back_ppm: int = 1_000_000

    def book(self) -> FeeBook:
        """The rates as a book that holds on every day."""
        return FeeBook(self.rules, own_rate_ppm=self.rules[0].rate_ppm)


USUAL_TERMS: Final[Mapping[Platform, UsualTerms]] = {
    Platform.WECHATPAY: UsualTerms(
        rules=(FeeRule(rate_ppm=6_000),), cycle_days=1, working_days=True, refund_window_days=365
    ),
    # The balance is there at once, and with the bank the day after it is withdrawn.
    Platform.ALIPAY: UsualTerms(
        rules=(FeeRule(rate_ppm=6_000),), cycle_days=1, working_days=False, refund_window_days=90
    ),
    Platform.UNIONPAY: UsualTerms(
        rules=(FeeRule(rate_ppm=3_800), FeeRule(rate_ppm=6_000, from_minor=100_001)),
        cycle_days=1,
        working_days=True,
        refund_window_days=330,
    ),
    Platform.SHOUQIANBA: UsualTerms(
        rules=(FeeRule(rate_ppm=3_800),), cycle_days=1, working_days=True, refund_window_days=90
    ),
}
