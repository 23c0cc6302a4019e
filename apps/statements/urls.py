"""Bills of the platforms."""

from django.urls import URLPattern

app_name = "statements"
urlpatterns: list[URLPattern] = []
