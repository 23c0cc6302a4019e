"""How long things of a payment take, and when the platforms are asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from apps.platforms.gateway import Platform, Product

#: How long a payer has from opening an order to paying it; the platform is told the same.
LIFETIME = timedelta(minutes=15)
#: The first look at a new payment, should its notification be lost.
FIRST_POLL = timedelta(seconds=5)
#: An attempt closed early gets one more look so long after the platform's own end of it: Alipay calls a code that nobody
#: has scanned "closed", UnionPay cannot close one at all, and both can be scanned and paid until they expire.
LAST_LOOK = timedelta(minutes=1)
#: How long a payer may take to confirm a payment by code before it is reversed: WeChat Pay asks for 30 seconds, the others
#: for a little more, since Shouqianba's own wait for a password ends after about 40.
BARCODE_PATIENCE: Final = {
    Platform.WECHATPAY: timedelta(seconds=30),
    Platform.ALIPAY: timedelta(seconds=40),
    Platform.UNIONPAY: timedelta(seconds=60),
    Platform.SHOUQIANBA: timedelta(seconds=50),
}
#: The first look at a payment by code that the payer must confirm.
BARCODE_FIRST_POLL = timedelta(seconds=2)


def _looks(*parts: tuple[int, int]) -> tuple[int, ...]:
    """Ages in seconds at which to look: for each part, every so many seconds until this age."""
    ages: list[int] = []
    for every, until in parts:
        start = ages[-1] if ages else 0
        ages += range(start + every, until + 1, every)
    return tuple(ages)


#: At which ages, in seconds, a payment is asked about, should no notification come: as the platform advises, and closely in
#: the half minute in which most people pay. Sooner while somebody watches the payer's page, which has a look of its own.
#: WeChat Pay: 5 s, 30 s, 1, 3, 5, 10, 30 min (its payment guide). UnionPay: six looks, each after twice the time, then
#: rarely, since it refuses who asks too often (code 37). Shouqianba: every 2 s for 30 s, then every 5 s as long as its
#: code lives (its documentation of precreate). Alipay advises nothing.
_CODES: Final = {
    Platform.WECHATPAY: (*_looks((5, 30)), 60, 180, 300, 600, 1800),
    Platform.ALIPAY: _looks((5, 30), (10, 120), (30, 300), (60, 1800)),
    Platform.UNIONPAY: (1, 3, 7, 15, 31, 63, 180, 420, 900),
    Platform.SHOUQIANBA: _looks((2, 30), (5, 240), (60, 900)),
}
#: The same for a payer's code at the till, where somebody waits; past its time it is reversed. WeChat Pay and Alipay: every
#: 5 s (code 10003). UnionPay: as above. Shouqianba: every 3 s, then every 10 s to two minutes.
_BARCODES: Final = {
    Platform.WECHATPAY: _looks((5, 60)),
    Platform.ALIPAY: _looks((5, 60)),
    Platform.UNIONPAY: (1, 3, 7, 15, 31, 63),
    Platform.SHOUQIANBA: _looks((3, 60), (10, 120)),
}
#: Between looks at what is older than any of these ages.
_AFTERWARDS: Final = {
    Platform.WECHATPAY: timedelta(minutes=30),
    Platform.ALIPAY: timedelta(minutes=5),
    Platform.UNIONPAY: timedelta(minutes=15),
    Platform.SHOUQIANBA: timedelta(minutes=5),
}
#: How old the platform's word may be when the payer's page is opened, and while it is watched, where another look is made.
#: UnionPay has its six looks by then and refuses who asks too often (code 37).
_ON_OPEN: Final = {Platform.UNIONPAY: timedelta(seconds=5)}
_ON_OPEN_ELSE: Final = timedelta(seconds=2)
_WATCHED: Final = {Platform.UNIONPAY: timedelta(seconds=15)}
_WATCHED_ELSE: Final = timedelta(seconds=3)
#: How long a payment is left alone, at least, after the platform said that it was asked about it too often.
TOO_OFTEN_REST: Final = timedelta(minutes=1)
#: Looks are spread by a tenth of the wait, so this part of a gap before its end counts as its end.
_NEARLY: Final = 0.2

#: Between two tries to close, or to reverse, what is past its time: at first, and at most.
CLOSE_RETRY: Final = timedelta(seconds=15)
REVERSE_RETRY: Final = timedelta(seconds=5)
END_RETRY_SLOWEST: Final = timedelta(hours=1)
#: After this no platform reverses any more, and its bill must have told what became of a doubted success.
DOUBT_ENDS: Final = timedelta(days=2)


def poll_delay(*, platform: Platform, product: Product, age: timedelta) -> timedelta:
    """How long to wait until the next look at a payment of this age."""
    ages = (_BARCODES if product is Product.BARCODE else _CODES)[platform]
    return wait_until_age(ages, age=age, afterwards=_AFTERWARDS[platform])


def look_every(*, platform: Platform, watched: bool) -> timedelta:
    """How old the platform's word on an open payment may be for the payer's page: while it is ``watched``, or when opened."""
    if watched:
        return _WATCHED.get(platform, _WATCHED_ELSE)
    return _ON_OPEN.get(platform, _ON_OPEN_ELSE)


def wait_until_age(ages: Sequence[int], *, age: timedelta, afterwards: timedelta) -> timedelta:
    """How long until the next of the ``ages`` (seconds, rising), ``afterwards`` where all are past."""
    seconds = age.total_seconds()
    before = 0
    for at in ages:
        if at - seconds > _NEARLY * (at - before):
            return timedelta(seconds=at - seconds)
        before = at
    return afterwards


def end_delay(*, product: Product, late: timedelta) -> timedelta:
    """How long to wait until the next try to end what is ``late``: a platform that refuses for good is asked rarely."""
    first = REVERSE_RETRY if product is Product.BARCODE else CLOSE_RETRY
    return min(max(first, late / 4), END_RETRY_SLOWEST)
