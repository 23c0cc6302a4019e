"""Matching bills with the books."""

from django.urls import path

from apps.reconciliation.views import (
    automatic,
    bulk,
    closes,
    differences,
    mornings,
    outside,
    rules,
    runs,
)

app_name = "reconciliation"
urlpatterns = [
    path("", runs.run_list, name="run_list"),
    path("morning/", mornings.morning, name="morning"),
    path("morning/mail/", mornings.morning_mail, name="morning_mail"),
    path("closes/", closes.close_list, name="close_list"),
    path("closes/files/<int:file_id>/", closes.day_file, name="day_file"),
    path(
        "closes/reopenings/<int:reopening_id>/withdraw/",
        closes.reopening_withdraw,
        name="reopening_withdraw",
    ),
    path("closes/<slug:day>/", closes.day_detail, name="day_detail"),
    path("closes/<slug:day>/close/", closes.day_close, name="day_close"),
    path("closes/<slug:day>/reopen/", closes.day_reopen, name="day_reopen"),
    path("matching/", rules.account_rules, name="account_rules"),
    path("outside/", outside.outside_rules, name="outside_rules"),
    path("outside/new/", outside.outside_rule_create, name="outside_rule_create"),
    path(
        "outside/<int:outside_rule_id>/retire/",
        outside.outside_rule_retire,
        name="outside_rule_retire",
    ),
    path("history/", outside.history_import, name="history_import"),
    path("<int:run_id>/", runs.run_detail, name="run_detail"),
    path("<int:run_id>/term/", runs.run_term, name="run_term"),
    path("days/<int:day_id>/match/", runs.day_match, name="day_match"),
    path(
        "differences/<int:difference_id>/resolve/",
        runs.difference_resolve,
        name="difference_resolve",
    ),
    path("differences/", differences.difference_list, name="difference_list"),
    path(
        "differences/<int:difference_id>/", differences.difference_detail, name="difference_detail"
    ),
    path("differences/<int:difference_id>/act/", differences.difference_act, name="difference_act"),
    path(
        "differences/<int:difference_id>/comment/",
        differences.difference_comment,
        name="difference_comment",
    ),
    path(
        "differences/<int:difference_id>/assign/",
        differences.difference_assign,
        name="difference_assign",
    ),
    path(
        "resolutions/<int:resolution_id>/undo/",
        differences.resolution_undo,
        name="resolution_undo",
    ),
    path("bulk/", bulk.bulk_create, name="bulk_create"),
    path("bulk/<int:bulk_id>/", bulk.bulk_detail, name="bulk_detail"),
    path("bulk/<int:bulk_id>/cancel/", bulk.bulk_cancel, name="bulk_cancel"),
    path("rules/", automatic.auto_rule_list, name="auto_rule_list"),
    path("rules/new/", automatic.auto_rule_create, name="auto_rule_create"),
    path("rules/limit/", automatic.write_off_limit, name="write_off_limit"),
    path("rules/<int:auto_rule_id>/", automatic.auto_rule_detail, name="auto_rule_detail"),
    path("rules/<int:auto_rule_id>/change/", automatic.auto_rule_change, name="auto_rule_change"),
    path("rules/<int:auto_rule_id>/switch/", automatic.auto_rule_switch, name="auto_rule_switch"),
    path("rules/<int:auto_rule_id>/move/", automatic.auto_rule_move, name="auto_rule_move"),
]
