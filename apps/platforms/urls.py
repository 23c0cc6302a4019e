"""Platform accounts and their notifications."""

from django.urls import path

from apps.platforms.views import accounts, notifications

app_name = "platforms"
urlpatterns = [
    path("", accounts.account_list, name="account_list"),
    path("connect/", accounts.account_choose, name="account_choose"),
    path("connect/<slug:platform>/", accounts.account_connect, name="account_connect"),
    path("<int:pk>/", accounts.account_detail, name="account_detail"),
    path("<int:pk>/edit/", accounts.account_edit, name="account_edit"),
    path("<int:pk>/check/", accounts.account_check, name="account_check"),
    path("<int:pk>/pause/", accounts.account_pause, name="account_pause"),
    path("<int:pk>/resume/", accounts.account_resume, name="account_resume"),
    path("notifications/", notifications.notification_list, name="notification_list"),
    path("notifications/<int:pk>/", notifications.notification_detail, name="notification_detail"),
    path(
        "notifications/<int:pk>/reprocess/",
        notifications.notification_reprocess,
        name="notification_reprocess",
    ),
]
