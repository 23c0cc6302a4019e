"""Every address of the portal. Server-sent events (``/m/<slug>/live``) are served by ``asgi.py``, not from here."""

from django.urls import include, path
from django.views.i18n import JavaScriptCatalog, set_language

from apps.merchants.access import public

back_office = [
    path("", include("apps.reports.urls")),
    path("", include("apps.merchants.office_urls")),
    path("platforms/", include("apps.platforms.urls")),
    path("codes/", include("apps.qrcodes.urls")),
    path("risk/", include("apps.risk.urls")),
    path("refunds/", include("apps.refunds.urls")),
    path("approvals/", include("apps.approvals.urls")),
    path("ledger/", include("apps.ledger.urls")),
    path("statements/", include("apps.reconciliation.statement_urls")),
    path("money/", include("apps.statements.money_urls")),
    path("reconciliation/", include("apps.reconciliation.urls")),
    path("", include("apps.operations.office_urls")),
    path("", include("apps.checkout.office_urls")),
]

urlpatterns = [
    path("", include("apps.merchants.urls")),
    path("", include("apps.operations.urls")),
    path("", include("apps.checkout.urls")),
    path("notify/", include("apps.platforms.notify_urls")),
    path("accounts/", include("allauth.urls")),
    path("m/<slug:slug>/", include(back_office)),
    path("i18n/setlang/", public(set_language), name="set_language"),
    path("jsi18n/", public(JavaScriptCatalog.as_view(packages=[])), name="javascript-catalog"),
]
