"""Forms of risk: narrowing the list, answering an alert, the thresholds, the assessment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.clock import LATEST
from apps.core.money import Money
from apps.core.names import named
from apps.merchants.models import Store
from apps.qrcodes.forms import read_amount
from apps.risk.models import AlertState, Harm, Likelihood
from apps.risk.rules import (
    WATCHES,
    BadRules,
    Outcome,
    Rule,
    RuleKind,
    Rules,
    Threshold,
    Unit,
    check_rules,
)
from apps.risk.wording import outcome_label

_LABELS: Final = {
    "count": _("How many"),
    "minutes": _("Minutes"),
    "hours": _("Hours"),
    "days": _("Days"),
    "minor": _("Amount in yuan"),
    "percent": _("Percent"),
    "times": _("Times the average"),
    "begins": _("Night begins (hour)"),
    "ends": _("Night ends (hour)"),
}


class AlertFilterForm(forms.Form):
    """The list's filters; the address holds their values."""

    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", pgettext_lazy("alert", "Open")),
            (AlertState.FALSE_ALARM.value, _("False alarms")),
            (AlertState.ACTED.value, _("Dealt with")),
            ("all", _("All")),
        ],
    )
    rule = forms.ChoiceField(label=_("Rule"), required=False)
    store = forms.TypedChoiceField(label=_("Store"), required=False, coerce=int, empty_value=None)

    def __init__(self, data: Mapping[str, Any], *, stores: Sequence[Store]) -> None:
        super().__init__(data)
        cast("forms.ChoiceField", self.fields["rule"]).choices = [
            ("", gettext("All rules")),
            *RuleKind.choices,
        ]
        cast("forms.ChoiceField", self.fields["store"]).choices = [
            ("", gettext("All stores")),
            *((store.pk, named(store)) for store in stores),
        ]


class HandleForm(forms.Form):
    """What a member says of an alert."""

    act = forms.ChoiceField(
        choices=[
            ("seen", "seen"),
            ("false_alarm", "false_alarm"),
            ("acted", "acted"),
            ("freeze", "freeze"),
        ]
    )
    note = forms.CharField(
        label=pgettext_lazy("alert", "Note"),
        required=False,
        max_length=200,
        help_text=_("What you found out, for the others. 200 characters at most."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_note(self) -> str:
        """The note on one line."""
        return " ".join(str(self.cleaned_data["note"]).split())


class RulesForm(forms.Form):
    """All rules with their thresholds. ``version`` is the one that the writer had before the eyes."""

    version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    effective_from = forms.DateField(
        label=_("In force from"),
        help_text=_("A business day, today at the earliest."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(
        label=_("Why"),
        max_length=200,
        error_messages={"required": _("Say why, so that it can be understood later.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        rules: Rules,
        today: date,
        version: int,
        trying: bool = False,
    ) -> None:
        """``trying``: only the thresholds are wanted, neither the day nor the reason."""
        super().__init__(data, initial={"version": version, "effective_from": today})
        if trying:
            self.fields["reason"].required = False
            self.fields["effective_from"].required = False
        self.rules = rules
        self.today = today
        for kind, rule in rules.items():
            self.fields[f"{kind}-on"] = forms.BooleanField(
                label=_("On"), required=False, initial=rule.is_on
            )
            for one in rule.watch.thresholds:
                self.fields[f"{kind}-{one.name}"] = _field(one, rule[one.name])
            self.fields[f"{kind}-outcome"] = forms.ChoiceField(
                label=_("Then"),
                choices=[(one.value, outcome_label(kind, one)) for one in rule.watch.outcomes],
                initial=rule.outcome.value,
            )

    def parts(self) -> list[dict[str, Any]]:
        """Each rule with its fields, for the page."""
        return [
            {
                "kind": kind,
                "rule": rule,
                "on": self[f"{kind}-on"],
                "fields": [self[f"{kind}-{one.name}"] for one in rule.watch.thresholds],
                "outcome": self[f"{kind}-outcome"],
            }
            for kind, rule in self.rules.items()
        ]

    def clean_effective_from(self) -> date:
        """The day, not before today and not beyond all days."""
        day: date | None = self.cleaned_data["effective_from"]
        if day is None:
            return self.today
        if day < self.today:
            raise ValidationError(gettext("This day is over. Choose today or a later day."))
        if day > LATEST:
            raise ValidationError(gettext("Choose an earlier day."))
        return day

    def clean(self) -> dict[str, Any]:
        """The rules as a whole, once each number is in its bounds."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            check_rules(self.written())
        except BadRules as bad:
            words = (
                gettext("The night must not end in the hour in which it begins.")
                if (bad.kind, bad.name) == (RuleKind.NIGHT, "ends")
                else gettext("This value is not possible here.")
            )
            self.add_error(f"{bad.kind}-{bad.name}" if bad.name else None, words)
        return cleaned

    def written(self) -> dict[RuleKind, Rule]:
        """The rules as they were typed."""
        return {
            kind: Rule(
                kind=kind,
                is_on=self.cleaned_data[f"{kind}-on"],
                outcome=Outcome(self.cleaned_data[f"{kind}-outcome"]),
                values={
                    one.name: self.cleaned_data[f"{kind}-{one.name}"] for one in watch.thresholds
                },
            )
            for kind, watch in WATCHES.items()
        }


class _YuanField(forms.CharField):
    """An amount in yuan, as fen within bounds."""

    def __init__(self, one: Threshold, **options: Any) -> None:
        super().__init__(max_length=32, **options)
        self.one = one

    def clean(self, value: Any) -> int:
        """The amount in fen. Raises ValidationError."""
        text = super().clean(value)
        amount = read_amount(str(text))
        if not self.one.least <= amount.minor <= self.one.most:
            raise ValidationError(
                gettext("Choose an amount from %(least)s to %(most)s.")
                % {
                    "least": Money(self.one.least).display(),
                    "most": Money(self.one.most).display(),
                }
            )
        return amount.minor


def _field(one: Threshold, value: int) -> forms.Field:
    if one.unit is Unit.MINOR:
        return _YuanField(
            one,
            label=_LABELS[one.name],
            initial=Money(value).to_yuan(),
            widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        )
    return forms.IntegerField(
        label=_LABELS[one.name], initial=value, min_value=one.least, max_value=one.most
    )


class ReplayForm(forms.Form):
    """Over how many past days a draft is replayed."""

    days = forms.TypedChoiceField(
        label=_("Replay over"),
        coerce=int,
        choices=[(7, _("7 days")), (30, _("30 days")), (90, _("90 days"))],
        initial=30,
    )


class ReviewForm(forms.Form):
    """How one risk stands. ``seen_version`` is what the writer had before the eyes, 0 for a new one."""

    seen_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    what = forms.CharField(
        label=_("What could happen"),
        max_length=200,
        error_messages={"required": _("Say what could happen.")},
    )
    measure = forms.CharField(
        label=_("What we do"),
        max_length=400,
        error_messages={"required": _("Say what you do about it, or that you accept it.")},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    likelihood = forms.TypedChoiceField(
        label=_("How likely"), choices=Likelihood.choices, coerce=lambda text: Likelihood(int(text))
    )
    harm = forms.TypedChoiceField(
        label=_("How harmful"), choices=Harm.choices, coerce=lambda text: Harm(int(text))
    )
    owner = forms.TypedChoiceField(
        label=_("Who looks after it"), required=False, coerce=int, empty_value=None
    )
    next_review_date = forms.DateField(
        label=_("Next review"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    is_gone = forms.BooleanField(
        label=_("Take it off the list"),
        required=False,
        help_text=_("Its earlier reviews stay readable."),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        owners: Sequence[User],
        today: date,
        initial: dict[str, Any],
    ) -> None:
        super().__init__(data, initial=initial)
        self.today = today
        cast("forms.ChoiceField", self.fields["owner"]).choices = [
            ("", gettext("Nobody yet")),
            *((user.pk, user.display_name) for user in owners),
        ]

    def clean_next_review_date(self) -> date:
        """A day to come."""
        day: date = self.cleaned_data["next_review_date"]
        if day <= self.today:
            raise ValidationError(gettext("Choose a day to come."))
        if day > LATEST:
            raise ValidationError(gettext("Choose an earlier day."))
        return day
