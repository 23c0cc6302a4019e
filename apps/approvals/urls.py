"""Confirmations by a second person."""

from django.urls import path

from apps.approvals import views

app_name = "approvals"
urlpatterns = [
    path("", views.approval_list, name="approval_list"),
    path("<int:approval_id>/", views.approval_detail, name="approval_detail"),
]
