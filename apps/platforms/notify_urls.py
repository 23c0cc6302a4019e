"""Where the platforms deliver notifications: ``/notify/<platform>/<account ref>``."""

from django.urls import path

from apps.platforms.views import notify

app_name = "notify"
urlpatterns = [
    path("<slug:platform>/<slug:token>", notify.receive, name="receive"),
]
