"""How confirmations run, and who stands in for whom: what people fill in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

from django import forms
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.approvals.services.delegating import LONGEST
from apps.approvals.terms import Terms
from apps.core.clock import CHINA
from apps.merchants.models import Membership


def hours_words(hours: int) -> str:
    """``12 hours``, ``3 days``."""
    if hours >= 48 and hours % 24 == 0:
        days = hours // 24
        return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}


def _choices(hours: Sequence[int], kept: int) -> list[tuple[int, str]]:
    """The usual lengths, and the one that is stored where it is another."""
    wanted = sorted({*hours, kept} - {0})
    never = [(0, gettext("Never"))] if 0 in hours else []
    return never + [(each, hours_words(each)) for each in wanted]


class TermsForm(forms.Form):
    """The merchant's terms. ``seen``: the number of the newest version when the page was opened."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    expire_hours = forms.TypedChoiceField(
        label=_("A request expires after"),
        coerce=int,
        help_text=_("Nothing is carried out then, and what it had reserved is free again."),
    )
    remind_hours = forms.TypedChoiceField(
        label=_("Remind those who may confirm after"),
        coerce=int,
    )
    escalate_hours = forms.TypedChoiceField(
        label=_("Tell owners and managers after"),
        coerce=int,
        help_text=_("If nobody has confirmed by then."),
    )
    cooling_hours = forms.TypedChoiceField(
        label=_("Where nobody else may confirm, carry it out by itself after"),
        coerce=int,
        help_text=_(
            "For a shop of one person. You start the delay with your second factor and can cancel until it is over."
        ),
    )
    credentials = forms.BooleanField(
        label=_("New keys of a platform account need a second person"),
        required=False,
        help_text=_("Where another owner or manager may confirm. A first connection does not."),
    )
    factor = forms.BooleanField(
        label=_("Whoever confirms must have a second factor"),
        required=False,
        help_text=_(
            "A passkey or a code from an app. Members who have one are asked for it in any case."
        ),
    )

    def __init__(self, data: Any = None, *, terms: Terms, seen: int) -> None:
        super().__init__(data, initial={**asdict(terms), "seen": seen})
        for name, hours in {
            "expire_hours": (12, 24, 48, 72, 168),
            "remind_hours": (0, 1, 4, 12, 24, 48),
            "escalate_hours": (0, 2, 8, 24, 48, 72),
            "cooling_hours": (0, 12, 24, 48, 72),
        }.items():
            field = cast(forms.TypedChoiceField, self.fields[name])
            field.choices = _choices(hours, getattr(terms, name))

    @override
    def clean(self) -> dict[str, Any]:
        """A reminder before the escalation, both before the end."""
        cleaned = super().clean() or self.cleaned_data
        expire = cleaned.get("expire_hours") or 0
        remind = cleaned.get("remind_hours") or 0
        escalate = cleaned.get("escalate_hours") or 0
        if expire:
            late = gettext("This is not before the request expires. Choose fewer hours, or never.")
            for name, hours in (("remind_hours", remind), ("escalate_hours", escalate)):
                if hours >= expire:
                    self.add_error(name, late)
        if escalate and remind >= escalate and "escalate_hours" not in self.errors:
            self.add_error(
                "escalate_hours",
                gettext(
                    "Owners are told after those who may confirm were reminded: choose more hours."
                ),
            )
        return cleaned

    def terms(self) -> Terms:
        """What was chosen."""
        return Terms(**{field.name: self.cleaned_data[field.name] for field in fields(Terms)})


class DelegationForm(forms.Form):
    """To whom, from which day to which (both whole, China time), and why."""

    receiver = forms.TypedChoiceField(
        label=_("Who confirms in your place"),
        coerce=int,
        help_text=_("Owners, managers and finance can."),
    )
    first = forms.DateField(
        label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last = forms.DateField(
        label=_("To"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("The whole last day is included."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=120)

    def __init__(self, data: Any = None, *, members: Sequence[Membership], today: date) -> None:
        super().__init__(data, initial={"first": today})
        self.today = today
        field = cast(forms.TypedChoiceField, self.fields["receiver"])
        field.choices = [
            (row.user_id, f"{row.user.display_name} · {row.get_role_display()}") for row in members
        ]

    def clean_reason(self) -> str:
        """The reason on one line."""
        return " ".join(str(self.cleaned_data["reason"]).split())

    @override
    def clean(self) -> dict[str, Any]:
        """From before to, not in the past, not for ever."""
        cleaned = super().clean() or self.cleaned_data
        first, last = cleaned.get("first"), cleaned.get("last")
        if first and first < self.today:
            self.add_error("first", gettext("This day is over. Choose today or later."))
        if first and last:
            if last < first:
                self.add_error("last", gettext("The last day is before the first."))
            elif last - first >= LONGEST:
                self.add_error(
                    "last",
                    gettext("At most %(days)d days at a time. Hand it on again afterwards.")
                    % {"days": LONGEST.days},
                )
        return cleaned

    def period(self) -> tuple[datetime, datetime]:
        """The half-open period of the days."""
        first, last = self.cleaned_data["first"], self.cleaned_data["last"]
        return _midnight(first), _midnight(last + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=CHINA).astimezone(UTC)
