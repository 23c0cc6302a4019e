"""Notices to the merchants' servers: queued with the event, sent by a loop, repeated on a schedule.

What a platform sends is its own affair. ``apps.simulator.<platform>.notices`` has these names, which
are looked up when first needed (a platform without the module sends nothing):

- ``RETRY_SECONDS: tuple[int, ...]``: simulated seconds from one attempt to the next;
- ``TIMEOUT_SECONDS: float``: true seconds that the platform waits for the answer;
- ``notify_url(*, order, refund, kind) -> str``: where a notice of this event goes, "" for nowhere;
- ``snapshot(*, order, refund, kind, now) -> dict``: JSON of what it will say, taken with the event;
- ``build_notice(*, notice, now, forged) -> tuple[dict[str, str], bytes]``: headers and body, freshly
  signed for this attempt (with ``keys.stranger_key()`` when forged);
- ``accepted(*, status, body) -> bool``: whether the merchant's answer ends the repeats.
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

import httpx
from django.db import transaction

from apps.simulator import faults
from apps.simulator.models import Notice, NoticeKind, NoticeState, Order, OrderState, Refund
from apps.simulator.payers import DEFAULT_PAYER, Payer

#: How long a claimed notice belongs to its sender, in simulated seconds: longer than a sender waits
#: for its answer even when the clock runs sixty times too fast.
CLAIM_SECONDS = 600


class PlatformNotices(Protocol):
    """The module ``apps.simulator.<platform>.notices``."""

    RETRY_SECONDS: tuple[int, ...]
    TIMEOUT_SECONDS: float

    def notify_url(self, *, order: Order, refund: Refund | None, kind: str) -> str:
        """Where to, "" for nowhere."""
        ...

    def snapshot(
        self, *, order: Order, refund: Refund | None, kind: str, now: datetime
    ) -> dict[str, Any]:
        """What the notice will say."""
        ...

    def build_notice(
        self, *, notice: Notice, now: datetime, forged: bool
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body of one attempt."""
        ...

    def accepted(self, *, status: int, body: bytes) -> bool:
        """Whether this answer ends the repeats."""
        ...


@lru_cache(maxsize=8)
def sender_for(platform: str) -> PlatformNotices | None:
    """The platform's notices module; None if it has none."""
    name = f"apps.simulator.{platform}.notices"
    if find_spec(f"apps.simulator.{platform}") is None or find_spec(name) is None:
        return None
    return cast(PlatformNotices, import_module(name))


class NothingToSend(Exception):
    """There is no address for this notice, or it was never sent before. ``args[0]`` says which."""


def enqueue(*, order: Order, refund: Refund | None, kind: str, now: datetime) -> Notice | None:
    """Queue the notice of an event inside the event's transaction; None if there is none to send."""
    sender = sender_for(order.platform)
    url = sender.notify_url(order=order, refund=refund, kind=kind) if sender else ""
    if sender is None or not url:
        return None
    platform = order.platform
    if faults.take("notify_off", platform=platform) is not None:
        return None
    notice = Notice(
        platform=platform,
        order=order,
        refund=refund,
        kind=kind,
        url=url,
        notice_no=_new_number(now),
        event_at=now,
        next_at=now,
        payload=sender.snapshot(order=order, refund=refund, kind=kind, now=now),
        forged=faults.take("notify_forged", platform=platform) is not None,
    )
    if faults.take("notify_lost", platform=platform) is not None:
        notice.state = NoticeState.DROPPED
        notice.next_at = None
        notice.last_body = "fault notify_lost"
    late = faults.take("notify_late", platform=platform)
    if late is not None and notice.next_at is not None:
        notice.next_at = now + timedelta(seconds=late["seconds"])
    if faults.take("notify_out_of_order", platform=platform) is not None and notice.next_at:
        notice.held = True
        notice.next_at = now + timedelta(days=1)
    notice.save()
    return notice


def _new_number(now: datetime) -> str:
    return f"EV-{now:%Y%m%d%H%M%S}{secrets.token_hex(8)}"


# --- what nobody should believe -------------------------------------------------------------------


def forge(
    *, order: Order, payer: Payer, now: datetime, due_at: datetime, amount_fen: int | None = None
) -> Notice:
    """Queue a forged notice: signed by a stranger, it claims that this order is paid, whatever the books say.

    ``amount_fen`` None claims the order's own amount. It is sent once. Raises NothingToSend without an address.
    """
    claimed = Order.objects.select_related("merchant").get(pk=order.pk)
    if claimed.state != OrderState.PAID:
        claimed.state, claimed.paid_at, claimed.trade_exists = OrderState.PAID, now, True
        claimed.payer_id = claimed.payer_id or payer.id_in(
            claimed.charging, claimed.merchant.app_id
        )
        claimed.payer_login = payer.login
    if amount_fen is not None:
        claimed.amount_fen = amount_fen
    sender = sender_for(claimed.platform)
    url = sender.notify_url(order=claimed, refund=None, kind=NoticeKind.PAID) if sender else ""
    if sender is None or not url:
        raise NothingToSend("the order has no address for notices")
    return Notice.objects.create(
        platform=claimed.platform,
        order=order,
        kind=NoticeKind.PAID,
        url=url,
        notice_no=_new_number(now),
        event_at=now,
        next_at=due_at,
        payload=sender.snapshot(order=claimed, refund=None, kind=NoticeKind.PAID, now=now),
        forged=True,
        once=True,
    )


def tempt(*, order: Order, now: datetime) -> None:
    """Under the fault notify_claimed, forge a notice of an order that has just been made."""
    claim = faults.take("notify_claimed", platform=order.platform)
    if claim is not None:
        due_at = now + timedelta(seconds=float(claim["seconds"]))
        with contextlib.suppress(NothingToSend):
            forge(order=order, payer=DEFAULT_PAYER, now=now, due_at=due_at)


def replay(*, notice: Notice, now: datetime) -> int | None:
    """Send the last attempt again, byte for byte with its old signature; the status of the answer, None for none.

    Raises NothingToSend if nothing was ever sent. What the platform knows about the notice does not change.
    """
    if not notice.sent_body:
        raise NothingToSend("nothing was sent yet")
    sender = sender_for(notice.platform)
    timeout = sender.TIMEOUT_SECONDS if sender else 5.0
    status, body = _send(notice, notice.sent_headers, bytes(notice.sent_body), timeout)
    _record(notice, now=now, status=status, body=body, note="replayed")
    notice.save(update_fields=["history"])
    return status


def resend(*, notice: Notice, now: datetime) -> int | None:
    """Send a notice once more, signed afresh, whether it was delivered or given up; the status of the answer."""
    sender = sender_for(notice.platform)
    if sender is None:
        raise NothingToSend("the platform sends no notices")
    status, body = _post(sender, notice, now)
    _record(notice, now=now, status=status, body=body, note="sent again")
    if status is not None and sender.accepted(status=status, body=body):
        notice.state, notice.next_at, notice.held = NoticeState.DELIVERED, None, False
    notice.last_status, notice.last_body = status, body.decode("utf-8", "replace")
    notice.save()
    return status


# --- sending --------------------------------------------------------------------------------------


def is_early(platform: str) -> bool:
    """Spend one use of the fault ``notify_early``."""
    return faults.take("notify_early", platform=platform) is not None


def deliver_early(*, order: Order, now: datetime, force: bool = False) -> None:
    """Under the fault ``notify_early``, send the order's pending notices before the caller goes on.

    Call it outside a transaction: the merchant's server may ask back at once.
    """
    if force or is_early(order.platform):
        for notice in order.notices.filter(state=NoticeState.PENDING, held=False):
            attempt(notice_id=notice.pk, now=now)


def due_ids(*, now: datetime, limit: int = 50) -> list[int]:
    """The notices whose time has come."""
    due = Notice.objects.filter(state=NoticeState.PENDING, next_at__lte=now)
    return list(due.order_by("next_at", "pk").values_list("pk", flat=True)[:limit])


def deliver_due(*, now: datetime, limit: int = 50) -> int:
    """Send what is due, one after the other; returns the number of attempts."""
    return sum(attempt(notice_id=pk, now=now) for pk in due_ids(now=now, limit=limit))


def attempt(*, notice_id: int, now: datetime) -> bool:
    """Send one notice once and write down the answer; False if another sender has it."""
    claimed = Notice.objects.filter(pk=notice_id, state=NoticeState.PENDING, next_at__isnull=False)
    before = claimed.values_list("next_at", flat=True).first()
    if before is None:
        return False
    held_until = max(before, now) + timedelta(seconds=CLAIM_SECONDS)
    if not claimed.filter(next_at=before).update(next_at=held_until):
        return False
    notice = Notice.objects.select_related("order__merchant", "refund").get(pk=notice_id)
    sender = sender_for(notice.platform)
    if sender is None:
        return False
    status, body = _post(sender, notice, now)
    accepted = status is not None and sender.accepted(status=status, body=body)
    if accepted and faults.take("notify_twice", platform=notice.platform) is not None:
        again, again_body = _post(sender, notice, now)
        _record(notice, now=now, status=again, body=again_body, note="second copy")
    if accepted and faults.take("notify_replayed", platform=notice.platform) is not None:
        _replay_an_old_one(notice, now)
    _settle_attempt(sender, notice, now=now, status=status, body=body, accepted=accepted)
    return True


def _replay_an_old_one(notice: Notice, now: datetime) -> None:
    """The fault notify_replayed: after this delivery, an earlier one of the merchant comes again."""
    earlier = (
        Notice.objects.filter(
            order__merchant=notice.order.merchant, state=NoticeState.DELIVERED, pk__lt=notice.pk
        )
        .order_by("-pk")
        .first()
    )
    if earlier is not None:
        replay(notice=earlier, now=now)


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    """One for all senders: its connections are kept a moment, its certificates are read once."""
    # trust_env off: a proxy of the environment must not see loopback traffic.
    return httpx.Client(
        trust_env=False,
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=2.0),
    )


def _post(sender: PlatformNotices, notice: Notice, now: datetime) -> tuple[int | None, bytes]:
    headers, body = sender.build_notice(notice=notice, now=now, forged=notice.forged)
    notice.sent_headers, notice.sent_body = headers, body
    return _send(notice, headers, body, sender.TIMEOUT_SECONDS)


def _send(
    notice: Notice, headers: dict[str, str], body: bytes, timeout: float
) -> tuple[int | None, bytes]:
    try:
        answer = _client().post(notice.url, headers=headers, content=body, timeout=timeout)
        return answer.status_code, answer.content[:2000]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return None, f"{type(error).__name__}: {error}".encode()


def _record(
    notice: Notice, *, now: datetime, status: int | None, body: bytes, note: str = ""
) -> None:
    notice.history = [
        *notice.history,
        {
            "at": now.isoformat(),
            "status": status,
            "body": body.decode("utf-8", "replace")[:500],
            "note": note,
        },
    ]


def _settle_attempt(
    sender: PlatformNotices,
    notice: Notice,
    *,
    now: datetime,
    status: int | None,
    body: bytes,
    accepted: bool,
) -> None:
    _record(notice, now=now, status=status, body=body, note="accepted" if accepted else "refused")
    notice.attempts += 1
    notice.last_status = status
    notice.last_body = body.decode("utf-8", "replace")
    if accepted:
        notice.state, notice.next_at = NoticeState.DELIVERED, None
    elif notice.once or notice.attempts > len(sender.RETRY_SECONDS):
        notice.state, notice.next_at = NoticeState.GIVEN_UP, None
    else:
        notice.next_at = now + timedelta(seconds=sender.RETRY_SECONDS[notice.attempts - 1])
    with transaction.atomic():
        notice.held = False
        notice.save()
        # What was held back for arriving out of order may go now.
        Notice.objects.filter(
            order=notice.order, held=True, state=NoticeState.PENDING, pk__lt=notice.pk
        ).update(held=False, next_at=now)
