"""Scenario codes."""

from django.urls import path

from apps.qrcodes import views

app_name = "qrcodes"
urlpatterns = [
    path("", views.code_list, name="code_list"),
    path("create/", views.code_create, name="code_create"),
    path("<int:code_id>/", views.code_detail, name="code_detail"),
    path("<int:code_id>/image.png", views.code_image, name="code_image"),
    path("<int:code_id>/preview.png", views.code_preview, name="code_preview"),
    path("<int:code_id>/download/", views.code_download, name="code_download"),
    path("<int:code_id>/terminal/", views.code_terminal, name="code_terminal"),
    path("<int:code_id>/pause/", views.code_pause, name="code_pause"),
    path("<int:code_id>/resume/", views.code_resume, name="code_resume"),
    path("<int:code_id>/retire/", views.code_retire, name="code_retire"),
]
