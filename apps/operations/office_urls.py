"""Jobs and audit trail of one merchant."""

from django.urls import URLPattern

app_name = "operations"
urlpatterns: list[URLPattern] = []
