"""Alerts, rules and the assessment of risks."""

from django.urls import path

from apps.risk.views import alerts, assessment, rules

app_name = "risk"
urlpatterns = [
    path("", alerts.alert_list, name="alert_list"),
    path("alerts/<int:alert_id>/", alerts.alert_detail, name="alert_detail"),
    path("holds/<int:hold_id>/", alerts.hold_answer, name="hold_answer"),
    path("rules/", rules.rule_list, name="rule_list"),
    path("rules/change/", rules.rule_change, name="rule_change"),
    path("rules/withdraw/", rules.rule_withdraw, name="rule_withdraw"),
    path("assessment/", assessment.assessment, name="assessment"),
    path("assessment/new/", assessment.review_new, name="review_new"),
    path("assessment/<int:risk_id>/", assessment.review_change, name="review_change"),
]
