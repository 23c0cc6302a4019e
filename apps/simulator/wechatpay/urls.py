"""Addresses under /wechatpay: the API host, the OAuth hosts and the H5 cashier in one place."""

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from apps.simulator.wechatpay import bills, codepay, oauth, orders, refunds, security


@csrf_exempt
def unknown(request: HttpRequest) -> HttpResponse:
    """An unknown API path: 404 with an empty body."""
    return HttpResponse(b"", status=404)


urlpatterns = [
    path("v3/pay/transactions/jsapi", orders.jsapi),
    path("v3/pay/transactions/native", orders.native),
    path("v3/pay/transactions/h5", orders.h5),
    path("v3/pay/transactions/codepay", codepay.codepay),
    path("v3/pay/transactions/out-trade-no/<str:out_trade_no>/reverse", codepay.reverse),
    path("v3/pay/transactions/out-trade-no/<str:out_trade_no>", orders.query_by_number),
    path("v3/pay/transactions/out-trade-no/<str:out_trade_no>/close", orders.close),
    path("v3/pay/transactions/id/<str:transaction_id>", orders.query_by_id),
    path("v3/refund/domestic/refunds", refunds.create),
    path("v3/refund/domestic/refunds/<str:out_refund_no>", refunds.query),
    path(
        "v3/refund/domestic/refunds/<str:refund_id>/apply-abnormal-refund",
        refunds.apply_abnormal,
    ),
    path("v3/certificates", security.certificates),
    path("v3/security/echo", security.echo),
    path("v3/bill/tradebill", bills.trade_bill),
    path("v3/bill/fundflowbill", bills.fund_flow_bill),
    path("v3/billdownload/file", bills.download),
    path("connect/oauth2/authorize", oauth.authorize),
    path("sns/oauth2/access_token", oauth.access_token),
    path("cgi-bin/mmpayweb-bin/checkmweb", oauth.check_mweb),
    re_path(r"^v3/.*$", unknown),
]
