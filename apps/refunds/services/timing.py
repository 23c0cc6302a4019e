"""When refunds are sent again and asked about."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from apps.payments.services.timing import wait_until_age
from apps.platforms.gateway import Platform

#: A refund that waits for the platform's balance is sent again after this.
QUEUE_WAIT: Final = timedelta(minutes=10)

#: What was paid twice is asked back again so long after the platform refused: a balance that was too low grows. Then a person decides.
ASKED_BACK_AGAIN: Final = (
    QUEUE_WAIT,
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)

#: At which ages, in seconds since it was accepted, a refund is asked about. WeChat Pay: after a minute, then after 5, 10,
#: 20 and 30 more (its refund guide). Alipay: not before ten seconds (its refund query). The others advise nothing; their refunds to
#: wallets take seconds, those to cards days.
_ACCEPTED: Final = {
    Platform.WECHATPAY: (60, 360, 960, 2160, 3960),
    Platform.ALIPAY: (10, 30, 60, 300, 900, 2700),
    Platform.UNIONPAY: (5, 15, 30, 60, 300, 900, 2700),
    Platform.SHOUQIANBA: (5, 10, 20, 40, 60, 300, 900, 2700),
}
#: The same since it was sent, where nobody knows whether it arrived.
_UNKNOWN: Final = (10, 30, 60, 120, 300, 600, 1200, 2400)
_AFTERWARDS: Final = timedelta(minutes=30)


def asked_back_again(refused: int) -> timedelta | None:
    """How long to wait before what was paid twice is asked back once more, after so many refusals; None: no more."""
    return ASKED_BACK_AGAIN[refused - 1] if 0 < refused <= len(ASKED_BACK_AGAIN) else None


def refund_delay(*, platform: Platform, accepted: bool, age: timedelta) -> timedelta:
    """How long to wait until the next look at a refund accepted, or sent, so long ago."""
    ages = _ACCEPTED[platform] if accepted else _UNKNOWN
    return wait_until_age(ages, age=age, afterwards=_AFTERWARDS)
