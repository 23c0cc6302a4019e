"""Refunds and the refund rule."""

from django.urls import URLPattern

app_name = "refunds"
urlpatterns: list[URLPattern] = []
