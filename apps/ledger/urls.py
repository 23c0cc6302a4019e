"""The books: trial balance, accounts, journal, adjustments, plan."""

from django.urls import path

from apps.ledger import views

app_name = "ledger"
urlpatterns = [
    path("", views.trial_balance, name="trial_balance"),
    path("accounts/<int:ledger_account_id>/", views.account_detail, name="account_detail"),
    path("journal/", views.entry_list, name="entry_list"),
    path("journal/<int:entry_id>/", views.entry_detail, name="entry_detail"),
    path("plan/", views.plan, name="plan"),
    path("plan/limit/", views.limit_edit, name="limit_edit"),
    path("adjustments/", views.adjustment_list, name="adjustment_list"),
    path("adjustments/new/", views.adjustment_create, name="adjustment_create"),
    path("adjustments/<int:adjustment_id>/", views.adjustment_detail, name="adjustment_detail"),
    path("reasons/", views.reason_list, name="reason_list"),
    path("reasons/offer/", views.reason_offer, name="reason_offer"),
    path(
        "adjustments/<int:adjustment_id>/papers/<int:paper_id>/",
        views.paper_download,
        name="paper_download",
    ),
    path(
        "adjustments/<int:adjustment_id>/reverse/",
        views.adjustment_reverse,
        name="adjustment_reverse",
    ),
    path(
        "adjustments/<int:adjustment_id>/withdraw/",
        views.adjustment_withdraw,
        name="adjustment_withdraw",
    ),
]
