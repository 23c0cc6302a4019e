"""Bill files. Addresses that also match a bill stand in ``apps.reconciliation.statement_urls``."""

from django.urls import path

from apps.statements import views

app_name = "statements"
urlpatterns = [
    path(
        "<int:statement_id>/download/",
        views.statement_download,
        name="statement_download",
    ),
]
