"""Refunds and the refund rules."""

from django.urls import path

from apps.refunds import views

app_name = "refunds"
urlpatterns = [
    path("", views.refund_list, name="refund_list"),
    path("new/<int:payment_id>/", views.refund_create, name="refund_create"),
    path("<int:refund_id>/", views.refund_detail, name="refund_detail"),
    path("<int:refund_id>/cancel/", views.refund_cancel, name="refund_cancel"),
    path("<int:refund_id>/ask/", views.refund_ask, name="refund_ask"),
    path("batches/", views.batch_list, name="batch_list"),
    path("batches/new/", views.batch_create, name="batch_create"),
    path("batches/<int:refund_batch_id>/", views.batch_detail, name="batch_detail"),
    path("batches/<int:refund_batch_id>/act/", views.batch_act, name="batch_act"),
    path("batches/<int:refund_batch_id>/results/", views.batch_results, name="batch_results"),
    path("requests/", views.request_list, name="request_list"),
    path("requests/settings/", views.request_settings, name="request_settings"),
    path("requests/<int:refund_request_id>/", views.request_answer, name="request_answer"),
    path("rule/", views.rule_edit, name="rule_edit"),
    path("rules/", views.rule_book, name="rule_book"),
    path("rules/<int:book_number>/", views.rule_version, name="rule_version"),
    path("rules/draft/", views.rule_draft, name="rule_draft"),
    path("rules/draft/new/", views.rule_create, name="rule_create"),
    path("rules/draft/<int:rule_number>/", views.rule_change, name="rule_change"),
    path("rules/draft/simulate/", views.rule_simulate, name="rule_simulate"),
    path("rules/draft/publish/", views.rule_publish, name="rule_publish"),
]
