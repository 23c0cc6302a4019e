"""Addresses of the control desk."""

from django.urls import path

from apps.simulator.control import api, book_pages, fault_pages, notice_pages, views
from apps.simulator.shouqianba import console

urlpatterns = [
    path("", views.home, name="home"),
    path("control/", views.desk, name="control"),
    path("control/merchants/add", views.merchant_add, name="merchant_add"),
    path("control/merchants/renew", views.merchant_renew, name="merchant_renew"),
    path("control/clock", views.clock_set, name="clock_set"),
    path("control/books/", book_pages.book_page, name="control-books"),
    path("control/books/pay", book_pages.order_pay, name="order_pay"),
    path("control/books/forge", book_pages.order_forge, name="order_forge"),
    path("control/faults/", fault_pages.fault_page, name="control-faults"),
    path("control/faults/add", fault_pages.fault_add, name="fault_add"),
    path("control/faults/remove", fault_pages.fault_remove, name="fault_remove"),
    path("control/faults/weather", fault_pages.weather_set, name="weather_set"),
    path("control/notices/", notice_pages.notice_page, name="control-notices"),
    path("control/notices/resend", notice_pages.notice_resend, name="notice_resend"),
    path("control/notices/replay", notice_pages.notice_replay, name="notice_replay"),
    path("control/notices/flush", notice_pages.notice_flush, name="notice_flush"),
    path("control/api/health", api.health),
    path("control/api/merchants", api.merchant_list),
    path("control/api/merchants/renew", api.merchant_renew),
    path("control/api/books", api.book_list),
    path("control/api/books/bulk", api.book_bulk),
    path("control/api/pay", api.pay),
    path("control/api/cancel", api.cancel),
    path("control/api/paycodes", api.pay_code),
    path("control/api/paycodes/confirm", api.pay_code_confirm),
    path("control/api/faults", api.fault_list),
    path("control/api/faults/schedule", api.fault_schedule),
    path("control/api/clock", api.clock_state),
    path("control/api/notices", api.notice_list),
    path("control/api/notices/flush", api.notice_flush),
    path("control/api/notices/forge", api.notice_forge),
    path("control/api/notices/replay", api.notice_replay),
    path("control/api/notices/resend", api.notice_resend),
    path("control/api/activation-codes", api.activation_code),
    path("control/api/shouqianba-export", console.export_api),
    path("control/shouqianba/", console.console, name="shouqianba-console"),
    path("control/shouqianba/codes/add", console.code_add, name="shouqianba-code-add"),
]
