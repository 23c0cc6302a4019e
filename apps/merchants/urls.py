"""The way in: landing page, first merchant, invitations."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
