"""Words for periods, states, files and names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.core.names import named
from apps.merchants.models import Merchant, Store, Terminal
from apps.platforms.gateway import Product
from apps.qrcodes.models import QRCode
from apps.reports.selectors import Period, StateGroup

PERIODS: Final[list[tuple[str, Promise]]] = [
    (Period.ANY.value, _("Any time")),
    (Period.TODAY.value, pgettext_lazy("period", "Today")),
    (Period.YESTERDAY.value, _("Yesterday")),
    (Period.WEEK.value, _("Last 7 days")),
    (Period.MONTH_30.value, _("Last 30 days")),
    (Period.THIS_MONTH.value, _("This month")),
    (Period.CUSTOM.value, _("Days of my choice")),
]

#: Periods of the statistics of codes.
CODE_PERIODS: Final[list[tuple[str, Promise]]] = [
    (Period.WEEK.value, _("Last 7 days")),
    (Period.MONTH_30.value, _("Last 30 days")),
    ("90d", _("Last 90 days")),
    (Period.CUSTOM.value, _("Days of my choice")),
]

#: What the codes on their page are ordered by, or which of them are shown.
CODE_VIEWS: Final[list[tuple[str, Promise]]] = [
    ("paid", _("Most money")),
    ("scans", _("Most scans")),
    ("weak", _("Many scan, few pay")),
    ("idle", _("Fewest scans")),
    ("quiet", _("Gone quiet")),
]

STATE_GROUPS: Final[Mapping[str, Promise]] = {
    StateGroup.PAID.value: _("Paid"),
    StateGroup.PENDING.value: _("Pending"),
    StateGroup.UNKNOWN.value: _("Unknown, asking"),
    StateGroup.CLOSED.value: _("Closed"),
    StateGroup.FAILED.value: _("Failed"),
    StateGroup.WAITING.value: _("Refund waiting for confirmation"),
    StateGroup.REFUNDING.value: _("Refunding"),
    StateGroup.ATTENTION.value: _("Refund needs attention"),
    StateGroup.REFUNDED.value: _("Refunded"),
    StateGroup.STOPPED.value: _("Refund refused or cancelled"),
}

PRODUCTS: Final[Mapping[str, Promise]] = {
    Product.IN_APP.value: _("Inside the wallet"),
    Product.DYNAMIC_QR.value: _("Dynamic code on a screen"),
    Product.BROWSER.value: _("Phone browser"),
    Product.BARCODE.value: _("Cashier scanned the customer"),
}

HEADERS: Final[list[tuple[str, Promise]]] = [
    ("zh", _("Chinese")),
    ("en", _("English")),
    ("machine", _("For programs (fixed names and codes)")),
]

ENCODINGS: Final[list[tuple[str, Promise]]] = [
    ("utf-8-sig", _("UTF-8 (Excel, WPS, Numbers)")),
    ("gb18030", _("GB18030 (older accounting programs)")),
]

#: How the books can be had as a file.
BOOKS: Final[list[tuple[str, Promise]]] = [
    ("csv", _("Postings as CSV")),
    ("trial_balance", _("Trial balance as CSV")),
    ("beancount", _("Journal for beancount")),
    ("hledger", _("Journal for hledger")),
]


def name_of(thing: Store | Merchant, english: bool) -> str:
    """A name in the page's language where there is one."""
    return named(thing, english=english)


def code_name(code: QRCode, english: bool) -> str:
    """A code is known by its scenario."""
    return named(code.scenario, english=english)


def terminal_name(terminal: Terminal, english: bool, *, with_store: bool) -> str:
    """A terminal's name is unique in its store only."""
    return f"{terminal.name} · {name_of(terminal.store, english)}" if with_store else terminal.name


def product_words(product: str) -> str:
    """How the payer was led to the platform."""
    return str(PRODUCTS.get(product, product))


def period_words(first: date | None, last: date | None) -> str:
    """Two business days, either of which may be open, in words."""
    if first is not None and last is not None:
        return f"{first}" if first == last else f"{first} – {last}"
    if first is not None:
        return gettext("from %(day)s") % {"day": first}
    return gettext("until %(day)s") % {"day": last}


def percent(basis_points: int | None) -> str:
    """Basis points as percent with one decimal, rounded down: ``12.3 %``; "–" where there is no whole."""
    if basis_points is None:
        return "–"
    return f"{basis_points // 100}.{basis_points % 100 // 10} %"


def seconds_words(seconds: int | None) -> str:
    """A stretch of time for people; "–" where there is none."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    return gettext("%(minutes)d min %(seconds)d s") % {
        "minutes": seconds // 60,
        "seconds": seconds % 60,
    }
