"""Notices for people: each attempt and its answer, and the buttons that send one again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.simulator import clock, delivery, notifications
from apps.simulator.control import frame
from apps.simulator.control.guard import loopback_only
from apps.simulator.models import Merchant, Notice, NoticeKind, NoticeState

KIND_NAMES: dict[str, tuple[str, str]] = {
    NoticeKind.PAID: ("付款", "paid"),
    NoticeKind.CLOSED: ("关闭", "closed"),
    NoticeKind.REFUNDED: ("退款", "refunded"),
}
STATE_NAMES: dict[str, tuple[str, str]] = {
    NoticeState.PENDING: ("待发", "pending"),
    NoticeState.DELIVERED: ("已送达", "delivered"),
    NoticeState.GIVEN_UP: ("已放弃", "given up"),
    NoticeState.DROPPED: ("已丢失", "dropped"),
}


@loopback_only
@require_GET
def notice_page(request: HttpRequest) -> HttpResponse:
    """Notices, newest first, by platform, merchant, state and number of the order or refund."""
    frame.up_to_date()
    asked = frame.choices_of(request)
    found = Notice.objects.select_related("order__merchant", "refund").order_by("-pk")
    if asked.platform:
        found = found.filter(platform=asked.platform)
    if asked.merchant_no:
        found = found.filter(order__merchant__merchant_no=asked.merchant_no)
    if asked.state in NoticeState.values:
        found = found.filter(state=asked.state)
    if asked.number:
        found = found.filter(order__out_trade_no__contains=asked.number)
    context = {
        "here": "notices",
        "asked": asked,
        "rows": frame.page_of(request, found),
        "kinds": KIND_NAMES,
        "states": STATE_NAMES,
        "merchants": Merchant.objects.order_by("platform", "pk"),
        "said": request.GET.get("said", ""),
    }
    return frame.show(request, "simulator/control_notices.html", context)


def _send(
    request: HttpRequest, sending: Callable[[Notice, datetime], int | None], what: str
) -> HttpResponse:
    notice = (
        Notice.objects.select_related("order__merchant", "refund")
        .filter(pk=frame.row_id(request, "id"))
        .first()
    )
    said = ""
    try:
        if notice is not None:
            status = sending(notice, clock.now())
            answer = status if status is not None else "无应答 nothing"
            said = f"{what}，对方应答 answered: {answer}"
    except notifications.NothingToSend:
        said = "还没有发过，无法重放 nothing was sent yet"
    return frame.back_to(request, "control-notices", said=said)


@loopback_only
@require_POST
def notice_resend(request: HttpRequest) -> HttpResponse:
    """Send a notice again, signed afresh."""
    return _send(
        request,
        lambda notice, now: notifications.resend(notice=notice, now=now),
        "已重发 sent again",
    )


@loopback_only
@require_POST
def notice_replay(request: HttpRequest) -> HttpResponse:
    """Send the last attempt again, byte for byte."""
    return _send(
        request, lambda notice, now: notifications.replay(notice=notice, now=now), "已重放 replayed"
    )


@loopback_only
@require_POST
def notice_flush(request: HttpRequest) -> HttpResponse:
    """Send what is due now."""
    now = clock.now()
    delivery.tick(now=now)
    sent = notifications.deliver_due(now=now)
    return frame.back_to(request, "control-notices", said=f"已发送 sent: {sent}")
