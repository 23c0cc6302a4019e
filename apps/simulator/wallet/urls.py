"""The wallet's addresses, under ``/wallet/``."""

from django.urls import path

from apps.simulator.wallet import paycode, views

urlpatterns = [
    path("", views.home, name="wallet-home"),
    path("payer", views.choose_payer, name="wallet-payer"),
    path("inapp/<str:platform>/home", views.inapp_home, name="wallet-inapp-home"),
    path("inapp/<str:platform>/prepare", views.inapp_prepare, name="wallet-inapp-prepare"),
    path("inapp/<str:platform>/pay", views.inapp_pay, name="wallet-inapp-pay"),
    path("<str:platform>/", views.wallet, name="wallet"),
    path("<str:platform>/scan", views.scan, name="wallet-scan"),
    path("<str:platform>/records", views.records, name="wallet-records"),
    path("<str:platform>/paycode", paycode.current, name="wallet-paycode-current"),
    path("<str:platform>/paycode/<str:digits>", paycode.shown, name="wallet-paycode"),
    path("<str:platform>/paycode/<str:digits>/state", paycode.state, name="wallet-paycode-state"),
    path("<str:platform>/cashier/<str:trade_no>", views.cashier, name="wallet-cashier"),
]
