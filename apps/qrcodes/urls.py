"""Scenario codes."""

from django.urls import URLPattern

app_name = "qrcodes"
urlpatterns: list[URLPattern] = []
