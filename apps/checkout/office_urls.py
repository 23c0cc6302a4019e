"""The till, and the terminals in the stores."""

from django.urls import path

from apps.checkout.views import settings, terminals, till

app_name = "till"
urlpatterns = [
    path("settings/checkout/", settings.checkout_settings, name="checkout_settings"),
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
