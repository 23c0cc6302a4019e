"""Dashboard, transactions, exports."""

from django.urls import path

from apps.reports import views

app_name = "reports"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("transactions/", views.transaction_list, name="transaction_list"),
    path("transactions/sums/", views.transaction_sums, name="transaction_sums"),
    path("orders/<int:order_id>/", views.order_detail, name="order_detail"),
    path("orders/<int:order_id>/close/", views.order_close, name="order_close"),
    path(
        "orders/<int:order_id>/ask/<int:payment_id>/",
        views.payment_refresh,
        name="payment_refresh",
    ),
    path("statistics/codes/", views.codes_statistics, name="codes_statistics"),
    path("codes/<int:code_id>/statistics/", views.code_statistics, name="code_statistics"),
    path("adviser/", views.adviser, name="adviser"),
    path("exports/", views.export, name="export"),
    path("exports/transactions.csv", views.export_transactions, name="export_transactions"),
    path("exports/transactions.xlsx", views.export_workbook, name="export_workbook"),
    path("exports/ledger/", views.export_ledger, name="export_ledger"),
    path("exports/summary.csv", views.export_summary, name="export_summary"),
]
