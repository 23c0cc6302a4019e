"""UnionPay's addresses, under ``/unionpay/``: the gateway's host and the file host in one place."""

from django.urls import path

from apps.simulator.unionpay import front, gateway

urlpatterns = [
    path("gateway/api/backTransReq.do", gateway.back),
    path("gateway/api/queryTrans.do", gateway.query),
    path("gateway/api/frontTransReq.do", front.pay),
    path("file/", gateway.file),
]
