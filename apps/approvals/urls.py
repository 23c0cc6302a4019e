"""Confirmations by a second person."""

from django.urls import path

from apps.approvals import views

app_name = "approvals"
urlpatterns = [
    path("", views.approval_list, name="approval_list"),
    path("settings/", views.terms, name="terms"),
    path("stand-ins/", views.delegation_list, name="delegation_list"),
    path("stand-ins/<int:delegation_id>/end/", views.delegation_end, name="delegation_end"),
    path("<int:approval_id>/", views.approval_detail, name="approval_detail"),
]
