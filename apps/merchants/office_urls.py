"""Stores, team and settings of one merchant."""

from django.urls import URLPattern

app_name = "merchants"
urlpatterns: list[URLPattern] = []
