"""Where a payer pays, and what hangs on the wall."""

from django.urls import path

from apps.checkout.views import checking, displays, paying, receipts, scanned

app_name = "checkout"
urlpatterns = [
    path("q/<str:token>", scanned.scan, name="scan"),
    path("pay/<str:token>", paying.pay, name="pay"),
    path("pay/<str:token>/status", paying.pay_status, name="pay_status"),
    path("pay/<str:token>/start/<slug:wallet>", paying.pay_start, name="pay_start"),
    path("pay/<str:token>/leave/<slug:wallet>", paying.pay_leave, name="pay_leave"),
    path("pay/<str:token>/wechat", paying.pay_wechat, name="pay_wechat"),
    path("pay/<str:token>/check", checking.pay_check, name="pay_check"),
    path("pay/<str:token>/cancel", paying.pay_cancel, name="pay_cancel"),
    path("wall/<str:token>", displays.wall, name="wall"),
    path("receipt/<str:token>", receipts.receipt, name="receipt"),
    path("receipt/<str:token>/refund", receipts.receipt_ask, name="receipt_ask"),
    path("receipt/<str:token>/withdraw", receipts.receipt_withdraw, name="receipt_withdraw"),
]
