"""The codes on the payers' own phones (付款码): issued by a wallet, scanned by a till, good once and for a minute.

For all simulated platforms. A platform's barcode call writes its order and then ``take``s the code for it; with
``pays_at_once`` it goes on to ``books.pay_order(payer=payer_of(code))``, otherwise the order waits until the payer types
the password (``confirm``) or its time is over. Digits after the dossier (unionpay_shouqianba.md section 3).
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.simulator import books
from apps.simulator.models import Order, OrderState, PayCode, Platform
from apps.simulator.payers import PAYERS, Payer, payer_for

#: How a wallet's codes are told by their digits.
PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    Platform.WECHATPAY: re.compile(r"1[0-5][0-9]{16}"),
    Platform.ALIPAY: re.compile(r"(?:2[5-9]|30)[0-9]{14,22}"),
    Platform.UNIONPAY: re.compile(r"62[0-9]{17}"),
}
#: What new codes look like: how they may begin, and how many digits they have in all.
_ISSUED: Final[dict[str, tuple[tuple[str, ...], int]]] = {
    Platform.WECHATPAY: (("10", "11", "12", "13", "14"), 18),
    Platform.ALIPAY: (("28",), 18),
    Platform.UNIONPAY: (("62",), 19),
}
#: What a code does when it is scanned: pay, wait for the payer's password, or lack the money.
PAYS, PASSWORD, POOR = "pays", "password", "poor"
BEHAVIOURS: Final = (PAYS, PASSWORD, POOR)
#: How long a code lives unless somebody wishes otherwise; a phone shows a fresh one each minute.
LIFE_SECONDS: Final = 60.0


class CodeRefused(Exception):
    """The code cannot be taken. ``reason``: ``unknown`` (no such code in that wallet), ``expired`` or ``used``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NothingToConfirm(Exception):
    """No order waits for this code's password. ``reason``: ``unknown`` (no such code), ``unused``, or ``over``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def wallet_of(digits: str) -> str:
    """The wallet (a platform's value) that a code belongs to by its digits, "" for none."""
    return next((wallet for wallet, form in PATTERNS.items() if form.fullmatch(digits)), "")


def issue(
    *,
    wallet: str,
    now: datetime,
    payer_key: str = "demo",
    behaviour: str = PAYS,
    seconds: float = LIFE_SECONDS,
) -> PayCode:
    """A fresh code of this wallet user, good for ``seconds`` of simulated time.

    Raises ValueError for a wallet without codes, an unknown user or behaviour, or a life that is not positive.
    """
    if wallet not in _ISSUED:
        raise ValueError(f"wallet must be one of {', '.join(_ISSUED)}")
    if payer_key not in PAYERS:
        raise ValueError(f"payer must be one of {', '.join(PAYERS)}")
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"behaviour must be one of {', '.join(BEHAVIOURS)}")
    if not 0 < seconds <= 86_400:
        raise ValueError("seconds must be positive and at most a day")
    while True:
        try:
            with transaction.atomic():
                return PayCode.objects.create(
                    wallet=wallet,
                    digits=_new_digits(wallet),
                    payer_key=payer_key,
                    behaviour=behaviour,
                    created_at=now,
                    expires_at=now + timedelta(seconds=seconds),
                )
        except IntegrityError:  # drawn twice in 10^16: draw again
            continue


def _new_digits(wallet: str) -> str:
    starts, length = _ISSUED[wallet]
    start = secrets.choice(starts)
    return start + f"{secrets.randbelow(10 ** (length - len(start))):0{length - len(start)}d}"


def take(*, digits: str, wallet: str, order: Order, now: datetime) -> PayCode:
    """Use the code up for this order: of two tills that scan it at once, one gets it. Raises CodeRefused."""
    codes = PayCode.objects.filter(wallet=wallet, digits=digits)
    if codes.filter(used_at=None, expires_at__gt=now).update(used_at=now, order=order):
        return codes.get()
    code = codes.first()
    if code is None:
        raise CodeRefused("unknown")
    raise CodeRefused("used" if code.used_at is not None else "expired")


def pays_at_once(code: PayCode) -> bool:
    """Whether scanning is all it takes: the payer types no password."""
    return code.behaviour != PASSWORD


def payer_of(code: PayCode) -> Payer:
    """Who pays by this code; one that behaves as poor pays as the user without money."""
    return PAYERS["poor"] if code.behaviour == POOR else payer_for(code.payer_key)


def waiting(*, wallet: str, payer_key: str) -> QuerySet[PayCode]:
    """This wallet user's codes whose orders wait for the password, newest first."""
    return (
        PayCode.objects.filter(
            wallet=wallet,
            payer_key=payer_key,
            behaviour=PASSWORD,
            order__state=OrderState.WAITING,
        )
        .select_related("order__merchant")
        .order_by("-used_at", "-pk")
    )


def confirm(*, digits: str, now: datetime) -> Order:
    """The payer types the password: the waiting order is paid.

    Raises NothingToConfirm; books.NotPayable when the order could not be paid after all (its time is over).
    """
    code = PayCode.objects.select_related("order__merchant").filter(digits=digits).first()
    if code is None:
        raise NothingToConfirm("unknown")
    if code.order is None:
        raise NothingToConfirm("unused")
    if books.refresh(order=code.order, now=now).state != OrderState.WAITING:
        raise NothingToConfirm("over")
    return books.pay_order(order=code.order, payer=payer_of(code), now=now)
