"""Bills handed in or fetched by a person: their pages show how the bill matches, so they live in this room."""

from django.urls import path

from apps.reconciliation.views import bills
from apps.statements import urls as statements

app_name = "statements"
urlpatterns = [
    path("upload/", bills.statement_upload, name="statement_upload"),
    path("fetch/", bills.statement_fetch, name="statement_fetch"),
    *statements.urlpatterns,
]
