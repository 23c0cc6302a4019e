"""Refunds and the refund rule."""

from django.urls import path

from apps.refunds import views

app_name = "refunds"
urlpatterns = [
    path("", views.refund_list, name="refund_list"),
    path("new/<int:payment_id>/", views.refund_create, name="refund_create"),
    path("<int:refund_id>/", views.refund_detail, name="refund_detail"),
    path("<int:refund_id>/cancel/", views.refund_cancel, name="refund_cancel"),
    path("<int:refund_id>/ask/", views.refund_ask, name="refund_ask"),
    path("requests/", views.request_list, name="request_list"),
    path("requests/settings/", views.request_settings, name="request_settings"),
    path("requests/<int:refund_request_id>/", views.request_answer, name="request_answer"),
    path("rule/", views.rule_edit, name="rule_edit"),
]
