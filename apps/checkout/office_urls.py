"""The desk and the till, shifts, displays on the wall, and the terminals in the stores."""

from django.urls import path

from apps.checkout.views import desk, displays, replaying, settings, shifts, terminals, till

app_name = "till"
urlpatterns = [
    path("settings/checkout/", settings.checkout_settings, name="checkout_settings"),
    path("desk/", desk.desk, name="desk"),
    path("desk/heard/", desk.desk_heard, name="desk_heard"),
    path("desk/today/", desk.desk_today, name="desk_today"),
    path("desk/shift/", shifts.shift, name="shift"),
    path("desk/shift/<int:shift_id>/close/", shifts.shift_close, name="shift_close"),
    path("desk/shifts/", shifts.shift_list, name="shift_list"),
    path("desk/shifts/<int:shift_id>/", shifts.shift_detail, name="shift_detail"),
    path("desk/wall/", displays.display_list, name="display_list"),
    path("desk/wall/<int:wall_id>/off/", displays.display_off, name="display_off"),
    path("desk/<int:order_id>/", desk.desk_order, name="desk_order"),
    path("desk/<int:order_id>/cancel/", desk.desk_cancel, name="desk_cancel"),
    path("risk/rules/simulate/", replaying.replay_rules, name="replay_rules"),
    path("till/", till.till, name="till"),
    path("till/<int:order_id>/", till.till_order, name="till_order"),
    path("till/<int:order_id>/give-up/", till.till_give_up, name="till_give_up"),
    path("terminals/", terminals.terminal_list, name="terminal_list"),
    path("terminals/add/", terminals.terminal_add, name="terminal_add"),
    path("terminals/<int:terminal_id>/", terminals.terminal_detail, name="terminal_detail"),
    path("terminals/<int:terminal_id>/edit/", terminals.terminal_edit, name="terminal_edit"),
    path("terminals/<int:terminal_id>/off/", terminals.terminal_off, name="terminal_off"),
    path("terminals/<int:terminal_id>/on/", terminals.terminal_on, name="terminal_on"),
    path("terminals/<int:terminal_id>/codes/", terminals.terminal_codes, name="terminal_codes"),
    path(
        "terminals/<int:terminal_id>/activate/<int:account_id>/",
        terminals.terminal_activate,
        name="terminal_activate",
    ),
    path(
        "terminals/<int:terminal_id>/leave/<int:account_id>/",
        terminals.terminal_leave,
        name="terminal_leave",
    ),
]
