"""Alipay's addresses, under ``/alipay/``."""

from django.urls import path

from apps.simulator.alipay import gateway, views

urlpatterns = [
    path("gateway.do", gateway.gateway, name="alipay-gateway"),
    path("oauth2/publicAppAuthorize.htm", views.authorize, name="alipay-authorize"),
    path("billdownload", views.bill_download, name="alipay-bill"),
]
