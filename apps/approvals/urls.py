"""Confirmations by a second person."""

from django.urls import URLPattern

app_name = "approvals"
urlpatterns: list[URLPattern] = []
