"""Shouqianba's addresses, under ``/shouqianba/``."""

from django.urls import path

from apps.simulator.shouqianba import giving_back, orders, terminal_api, wap2

urlpatterns = [
    path("terminal/activate", terminal_api.activate, name="shouqianba-activate"),
    path("terminal/checkin", terminal_api.check_in, name="shouqianba-checkin"),
    path("upay/v2/pay", orders.pay, name="shouqianba-pay"),
    path("upay/v2/precreate", orders.precreate, name="shouqianba-precreate"),
    path("upay/v2/query", orders.query, name="shouqianba-query"),
    path("upay/v2/refund", giving_back.refund, name="shouqianba-refund"),
    path("upay/v2/cancel", giving_back.cancel, name="shouqianba-cancel"),
    path("upay/v2/revoke", giving_back.cancel, name="shouqianba-revoke"),
    path("qr/gateway", wap2.gateway, name="shouqianba-gateway"),
]
