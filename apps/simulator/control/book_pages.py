"""The books for people: what was ordered, paid and given back, and the buttons that act on an order."""

from __future__ import annotations

from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.simulator import books, clock, notifications
from apps.simulator.control import frame
from apps.simulator.control.guard import loopback_only
from apps.simulator.models import Merchant, Order, OrderState
from apps.simulator.payers import PAYERS, payer_for

STATE_NAMES: dict[str, tuple[str, str]] = {
    OrderState.WAITING: ("待付款", "waiting"),
    OrderState.PAID: ("已付款", "paid"),
    OrderState.CLOSED: ("已关闭", "closed"),
}


@loopback_only
@require_GET
def book_page(request: HttpRequest) -> HttpResponse:
    """Orders, newest first, by platform, merchant, state, number (of order, trade or refund) and day of ordering."""
    frame.up_to_date()
    asked = frame.choices_of(request)
    found = Order.objects.all()
    if asked.platform:
        found = found.filter(platform=asked.platform)
    if asked.merchant_no:
        found = found.filter(merchant__merchant_no=asked.merchant_no)
    if asked.state in OrderState.values:
        found = found.filter(state=asked.state)
    if asked.number:
        refunded = Q(refunds__out_refund_no=asked.number) | Q(refunds__refund_no=asked.number)
        named = Q(out_trade_no__contains=asked.number) | Q(trade_no=asked.number) | refunded
        found = found.filter(pk__in=Order.objects.filter(named).values("pk"))
    if asked.day:
        start, end = clock.beijing_period(asked.day)
        found = found.filter(created_at__gte=start, created_at__lt=end)
    paid = Q(state=OrderState.PAID)
    sums = found.aggregate(
        paid_count=Count("pk", filter=paid), paid_fen=Sum("amount_fen", filter=paid)
    )
    rows = found.select_related("merchant").prefetch_related("refunds").order_by("-pk")
    context = {
        "here": "books",
        "asked": asked,
        "rows": frame.page_of(request, rows),
        "paid_count": sums["paid_count"],
        "paid_fen": sums["paid_fen"] or 0,
        "merchants": Merchant.objects.order_by("platform", "pk"),
        "states": STATE_NAMES,
        "payers": PAYERS.values(),
        "said": request.GET.get("said", ""),
    }
    return frame.show(request, "simulator/control_books.html", context)


def _order(request: HttpRequest) -> Order | None:
    return (
        Order.objects.select_related("merchant").filter(pk=frame.row_id(request, "order")).first()
    )


@loopback_only
@require_POST
def order_pay(request: HttpRequest) -> HttpResponse:
    """Pay an order as one of the wallets' users."""
    order = _order(request)
    said = ""
    try:
        if order is not None:
            payer = payer_for(request.POST.get("payer"))
            books.pay_order(order=order, payer=payer, now=clock.now())
    except books.NotPayable as refusal:
        said = f"没有付成 not paid: {refusal.reason}"
    return frame.back_to(request, "control-books", said=said)


@loopback_only
@require_POST
def order_forge(request: HttpRequest) -> HttpResponse:
    """Send a forged notice that says this order is paid."""
    order = _order(request)
    said = ""
    now = clock.now()
    try:
        if order is not None:
            notice = notifications.forge(order=order, payer=payer_for(""), now=now, due_at=now)
            notifications.attempt(notice_id=notice.pk, now=now)
            notice.refresh_from_db()
            answered = notice.last_status if notice.last_status is not None else "—"
            said = f"伪造的通知已发，对方应答 forged notice sent, answered: {answered}"
    except notifications.NothingToSend:
        said = "这笔订单没有通知地址 this order has no address for notices"
    return frame.back_to(request, "control-books", said=said)
