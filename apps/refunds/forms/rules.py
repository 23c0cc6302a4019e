"""Forms of the refund rules: one rule, what holds otherwise, publishing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.core.clock import CHINA, EARLIEST, LATEST
from apps.core.money import InvalidAmount, Money
from apps.core.names import one_line
from apps.core.rules.book import NOTE_LENGTH
from apps.qrcodes.forms import read_amount
from apps.refunds.rulefacts import FACTS, MOST_AGE, WHOLE, WINDOWS
from apps.refunds.rulewords import OUTCOME_WORDS, percent, within, word_choices

#: How the form writes a word that is empty, such as "no store": browsers do not tell an empty box from none.
_EMPTY: Final = "-"
_UNITS: Final = {"minutes": 1, "hours": 60, "days": 24 * 60}
_WORDS: Final = ("store", "code", "platform", "asker", "reason", "origin")
_END_OF_DAY: Final = 24 * 60


def _amount_field(label: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=32,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )


def _count_field(label: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        min_value=1,
        max_value=100_000,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )


def _time_field(label: Any) -> forms.TimeField:
    return forms.TimeField(
        label=label, required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )


def _words_field(label: Any, help_text: Any = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label,
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "choice-flow"}),
        help_text=help_text,
    )


def read_percent(text: str) -> int:
    """A percentage with up to two decimals, in hundredths of a percent. Raises ValidationError."""
    try:
        share = Money.from_yuan(text.replace("%", "").strip()).minor
    except InvalidAmount as error:
        raise ValidationError(
            gettext("Enter a percentage such as 50 or 12.5."), code="invalid"
        ) from error
    if share < 0:
        raise ValidationError(gettext("A share cannot be negative."), code="negative")
    if share > WHOLE:
        raise ValidationError(
            gettext("More than 100 % of a payment is never refunded."), code="over"
        )
    return share


class RuleForm(forms.Form):
    """One rule: where and when it holds, and what follows. What is left empty does not matter to the rule.

    ``revision`` is the draft that the writer saw, 0 where there is none yet; ``accepted``: that the rule, or another, will
    never decide, was read.
    """

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    place = forms.TypedChoiceField(label=_("Where it stands"), coerce=int)
    total_over = _amount_field(_("Over, in yuan"))
    total_up_to = _amount_field(_("Up to, in yuan"))
    amount_over = _amount_field(_("Over, in yuan"))
    amount_up_to = _amount_field(_("Up to, in yuan"))
    share_over = _amount_field(_("Over, in percent"))
    share_up_to = _amount_field(_("Up to, in percent"))
    age_over = _count_field(_("More than"))
    age_up_to = _count_field(_("Up to"))
    age_unit = forms.ChoiceField(
        label=_("Counted in"),
        required=False,
        choices=[("days", _("days")), ("hours", _("hours")), ("minutes", _("minutes"))],
    )
    time_from = _time_field(pgettext_lazy("time of day", "From"))
    time_until = _time_field(_("Until"))
    payer_count_over = _count_field(_("More refunds than"))
    payer_sum_over = _amount_field(_("Together over, in yuan"))
    payer_days = forms.TypedChoiceField(label=_("Counted"), required=False, coerce=int)
    asker_count_over = _count_field(_("More refunds than"))
    asker_sum_over = _amount_field(_("Together over, in yuan"))
    asker_days = forms.TypedChoiceField(label=_("Counted"), required=False, coerce=int)
    store_count_over = _count_field(_("More refunds than"))
    store_sum_over = _amount_field(_("Together over, in yuan"))
    store = _words_field(_("Stores"))
    code = _words_field(_("What it was paid by"))
    platform = _words_field(_("Platforms"))
    asker = _words_field(_("Who asks"))
    reason = _words_field(_("Kinds of reason"))
    origin = _words_field(_("Where it is asked for"))
    outcome = forms.ChoiceField(label=_("What follows"), widget=forms.RadioSelect)
    note = forms.CharField(
        label=_("What whoever asks should know"),
        required=False,
        max_length=NOTE_LENGTH,
        help_text=_("Shown beside the rule's own sentence. 120 characters at most."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    accepted = forms.BooleanField(required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Mapping[str, str],
        places: int,
        initial: dict[str, Any],
    ) -> None:
        super().__init__(data, initial=initial)
        self._choose("place", [(number, _place_words(number)) for number in range(1, places + 1)])
        windows = [(days, within(days)) for days in WINDOWS]
        self._choose("payer_days", windows)
        self._choose("asker_days", windows)
        self._choose("outcome", [(code, _sentence(words)) for code, words in OUTCOME_WORDS.items()])
        for name in _WORDS:
            choices = word_choices(name, stores)
            self._choose(name, [(word or _EMPTY, label) for word, label in choices.items()])

    def _choose(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        cast("forms.ChoiceField", self.fields[name]).choices = choices

    def clean(self) -> dict[str, Any]:
        """The bounds as numbers; what contradicts itself is said where it stands."""
        self.when: dict[str, dict[str, Any]] = {}
        for name in ("total", "amount"):
            self._bounds(name, *(self._money(f"{name}_{end}") for end in ("over", "up_to")))
        self._bounds("share", *(self._share(f"share_{end}") for end in ("over", "up_to")))
        self._age()
        self._time()
        for who in ("payer", "asker", "store"):
            days = 1 if who == "store" else self.cleaned_data.get(f"{who}_days") or WINDOWS[0]
            self._bounds(f"{who}_count_{days}", self.cleaned_data.get(f"{who}_count_over"), None)
            self._bounds(f"{who}_sum_{days}", self._money(f"{who}_sum_over"), None)
        for name in _WORDS:
            chosen = self.cleaned_data.get(name)
            if chosen:
                words = ["" if word == _EMPTY else word for word in chosen]
                self.when[name] = {"is": words}
        return self.cleaned_data

    def rule(self) -> dict[str, Any]:
        """The rule as the book keeps it; of a valid form."""
        note = one_line(self.cleaned_data["note"])
        rule = {"when": self.when, "outcome": self.cleaned_data["outcome"]}
        return {**rule, "note": note} if note else rule

    def _money(self, name: str) -> int | None:
        text = str(self.cleaned_data.get(name) or "").strip()
        if not text:
            return None
        try:
            return read_amount(text).minor
        except ValidationError as error:
            if error.code == "zero":
                return 0
            self.add_error(name, error)
            return None

    def _share(self, name: str) -> int | None:
        text = str(self.cleaned_data.get(name) or "").strip()
        if not text:
            return None
        try:
            return read_percent(text)
        except ValidationError as error:
            self.add_error(name, error)
            return None

    def _bounds(self, name: str, over: int | None, up_to: int | None) -> None:
        if over is not None and up_to is not None and over >= up_to:
            words = gettext("Nothing is over the one and up to the other: this must be the larger.")
            self.add_error(f"{name}_up_to", words)
        elif up_to == 0:
            self.add_error(f"{name}_up_to", gettext("No refund is of nothing: enter more than 0."))
        elif name == "share" and over == WHOLE:
            words = gettext("More than 100 % of a payment is never refunded.")
            self.add_error("share_over", words)
        elif over is not None or up_to is not None:
            bounds = {"over": over, "up_to": up_to}
            self.when[name] = {end: value for end, value in bounds.items() if value is not None}

    def _age(self) -> None:
        unit = _UNITS[self.cleaned_data.get("age_unit") or "days"]
        ends: list[int | None] = []
        for name in ("age_over", "age_up_to"):
            value = self.cleaned_data.get(name)
            minutes = None if value is None else int(value) * unit
            if minutes is not None and minutes > MOST_AGE:
                self.add_error(name, gettext("No payment is looked back at for so long."))
                minutes = None
            ends.append(minutes)
        self._bounds("age", *ends)

    def _time(self) -> None:
        begins, ends = self.cleaned_data.get("time_from"), self.cleaned_data.get("time_until")
        if begins is None and ends is None:
            return
        if begins is None or ends is None:
            missing = "time_from" if begins is None else "time_until"
            if missing not in self.errors:
                self.add_error(missing, gettext("A time of day needs both a beginning and an end."))
            return
        span = {"from": _minute(begins), "until": _minute(ends)}
        if span["from"] == span["until"]:
            words = gettext(
                "Between the same two times there is nothing; for the whole day leave both empty."
            )
            self.add_error("time_until", words)
            return
        self.when["minute"] = span


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _sentence(words: Any) -> str:
    text = str(words)
    return text[:1].upper() + text[1:]


def _place_words(number: int) -> str:
    if number == 1:
        return gettext("First")
    return gettext("After rule %(number)d") % {"number": number - 1}


def initial_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What the form shows of a rule as the book keeps it."""
    initial: dict[str, Any] = {"outcome": rule["outcome"], "note": rule.get("note", "")}
    for name, condition in rule["when"].items():
        if name in _WORDS:
            initial[name] = [word or _EMPTY for word in condition["is"]]
        elif name == "minute":
            for end in ("from", "until"):
                hours, minutes = divmod(condition[end] % _END_OF_DAY, 60)
                initial[f"time_{end}"] = time(hours, minutes)
        elif name == "age":
            unit = next(
                word
                for word, size in reversed(_UNITS.items())
                if all(value % size == 0 for value in condition.values())
            )
            initial["age_unit"] = unit
            for end, value in condition.items():
                initial[f"age_{end}"] = value // _UNITS[unit]
        elif name == "share":
            for end, value in condition.items():
                initial[f"share_{end}"] = percent(value).removesuffix(" %")
        elif name in ("total", "amount"):
            for end, value in condition.items():
                initial[f"{name}_{end}"] = Money(value).to_yuan()
        else:
            who, what, days = name.split("_")
            over = condition["over"]
            initial[f"{who}_{what}_over"] = Money(over).to_yuan() if what == "sum" else over
            initial[f"{who}_days"] = int(days)
    return initial


class OtherwiseForm(forms.Form):
    """What follows where no rule decides."""

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    otherwise = forms.ChoiceField(label=_("Everything else"))

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        cast("forms.ChoiceField", self.fields["otherwise"]).choices = [
            (code, _sentence(words)) for code, words in OUTCOME_WORDS.items()
        ]


class PublishForm(forms.Form):
    """From when a draft holds: at once, or from a minute of China's time."""

    revision = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    day = forms.DateField(
        label=_("From the day"),
        required=False,
        help_text=_("Left empty, the rules hold at once."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    hour = forms.TimeField(
        label=_("At"),
        required=False,
        help_text=_("In China's time; left empty, from the beginning of the day."),
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, initial: dict[str, Any], now: datetime
    ) -> None:
        super().__init__(data, initial=initial)
        self._now = now

    def clean_day(self) -> date | None:
        """The day, within what a calendar of people holds. Raises ValidationError."""
        day: date | None = self.cleaned_data["day"]
        if day is not None and not EARLIEST <= day <= LATEST:
            raise ValidationError(gettext("Enter a day of this century."), code="range")
        return day

    def clean(self) -> dict[str, Any]:
        """``effective_at``: the moment, or None for at once."""
        day, hour = self.cleaned_data.get("day"), self.cleaned_data.get("hour")
        self.cleaned_data["effective_at"] = None
        if day is None:
            if hour is not None and "day" not in self.errors:
                self.add_error("day", gettext("An hour needs its day."))
            return self.cleaned_data
        begins = datetime.combine(day, hour or time(0), tzinfo=CHINA)
        if begins <= self._now:
            words = gettext("That moment has passed. Choose a later one, or leave it empty.")
            today = self._now.astimezone(CHINA).date()
            self.add_error("hour" if day == today and hour else "day", words)
        self.cleaned_data["effective_at"] = begins
        return self.cleaned_data


def suggested_rule(facts: Mapping[str, int | str]) -> dict[str, Any]:
    """A rule that would have caught a refund with these facts: its amount, and where, how and why it was asked for."""
    total = int(facts["total"])
    when: dict[str, Any] = {"total": {"over": total - 1}}
    for name in ("store", "platform", "reason"):
        when[name] = {"is": [facts[name]]}
    return {"when": {name: when[name] for name in FACTS if name in when}, "outcome": "one"}


__all__ = [
    "OtherwiseForm",
    "PublishForm",
    "RuleForm",
    "initial_of",
    "read_percent",
    "suggested_rule",
]
