"""Addresses of the control desk."""

from django.urls import path

from apps.simulator.control import api, views

urlpatterns = [
    path("", views.home, name="home"),
    path("control/", views.desk, name="control"),
    path("control/merchants/add", views.merchant_add, name="merchant_add"),
    path("control/faults/add", views.fault_add, name="fault_add"),
    path("control/faults/remove", views.fault_remove, name="fault_remove"),
    path("control/clock", views.clock_set, name="clock_set"),
    path("control/notices/flush", views.notice_flush, name="notice_flush"),
    path("control/api/health", api.health),
    path("control/api/merchants", api.merchant_list),
    path("control/api/books", api.book_list),
    path("control/api/books/bulk", api.book_bulk),
    path("control/api/pay", api.pay),
    path("control/api/cancel", api.cancel),
    path("control/api/faults", api.fault_list),
    path("control/api/clock", api.clock_state),
    path("control/api/notices", api.notice_list),
    path("control/api/notices/flush", api.notice_flush),
]
