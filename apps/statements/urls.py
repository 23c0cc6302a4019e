"""Bills and their files. Addresses that also match a bill stand in ``apps.reconciliation.statement_urls``."""

from django.urls import path

from apps.statements.views import bills, columns, files

app_name = "statements"
urlpatterns = [
    path("", bills.statement_list, name="statement_list"),
    path(
        "<int:statement_id>/download/",
        files.statement_download,
        name="statement_download",
    ),
    path("columns/<int:account_id>/", columns.columns_edit, name="columns_edit"),
]
