"""Matching bills with the books."""

from django.urls import path

from apps.reconciliation.views import runs

app_name = "reconciliation"
urlpatterns = [
    path("", runs.run_list, name="run_list"),
    path("<int:run_id>/", runs.run_detail, name="run_detail"),
    path("days/<int:day_id>/match/", runs.day_match, name="day_match"),
    path(
        "differences/<int:difference_id>/resolve/",
        runs.difference_resolve,
        name="difference_resolve",
    ),
    path(
        "differences/<int:difference_id>/reopen/",
        runs.difference_reopen,
        name="difference_reopen",
    ),
]
