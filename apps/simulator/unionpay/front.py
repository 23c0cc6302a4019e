"""The way through the payer's browser: a form to the gateway, the wallet's cashier, a form back (dossier 1.5, 1.6)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from apps.simulator import clock
from apps.simulator.models import Order, Platform
from apps.simulator.unionpay import certificates, wire
from apps.simulator.unionpay.gateway import broken, fault_at, merchant_of
from apps.simulator.unionpay.notices import paid_fields, signed_fields
from apps.simulator.unionpay.transactions import Call, front_order
from apps.simulator.unionpay.wire import Refusal


@csrf_exempt
def pay(request: HttpRequest) -> HttpResponse:
    """``frontTransReq.do``: leads the browser to the wallet's cashier, or to a page that says why not."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        fields = wire.read_form(request.body)
        path = f"{request.path}/{fields.get('txnType', '')}{fields.get('txnSubType', '')}"
        if fault_at("http_500", path) is not None:
            return broken()
        merchant = merchant_of(fields)
        if (fields["txnType"], fields["txnSubType"]) != ("01", "01"):
            raise Refusal("10")
        order = front_order(Call(merchant=merchant, fields=fields, now=clock.now(), path=path))
    except Refusal as refusal:
        context = {
            "platform": Platform.UNIONPAY.value,
            "message": refusal.fields["respMsg"],
            "code": refusal.fields["respCode"],
        }
        return render(request, "simulator/wallet/refused.html", context, status=400)
    # Relative to the simulator, whatever name the browser knows it by.
    return HttpResponseRedirect(
        reverse("wallet-cashier", args=[Platform.UNIONPAY.value, order.trade_no])
    )


def return_form(order: Order) -> tuple[str, dict[str, str]]:
    """frontUrl and the signed fields that the payer's browser posts there; "" for an order without one.

    It says what the notice says, but it comes through a stranger's hands: merchants must not credit from it.
    """
    if not order.return_url:
        return "", {}
    signer = certificates.signer_of(order.merchant.config)
    return order.return_url, signed_fields(paid_fields(order), signer)
