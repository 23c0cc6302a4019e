"""How long things of a payment take."""

from __future__ import annotations

from datetime import timedelta

#: How long a payer has from opening an order to paying it; the platform is told the same.
LIFETIME = timedelta(minutes=15)
#: The first look at a new payment, should its notification be lost.
FIRST_POLL = timedelta(seconds=5)
#: An attempt closed early gets one more look after its time: Alipay calls a code that nobody has scanned "closed", and it
#: can still be scanned and paid until it expires.
LAST_LOOK = LIFETIME + timedelta(minutes=1)
