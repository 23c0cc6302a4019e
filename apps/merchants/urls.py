"""The way in: landing page, first merchant, invitations."""

from django.urls import path

from apps.merchants.views import entry

urlpatterns = [
    path("", entry.landing, name="landing"),
    path("start/", entry.start, name="start"),
    path("invitations/<str:token>/", entry.invitation, name="invitation"),
    path("accounts/profile/", entry.profile, name="profile"),
    path("dev/mailbox/", entry.dev_mailbox, name="dev_mailbox"),
]
