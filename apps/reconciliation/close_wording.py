"""The checklist of a day in words, and where each item is mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core import clock
from apps.core.templatetags.portal import state_of
from apps.merchants.access import MerchantRequest
from apps.reconciliation.selectors import Check, Checklist, Item, Mark, Spot


@dataclass(frozen=True, slots=True)
class Words:
    """An item: what is asked, what is said where it is true, and what to do where it is not."""

    title: Promise
    fine: Promise
    todo: Promise


WORDS: Final[Mapping[Item, Words]] = {
    Item.OVER: Words(
        gettext_lazy("The day is over"),
        gettext_lazy("No payment can begin on it any more."),
        gettext_lazy("Wait for the end of the business day."),
    ),
    Item.BILLS: Words(
        gettext_lazy("The bills are here"),
        gettext_lazy("Each account's bill of the day is imported, or the platform has none."),
        gettext_lazy(
            "Fetch or upload the bill. Without it nobody knows whether the platform saw the same."
        ),
    ),
    Item.MATCHED: Words(
        gettext_lazy("The bills are matched"),
        gettext_lazy("Each bill is compared with the books in its present version."),
        gettext_lazy("Match the day again."),
    ),
    Item.DIFFERENCES: Words(
        gettext_lazy("No difference is open"),
        gettext_lazy("Each row matches, is explained or is resolved."),
        gettext_lazy("Explain or resolve each one."),
    ),
    Item.PAYMENTS: Words(
        gettext_lazy("No payment of the day is undecided"),
        gettext_lazy("Each payment that began on the day is paid or closed."),
        gettext_lazy(
            "Wait until the platform has answered; the portal goes on asking. What is paid after the closing counts on the next open day."
        ),
    ),
    Item.REFUNDS: Words(
        gettext_lazy("No refund of the day is under way"),
        gettext_lazy("Each refund asked for on the day has gone out or was dropped."),
        gettext_lazy(
            "Confirm, refuse or wait. A refund that goes out after the closing counts on the next open day."
        ),
    ),
    Item.ADJUSTMENTS: Words(
        gettext_lazy("No adjustment for the day waits"),
        gettext_lazy("Each adjustment meant for the day is posted or withdrawn."),
        gettext_lazy("Confirm or withdraw it, so that it lands on the day it is meant for."),
    ),
    Item.BOOKS: Words(
        gettext_lazy("The books agree with themselves"),
        gettext_lazy(
            "Each entry of the day balances, and the journal holds the same sums as payments and refunds."
        ),
        gettext_lazy("This must not happen; please report it."),
    ),
    Item.EARLIER: Words(
        gettext_lazy("No earlier day is open"),
        gettext_lazy("No day between the first that was ever closed and this one is open."),
        gettext_lazy(
            "Close the earlier days first where you can. Days may be closed in any order; each stands for itself."
        ),
    ),
}

_LOOK: Final[Mapping[Mark, tuple[str, str]]] = {
    Mark.FINE: ("circle-check", "ok"),
    Mark.WARNING: ("alert-triangle", "wait"),
    Mark.BLOCKING: ("circle-x", "bad"),
}


def mark_words(mark: str) -> str:
    """A mark as a word."""
    return {
        Mark.FINE: _("Fine"),
        Mark.WARNING: _("Needs your word"),
        Mark.BLOCKING: _("Keeps the day open"),
    }[Mark(mark)]


def _rows(count: int) -> str:
    return ngettext("%(count)s row", "%(count)s rows", count) % {"count": f"{count:,}"}


def _spot_words(check: Check, spot: Spot) -> str:
    match check.item:
        case Item.BILLS:
            state = (
                str(state_of(spot.detail, "statement").label) if spot.detail else _("Not asked for")
            )
            return f"{spot.account} · {state}"
        case Item.MATCHED:
            return spot.account
        case Item.DIFFERENCES:
            return f"{spot.account} · {_rows(spot.count)}"
        case Item.PAYMENTS:
            return f"{state_of(spot.detail, 'payment').label} · {_rows(spot.count)}"
        case Item.REFUNDS:
            return f"{state_of(spot.detail, 'refund').label} · {_rows(spot.count)}"
        case Item.EARLIER if spot.day is not None:
            words = ngettext(
                "%(count)d day, from %(day)s on", "%(count)d days, from %(day)s on", spot.count
            )
            return words % {"count": spot.count, "day": spot.day.isoformat()}
        case _:
            return _rows(spot.count)


def _address(name: str, request: MerchantRequest, *args: object, **query: str) -> str:
    url = reverse(name, args=[request.merchant.slug, *args])
    return f"{url}?{urlencode(query)}" if query else url


def _spot_url(check: Check, spot: Spot, found: Checklist, request: MerchantRequest) -> str:
    """The page where it is mended; "" where there is none for this member."""
    day = found.day.isoformat()
    month = f"{found.day:%Y-%m}"
    may = request.permissions
    dates = {"date_from": day, "date_to": day}
    match check.item:
        case Item.BILLS if "reconciliation.manage" in may:
            return _address(
                "statements:statement_upload", request, account=str(spot.account_id), day=day
            )
        case Item.BILLS:
            return _address("reconciliation:run_list", request, month=month)
        case Item.MATCHED | Item.DIFFERENCES if spot.run_id is not None:
            return _address("reconciliation:run_detail", request, spot.run_id)
        case Item.MATCHED:
            return _address("reconciliation:run_list", request, month=month)
        case Item.PAYMENTS if "transactions.view" in may:
            state = "unknown" if spot.detail == "unknown" else "pending"
            return _address(
                "reports:transaction_list", request, kind="payment", state=state, **dates
            )
        case Item.REFUNDS if "refunds.view" in may:
            return _address("refunds:refund_list", request)
        case Item.ADJUSTMENTS if "ledger.view" in may:
            return _address("ledger:adjustment_list", request, state="waiting")
        case Item.BOOKS if "ledger.view" in may:
            return _address("ledger:entry_list", request, date_from=day, date_to=day)
        case Item.EARLIER if spot.day is not None:
            return _address("reconciliation:close_list", request, month=f"{spot.day:%Y-%m}")
        case _:
            return ""


def described(found: Checklist, request: MerchantRequest) -> list[dict[str, object]]:
    """The checklist as the page shows it."""
    return [
        {
            "check": check,
            "icon": _LOOK[check.mark][0],
            "tone": _LOOK[check.mark][1],
            "mark": mark_words(check.mark),
            "title": WORDS[check.item].title,
            "text": WORDS[check.item].fine if check.mark == Mark.FINE else WORDS[check.item].todo,
            "spots": [
                {
                    "words": _spot_words(check, spot),
                    "url": _spot_url(check, spot, found, request),
                }
                for spot in check.spots
            ],
        }
        for check in found.checks
    ]


def told(checklist: list[dict[str, object]]) -> list[dict[str, object]]:
    """The checklist of a closing as it is kept with it."""
    rows = []
    for kept in checklist:
        mark = Mark(str(kept["mark"]))
        item = Item(str(kept["item"]))
        rows.append(
            {
                "icon": _LOOK[mark][0],
                "tone": _LOOK[mark][1],
                "mark": mark_words(mark) if mark == Mark.FINE else _("Accepted"),
                "title": WORDS[item].title,
                "count": kept["count"],
                "reason": kept.get("reason", ""),
            }
        )
    return rows


def day_words(starts: object) -> str:
    """From when to when a business day runs, and in which zone; "" where it is the calendar day."""
    text = f"{starts:%H:%M}"
    if text == "00:00":
        return ""
    return _("The business day runs from %(time)s to %(time)s of the next day, %(zone)s.") % {
        "time": text,
        "zone": clock.CHINA.key,
    }
