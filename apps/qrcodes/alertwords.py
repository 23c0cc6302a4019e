"""Alerts in words: what was found, by which rule, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core.money import Money
from apps.qrcodes import oddities
from apps.qrcodes.models import AlertKind, CodeAlert
from apps.qrcodes.wording import moment

#: The icon and tone of each kind.
_LOOKS: Final[Mapping[str, tuple[str, str]]] = {
    AlertKind.QUIET: ("volume-off", "wait"),
    AlertKind.SURGE: ("trending-up", "wait"),
    AlertKind.UNPAID: ("alert-triangle", "bad"),
    AlertKind.HOURS: ("moon", "bad"),
    AlertKind.STOPPED: ("archive", "wait"),
}
#: What to do about each kind.
_ADVICE: Final[Mapping[str, str | Promise]] = {
    AlertKind.QUIET: gettext_lazy(
        "Look whether it still hangs there, whether somebody has stuck another code over it, and whether it scans."
    ),
    AlertKind.SURGE: gettext_lazy(
        "A busy day is fine. Otherwise somebody may have put a picture of the code on the internet."
    ),
    AlertKind.UNPAID: gettext_lazy(
        "Scan it yourself and pay one fen: perhaps paying does not work. If it does, somebody is opening the code without meaning to pay."
    ),
    AlertKind.HOURS: gettext_lazy(
        "Ask in the shop who was there. If nobody was, the code is in use somewhere else: pause it."
    ),
    AlertKind.STOPPED: gettext_lazy(
        "An old sticker still hangs somewhere, and customers who scan it cannot pay. Take it down, or resume the code."
    ),
}


@dataclass(frozen=True, slots=True)
class AlertWords:
    """An alert as pages show it."""

    alert: CodeAlert
    title: str
    text: str
    advice: str
    icon: str
    tone: str

    @property
    def may_pause(self) -> bool:
        """Whether pausing the code would help: a quiet or stopped one is not used anyway."""
        return self.alert.code.state == "active" and self.alert.kind != AlertKind.QUIET


def alert_words(alert: CodeAlert) -> AlertWords:
    """The words for an alert, from its facts."""
    icon, tone = _LOOKS.get(alert.kind, ("bell", "wait"))
    return AlertWords(
        alert=alert,
        title=str(alert.get_kind_display()),
        text=_text(alert.kind, alert.facts),
        advice=str(_ADVICE.get(alert.kind, "")),
        icon=icon,
        tone=tone,
    )


def _at(text: object) -> str:
    """A moment of the facts in China's zone; "" for what is none."""
    try:
        return moment(datetime.fromisoformat(str(text)))
    except ValueError:
        return ""


def _count(facts: Mapping[str, Any], name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0


def _text(kind: str, facts: Mapping[str, Any]) -> str:
    match kind:
        case AlertKind.QUIET:
            return ngettext(
                "Last opened on %(day)s, and for %(days)d whole day not since. Before, it was opened %(scans)d times in four weeks and never paused longer than %(pause)d days from one opening to the next.",
                "Last opened on %(day)s, and for %(days)d whole days not since. Before, it was opened %(scans)d times in four weeks and never paused longer than %(pause)d days from one opening to the next.",
                _count(facts, "silent_days"),
            ) % {
                "day": facts.get("last_day", ""),
                "days": _count(facts, "silent_days"),
                "scans": _count(facts, "scans"),
                "pause": _count(facts, "pause"),
            }
        case AlertKind.SURGE:
            return _(
                "Opened %(scans)d times on %(day)s; on its busiest day of the four weeks before it was %(busiest)d."
            ) % {
                "scans": _count(facts, "scans"),
                "day": facts.get("day", ""),
                "busiest": _count(facts, "busiest"),
            }
        case AlertKind.UNPAID:
            return _(
                "Opened %(scans)d times within the hour from %(hour)s, and nobody paid in that hour or the quarter after it."
            ) % {"scans": _count(facts, "scans"), "hour": _at(facts.get("hour"))}
        case AlertKind.HOURS:
            return _paid_at_odd_hours(facts)
        case AlertKind.STOPPED:
            return _(
                "Opened %(scans)d times in %(hours)d different hours of the last seven days, last at %(last)s, though it takes no payments."
            ) % {
                "scans": _count(facts, "scans"),
                "hours": _count(facts, "hours"),
                "last": _at(facts.get("last")),
            }
        case _:
            return ""


def _paid_at_odd_hours(facts: Mapping[str, Any]) -> str:
    count = _count(facts, "count")
    values = {
        "count": count,
        "amount": Money(_count(facts, "minor")).display(),
        "first": _at(facts.get("first")),
        "last": _at(facts.get("last")),
    }
    if facts.get("rule") == "closed":
        return (
            ngettext(
                "%(count)d payment of %(amount)s outside its opening hours, at %(first)s.",
                "%(count)d payments, %(amount)s together, outside its opening hours, from %(first)s to %(last)s.",
                count,
            )
            % values
        )
    return (
        ngettext(
            "%(count)d payment of %(amount)s at %(first)s, an hour at which nobody paid in the four weeks before.",
            "%(count)d payments, %(amount)s together, from %(first)s to %(last)s, at hours when nobody paid in the four weeks before.",
            count,
        )
        % values
    )


def quiet_rule() -> str:
    """When a code counts as gone quiet."""
    return _(
        "A code that takes payments was opened at least %(scans)d times on %(days)d or more days of four weeks, and then for at least %(times)d times its longest pause not at all. A pause is the days from one day with an opening to the next: 1 for a code that is used daily, 3 for one that rests at weekends."
    ) % {
        "scans": oddities.HABIT_SCANS,
        "days": oddities.HABIT_OPEN_DAYS,
        "times": oddities.QUIET_TIMES,
    }


def rules_in_words() -> list[tuple[str, str]]:
    """Each kind and its rule, for people."""
    return [
        (str(AlertKind.QUIET.label), quiet_rule()),
        (
            str(AlertKind.SURGE.label),
            _(
                "A code with a habit (opened on %(days)d or more days of four weeks) is opened at least %(scans)d times in one business day, and at least %(times)d times as often as on the busiest of the days before."
            )
            % {
                "days": oddities.HABIT_OPEN_DAYS,
                "scans": oddities.SURGE_SCANS,
                "times": oddities.SURGE_TIMES,
            },
        ),
        (
            str(AlertKind.UNPAID.label),
            _(
                "A code is opened at least %(scans)d times within one hour, and nobody pays by it in that hour or the %(minutes)d minutes after."
            )
            % {"scans": oddities.UNPAID_SCANS, "minutes": oddities.UNPAID_GRACE_MINUTES},
        ),
        (
            str(AlertKind.HOURS.label),
            _(
                "A payment comes more than %(grace)d minutes outside the code's opening hours. Of a code without opening hours: %(odd)d or more payments within a day at hours when it was never paid by in the four weeks before, if it was paid by at least %(habit)d times in them."
            )
            % {
                "grace": oddities.CLOSED_GRACE_MINUTES,
                "odd": oddities.ODD_PAYMENTS,
                "habit": oddities.HABIT_PAYMENTS,
            },
        ),
        (
            str(AlertKind.STOPPED.label),
            _(
                "A paused or retired code is opened in %(hours)d or more different hours of seven days. The first day after it was stopped does not count."
            )
            % {"hours": oddities.STOPPED_HOURS},
        ),
    ]
