"""Stores, team and settings of one merchant."""

from django.urls import path

from apps.merchants.views import settings, stores, team

app_name = "merchants"
urlpatterns = [
    path("stores/", stores.store_list, name="store_list"),
    path("stores/add/", stores.store_add, name="store_add"),
    path("stores/<int:store_id>/", stores.store_edit, name="store_edit"),
    path("stores/<int:store_id>/close/", stores.store_close, name="store_close"),
    path("stores/<int:store_id>/open/", stores.store_open, name="store_open"),
    path("team/", team.member_list, name="member_list"),
    path("team/invite/", team.member_invite, name="member_invite"),
    path("team/<int:membership_id>/", team.member_edit, name="member_edit"),
    path("team/<int:membership_id>/deactivate/", team.member_deactivate, name="member_deactivate"),
    path("team/<int:membership_id>/readmit/", team.member_readmit, name="member_readmit"),
    path(
        "team/invitations/<int:invitation_id>/resend/",
        team.invitation_resend,
        name="invitation_resend",
    ),
    path(
        "team/invitations/<int:invitation_id>/withdraw/",
        team.invitation_withdraw,
        name="invitation_withdraw",
    ),
    path("settings/", settings.merchant_settings, name="settings"),
]
