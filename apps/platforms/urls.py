"""Platform accounts and their notifications."""

from django.urls import path

from apps.platforms.views import accounts, agreements, notifications

app_name = "platforms"
urlpatterns = [
    path("", accounts.account_list, name="account_list"),
    path("connect/", accounts.account_choose, name="account_choose"),
    path("connect/<slug:platform>/", accounts.account_connect, name="account_connect"),
    path("<int:account_id>/", accounts.account_detail, name="account_detail"),
    path("<int:account_id>/edit/", accounts.account_edit, name="account_edit"),
    path("<int:account_id>/check/", accounts.account_check, name="account_check"),
    path("<int:account_id>/move/", accounts.account_move, name="account_move"),
    path("<int:account_id>/pause/", accounts.account_pause, name="account_pause"),
    path("<int:account_id>/resume/", accounts.account_resume, name="account_resume"),
    path("<int:account_id>/agreement/", agreements.agreement_detail, name="agreement_detail"),
    path(
        "<int:account_id>/agreement/change/", agreements.agreement_change, name="agreement_change"
    ),
    path(
        "agreements/<int:agreement_id>/withdraw/",
        agreements.agreement_withdraw,
        name="agreement_withdraw",
    ),
    path("<int:account_id>/agreement/tick/", agreements.agreement_tick, name="agreement_tick"),
    path("<int:account_id>/agreement/papers/", agreements.paper_upload, name="paper_upload"),
    path("agreements/", agreements.agreement_list, name="agreement_list"),
    path("agreements/papers/<int:document_id>/", agreements.paper_download, name="paper_download"),
    path(
        "agreements/papers/<int:document_id>/delete/",
        agreements.paper_delete,
        name="paper_delete",
    ),
    path("agreements/before/<slug:platform>/", agreements.before_signing, name="before_signing"),
    path("agreements/before/<slug:platform>/tick/", agreements.before_tick, name="before_tick"),
    path("notifications/", notifications.notification_list, name="notification_list"),
    path(
        "notifications/<int:notification_id>/",
        notifications.notification_detail,
        name="notification_detail",
    ),
    path(
        "notifications/<int:notification_id>/reprocess/",
        notifications.notification_reprocess,
        name="notification_reprocess",
    ),
]
