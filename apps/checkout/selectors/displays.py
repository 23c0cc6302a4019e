"""What a display on the wall shows to whoever stands in the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef
from django.utils.crypto import salted_hmac

from apps.checkout.models import WallDisplay
from apps.core.models import Door
from apps.core.money import Money
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.platforms.gateway import Product
from apps.qrcodes.models import CodeState, QRCode

#: How many amounts are shown, and how old they may be.
_SHOWN: Final = 5
_FRESH: Final = timedelta(hours=4)
#: Among how many of the latest attempts of the store they are looked for.
_AMONG: Final = 40
#: How many codes are offered.
_OFFERED: Final = 200


@dataclass(frozen=True, slots=True)
class OnWall:
    """What a display shows: the order that a desk asks for (None: none, or it shows a fixed code) and the latest payments."""

    wall: WallDisplay
    order: Order | None
    payments: list[Payment]

    def mark(self, *, usable: bool) -> str:
        """A short text that changes whenever the display would look different. It tells nothing else: numbers that count up would
        tell whoever opens the link how much the shop sells.
        """
        order = self.order.pk if self.order is not None else 0
        return self._hidden("all", order, *(one.pk for one in self.payments), int(usable))

    def name_of(self, payment: Payment) -> str:
        """What a payment is called on this display and nowhere else."""
        return self._hidden("payment", payment.pk)

    def _hidden(self, *what: object) -> str:
        text = "/".join(str(one) for one in what)
        return salted_hmac(f"wall/{self.wall.token}", text, algorithm="sha256").hexdigest()[:24]


def list_displays() -> list[WallDisplay]:
    """The displays of the stores in scope that are up, latest first."""
    walls = WallDisplay.objects.visible().filter(taken_down_at__isnull=True)
    return list(walls.select_related("store", "code__scenario", "terminal").order_by("-pk"))


def codes_to_show() -> list[QRCode]:
    """The codes in use that a display may show, latest first."""
    codes = QRCode.objects.visible().filter(state=CodeState.ACTIVE, store__is_active=True)
    return list(codes.select_related("scenario").order_by("-pk")[:_OFFERED])


def get_display(wall_id: int) -> WallDisplay | None:
    """A display of one of the stores in scope, up or not, or None."""
    found: WallDisplay | None = WallDisplay.objects.visible().filter(pk=wall_id).first()
    return found


def display_by_door(door: Door) -> WallDisplay:
    """The display behind a link."""
    walls = WallDisplay.objects.select_related("store", "code__scenario")
    found: WallDisplay = walls.get(pk=door.subject_id)
    return found


def on_wall(wall: WallDisplay, *, now: datetime) -> OnWall:
    """What a display shows now. Two queries, one where it shows a fixed code."""
    latest = Payment.objects.filter(store_id=wall.store_id, created_at__gte=now - _FRESH)
    ids = latest.order_by("-created_at", "-pk").values("pk")[:_AMONG]
    paid = Payment.objects.filter(pk__in=ids, state=PaymentState.SUCCEEDED)
    payments = list(paid.order_by("-paid_at", "-pk")[:_SHOWN])
    return OnWall(wall, None if wall.code_id is not None else _asked(wall, now=now), payments)


def _asked(wall: WallDisplay, *, now: datetime) -> Order | None:
    """The order that a desk of the store, or of the display's terminal, asked for last, while it can be paid; not one whose payer's own code was scanned."""
    scanned = Payment.objects.filter(order=OuterRef("pk"), product=Product.BARCODE)
    orders = Order.objects.filter(
        ~Exists(scanned),
        store_id=wall.store_id,
        store__is_active=True,
        state=OrderState.OPEN,
        taken_by__isnull=False,
        created_at__gte=now - _FRESH,
        expires_at__gt=now,
    )
    if wall.terminal_id is not None:
        orders = orders.filter(terminal_id=wall.terminal_id)
    found: Order | None = orders.order_by("-created_at", "-pk").first()
    return found


def masked(minor: int) -> str:
    """An amount in fen as strangers may see it: its first figure and the fen. ``1250`` is ``¥1*.50``, ``850`` is ``¥*.50``."""
    yuan, fen = Money(minor).to_yuan().split(".")
    shown = yuan[0] + "*" * (len(yuan) - 1) if len(yuan) > 1 else "*"
    return f"¥{shown}.{fen}"
