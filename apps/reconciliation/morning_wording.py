"""A morning in words: one sentence that says it all, and the few rows that need somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from apps.core.names import named
from apps.core.templatetags.portal import grouped
from apps.merchants.models import Merchant
from apps.reconciliation.models import Difference, DifferenceType
from apps.reconciliation.selectors.mornings import NAMED_ROWS, DayMorning
from apps.reconciliation.wording import EXPLANATIONS, Explanation, remark, when


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWords:
    """One difference as the morning names it. ``amount_minor`` is what it adds to the platform's net, signed fen."""

    row: Difference
    words: Explanation
    amount_minor: int
    when: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The morning in words. ``tone``: ok, wait (a bill is still to come), bad (somebody is needed), quiet (nothing there)."""

    title: str
    sentence: str
    tone: str
    icon: str
    rows: Sequence[RowWords]
    #: How many more need somebody.
    more: int


def subject(found: DayMorning, merchant: Merchant) -> str:
    """The mail's subject: whose day, and what it came to."""
    return _("%(merchant)s, %(day)s: %(what)s") % {
        "merchant": named(merchant),
        "day": found.day.isoformat(),
        "what": title(found),
    }


def _matched(found: DayMorning) -> str:
    return _("%(matched)s of %(rows)s matched") % {
        "matched": grouped(found.matched_count),
        "rows": grouped(found.row_count),
    }


def _needs(count: int) -> str:
    return ngettext("%(count)s needs you", "%(count)s need you", count) % {"count": grouped(count)}


def _missing(found: DayMorning) -> str:
    labels = [one.account.label for one in found.awaited]
    if len(labels) == 1:
        return _("the bill of %(account)s is missing") % {"account": labels[0]}
    return ngettext("%(count)s bill is missing", "%(count)s bills are missing", len(labels)) % {
        "count": grouped(len(labels))
    }


def title(found: DayMorning) -> str:
    """The morning in half a line."""
    if not found.accounts:
        return _("no bill is expected")
    if not found.matched_accounts:
        return _missing(found) if found.awaited else _("being matched")
    said = []
    if found.row_count:
        said.append(_matched(found))
    if found.open_count:
        said.append(_needs(found.open_count))
    if found.awaited:
        said.append(_missing(found))
    if not said:
        return _("nothing in the bills")
    return pgettext("between clauses", ", ").join(said)


def _sentence(found: DayMorning) -> str:
    """What stands behind the title: what nobody has to do, and what goes on by itself."""
    said = []
    if (
        found.matched_accounts
        and not found.awaited
        and not found.open_count
        and not found.waiting_count
    ):
        said.append(
            _("Everything matched; nothing needs you.")
            if found.row_count
            else _("The platforms have nothing of this day, and neither have your books.")
        )
    if found.open_count and found.ours_count:
        said.append(
            ngettext(
                "%(count)s of what needs you is in your books and in no bill.",
                "%(count)s of what needs you are in your books and in no bill.",
                found.ours_count,
            )
            % {"count": grouped(found.ours_count)}
        )
    if found.waiting_count:
        said.append(
            ngettext(
                "%(count)s booking waits for another member's confirmation.",
                "%(count)s bookings wait for another member's confirmation.",
                found.waiting_count,
            )
            % {"count": grouped(found.waiting_count)}
        )
    if found.explained_count:
        said.append(
            ngettext(
                "%(count)s difference is explained and needs nobody.",
                "%(count)s differences are explained and need nobody.",
                found.explained_count,
            )
            % {"count": grouped(found.explained_count)}
        )
    if found.awaited:
        names = pgettext("between names", ", ").join(one.account.label for one in found.awaited)
        said.append(
            _("Still to come: the bill of %(accounts)s. The portal goes on asking by itself.")
            % {"accounts": names}
        )
    elif not found.is_settled:
        said.append(_("A bill is just being matched."))
    return " ".join(said)


def tell(found: DayMorning, *, now: datetime, size: int = NAMED_ROWS) -> Told:
    """The morning in the reader's language, with ``size`` of its rows at most."""
    if found.open_count:
        tone, icon = "bad", "alert-triangle"
    elif found.awaited or not found.is_settled or found.waiting_count:
        tone, icon = "wait", "hourglass"
    elif found.row_count:
        tone, icon = "ok", "circle-check"
    else:
        tone, icon = "quiet", "minus"
    said = title(found)
    return Told(
        title=said[:1].upper() + said[1:],
        sentence=_sentence(found),
        tone=tone,
        icon=icon,
        rows=[_row(row, now) for row in found.rows[:size]],
        more=found.open_count - len(found.rows[:size]),
    )


def _row(row: Difference, now: datetime) -> RowWords:
    return RowWords(
        row=row,
        words=EXPLANATIONS[DifferenceType(row.type)],
        amount_minor=row.net_gap_minor,
        when=when(row),
        remark=remark(row, now),
    )
