"""The form of a code's terms: for a new code, and for a change of one that hangs already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.fields import FenField, offer
from apps.core.money import Money
from apps.core.names import named, one_line
from apps.core.templatetags.portal import platform_label
from apps.merchants.models import Store
from apps.qrcodes.forms.codes import read_amount
from apps.qrcodes.hours import Hours, HoursRefused, Spans, read_day, week_of, written
from apps.qrcodes.models import NoteMode, Pricing
from apps.qrcodes.printing import unprintable_words
from apps.qrcodes.scenarios import Question
from apps.qrcodes.terms import (
    ANSWER_LENGTH,
    LANGUAGES,
    MOST_CHOICES,
    NAME_EN_LENGTH,
    NAME_LENGTH,
    WALLETS,
    CodeTerms,
    PriceChoice,
    problems_of,
)
from apps.qrcodes.wording import hours_sentence, terms_sentence, weekday_names

#: Where a problem of the terms is shown, if not at the field of its own name.
_AT: Final = {"details": "", "amount": "amount", "store": "store"}
#: Answers to a scenario's questions are fields of this beginning.
ASKED: Final = "asked_"


def _when(**options: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(required=False, widget=widget, **options)


def read_choices(text: str) -> tuple[PriceChoice, ...]:
    """A list of prices, one a line, the amount last: ``Small cup 12.00``. A line with an amount alone is called by it.

    Raises ValidationError that names the line.
    """
    choices: list[PriceChoice] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = one_line(line)
        if not words:
            continue
        name, _space, price = words.rpartition(" ")
        try:
            amount = read_amount(price)
        except ValidationError as error:
            raise ValidationError(
                gettext("Line %(line)d: %(words)s"),
                params={"line": number, "words": error.messages[0]},
                code="line",
            ) from error
        if len(name) > NAME_LENGTH:
            raise ValidationError(
                gettext("Line %(line)d: the name is longer than %(most)d characters."),
                params={"line": number, "most": NAME_LENGTH},
                code="line",
            )
        choices.append(PriceChoice(name=name or amount.display(), minor=amount.minor))
        if len(choices) > MOST_CHOICES:
            raise ValidationError(terms_sentence("choices", "too_many"), code="too_many")
    return tuple(choices)


def written_choices(choices: Sequence[PriceChoice]) -> str:
    """What ``read_choices`` reads."""
    lines: list[str] = []
    for choice in choices:
        money = Money(choice.minor)
        name = "" if choice.name == money.display() else f"{choice.name} "
        lines.append(f"{name}{money.to_yuan()}")
    return "\n".join(lines)


class TermsForm(forms.Form):
    """What a code says. ``questions`` are those of its scenario."""

    # The browser must not insist on what is hidden or folded away.
    use_required_attribute = False

    store = forms.TypedChoiceField(label=_("Store"), coerce=int)
    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_LENGTH,
        help_text=_("It is printed on the placard and shown to the payer."),
    )
    name_en = forms.CharField(label=_("English name"), max_length=NAME_EN_LENGTH, required=False)
    pricing = forms.ChoiceField(
        label=_("Amount"),
        choices=Pricing.choices,
        initial=Pricing.OPEN.value,
        widget=forms.RadioSelect,
    )
    amount = forms.CharField(
        label=_("Fixed amount in yuan"),
        help_text=_("Only where the amount is always the same."),
        required=False,
        max_length=32,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    choices = forms.CharField(
        label=_("List of prices"),
        help_text=_("One a line, the amount last, such as: Small cup 12.00"),
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    note_mode = forms.ChoiceField(
        label=_("Customer’s note"),
        choices=NoteMode.choices,
        initial=NoteMode.OPTIONAL.value,
        required=False,
        widget=forms.RadioSelect,
    )
    note_label = forms.CharField(
        label=_("What the note is"),
        help_text=_("Such as “Order number”. Left empty, the customer reads “Note for the shop”."),
        required=False,
        max_length=60,
    )
    least_minor = FenField(label=_("Least of one payment, in yuan"), required=False)
    most_minor = FenField(label=_("Most of one payment, in yuan"), required=False)
    day_limit_minor = FenField(label=_("Most of a day, in yuan"), required=False)
    day_limit_count = forms.IntegerField(label=_("Payments a day, at most"), required=False)
    total_limit_minor = FenField(label=_("Most in all, in yuan"), required=False)
    total_limit_count = forms.IntegerField(label=_("Payments in all, at most"), required=False)
    language = forms.ChoiceField(label=_("Language of the customer's page"), required=False)
    wallets = forms.MultipleChoiceField(
        label=_("Wallets"),
        help_text=_("None chosen: all that the store takes."),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    valid_from = _when(
        label=_("Valid from"), help_text=_("China time. Left empty, it is valid at once.")
    )
    valid_until = _when(
        label=_("Valid until"),
        help_text=_("China time. Left empty, it does not expire. It can be retired at any time."),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        questions: Sequence[Question],
        now: datetime,
        terms: CodeTerms | None = None,
        home: tuple[int, int | None] | None = None,
        initial: Mapping[str, Any] | None = None,
        example: str = "",
    ) -> None:
        begins = {} if terms is None else written_terms(terms)
        super().__init__(data, initial=begins | dict(initial or {}))
        self._now = now
        self._terms = terms
        # The terminal is not asked here. A code that is there keeps the one it has, while it stays in its store: an older version
        # that the form begins with may name one that was moved or given away since.
        self._home = home or (None if terms is None else (terms.store_id, terms.terminal_id))
        self.questions = questions
        offer(
            self,
            store=[(store.pk, named(store)) for store in stores],
            wallets=[(wallet, platform_label(wallet)) for wallet in WALLETS],
            language=[
                (
                    language,
                    {"zh-hans": gettext("Chinese"), "en": gettext("English")}.get(language, ""),
                )
                if language
                else ("", gettext("The customer's own"))
                for language in LANGUAGES
            ],
        )
        if example:
            self.fields["name"].widget.attrs["placeholder"] = example
        for question in questions:
            self.fields[f"{ASKED}{question.key}"] = forms.CharField(
                label=str(question.label),
                help_text=str(question.help),
                required=False,
                max_length=ANSWER_LENGTH,
                initial="" if terms is None else terms.details.get(question.key, ""),
            )
        for day, label in enumerate(weekday_names()):
            self.fields[f"hours_{day}"] = forms.CharField(
                label=label,
                required=False,
                max_length=80,
                widget=forms.TextInput(attrs={"placeholder": "09:00-21:00", "autocomplete": "off"}),
            )

    @property
    def asked(self) -> list[forms.BoundField]:
        """The fields of the scenario's own questions."""
        return [self[f"{ASKED}{question.key}"] for question in self.questions]

    @property
    def days(self) -> list[forms.BoundField]:
        """The opening hours of the seven days, Monday first."""
        return [self[f"hours_{day}"] for day in range(7)]

    @property
    def rare_is_wanted(self) -> bool:
        """Whether something under the fold is set or wrong, so that it must be open."""
        rare = [
            *(f"hours_{day}" for day in range(7)),
            "least_minor",
            "most_minor",
            "day_limit_minor",
            "day_limit_count",
            "total_limit_minor",
            "total_limit_count",
            "language",
            "wallets",
            "valid_from",
            "valid_until",
        ]
        return any(self[name].value() or self[name].errors for name in rare)

    def clean_name(self) -> str:
        """The name on one line, printable. Raises ValidationError."""
        return self._printed_line("name")

    def clean_name_en(self) -> str:
        """The English name on one line, printable. Raises ValidationError."""
        return self._printed_line("name_en")

    def _printed_line(self, field: str) -> str:
        line = one_line(self.cleaned_data[field])
        if field == "name" and not line:
            raise ValidationError(gettext("This field is required."), code="required")
        if words := unprintable_words(line):
            raise ValidationError(words, code="unprintable")
        return line

    def clean_note_mode(self) -> str:
        """The mode; where none was sent, the note is the customer's choice."""
        return str(self.cleaned_data["note_mode"] or NoteMode.OPTIONAL.value)

    def clean_note_label(self) -> str:
        """The label on one line."""
        return one_line(self.cleaned_data["note_label"])

    def clean_amount(self) -> int | None:
        """The fixed amount in fen; nothing where it is not fixed."""
        text = one_line(self.cleaned_data["amount"])
        if self.cleaned_data.get("pricing") != Pricing.FIXED or not text:
            return None
        return read_amount(text).minor

    def clean_choices(self) -> tuple[PriceChoice, ...]:
        """The list of prices; nothing where there is none to be chosen from."""
        if self.cleaned_data.get("pricing") != Pricing.LIST:
            return ()
        return read_choices(str(self.cleaned_data["choices"]))

    @override
    def clean(self) -> dict[str, Any]:
        """The terms under ``terms``, where all fields can be read and go together."""
        cleaned = super().clean() or self.cleaned_data
        days = [self._day(day) for day in range(7)]
        hours: Hours = ()
        try:
            hours = week_of(days)
        except HoursRefused as refused:
            self.add_error("hours_0", hours_sentence(refused))
        if self.errors:
            return cleaned
        # What this form does not ask stays as it was.
        base = self._terms or CodeTerms(store_id=cleaned["store"], name=cleaned["name"])
        home_store, terminal_id = self._home or (None, None)
        terms = replace(
            base,
            store_id=cleaned["store"],
            terminal_id=terminal_id if home_store == cleaned["store"] else None,
            name=cleaned["name"],
            name_en=cleaned["name_en"],
            details=self._details(base),
            pricing=cleaned["pricing"],
            amount_minor=cleaned["amount"],
            choices=cleaned["choices"],
            note_mode=cleaned["note_mode"],
            note_label=cleaned["note_label"],
            hours=hours,
            least_minor=cleaned["least_minor"],
            most_minor=cleaned["most_minor"],
            day_limit_minor=cleaned["day_limit_minor"],
            day_limit_count=cleaned["day_limit_count"],
            total_limit_minor=cleaned["total_limit_minor"],
            total_limit_count=cleaned["total_limit_count"],
            language=cleaned["language"],
            wallets=tuple(wallet for wallet in WALLETS if wallet in cleaned["wallets"]),
            valid_from=cleaned["valid_from"],
            valid_until=cleaned["valid_until"],
        )
        for problem in problems_of(terms, now=self._now):
            self.refuse(problem.field, problem.reason)
        cleaned["terms"] = terms
        return cleaned

    def refuse(self, field: str, reason: str) -> None:
        """Say at its field what does not go together."""
        place = _AT.get(field, field)
        self.add_error(place if place in self.fields else None, terms_sentence(field, reason))

    def _details(self, base: CodeTerms) -> dict[str, str]:
        answers = dict(base.details)
        for question in self.questions:
            answers[question.key] = one_line(self.cleaned_data.get(f"{ASKED}{question.key}", ""))
        return {key: answer for key, answer in answers.items() if answer}

    def _day(self, day: int) -> Spans:
        try:
            return read_day(str(self.cleaned_data.get(f"hours_{day}", "")))
        except HoursRefused as refused:
            self.add_error(f"hours_{day}", hours_sentence(refused))
            return ()

    @property
    def terms(self) -> CodeTerms:
        """The terms of a valid form."""
        return cast("CodeTerms", self.cleaned_data["terms"])


def written_terms(terms: CodeTerms) -> dict[str, Any]:
    """The form's fields for terms that are there."""
    fields: dict[str, Any] = {
        name: getattr(terms, name)
        for name in (
            "name",
            "name_en",
            "pricing",
            "note_mode",
            "note_label",
            "day_limit_count",
            "total_limit_count",
            "language",
            "valid_from",
            "valid_until",
        )
    }
    for name in ("least_minor", "most_minor", "day_limit_minor", "total_limit_minor"):
        minor = getattr(terms, name)
        fields[name] = None if minor is None else Money(minor).to_yuan()
    amount = terms.amount_minor
    hours = {f"hours_{day}": text for day, text in enumerate(written(terms.hours))}
    return (
        fields
        | hours
        | {
            "store": terms.store_id,
            "amount": "" if amount is None else Money(amount).to_yuan(),
            "choices": written_choices(terms.choices),
            "wallets": list(terms.wallets),
        }
    )


class ChangeForm(TermsForm):
    """A change of a code that hangs already: from when on, and why. ``expected`` is the last version the writer saw."""

    when = forms.ChoiceField(
        label=_("From when on"),
        choices=[("now", _("From now on")), ("later", _("From a time on"))],
        initial="now",
        widget=forms.RadioSelect,
    )
    starts_at = _when(label=_("From"), help_text=_("China time."))
    reason = forms.CharField(
        label=_("Why"),
        help_text=_("For the history, such as “Summer prices”. Customers do not see it."),
        required=False,
        max_length=200,
    )
    expected = forms.IntegerField(min_value=1, widget=forms.HiddenInput)

    def clean_reason(self) -> str:
        """The reason on one line."""
        return one_line(self.cleaned_data["reason"])

    @override
    def clean(self) -> dict[str, Any]:
        """As of any terms; and a change for later begins later."""
        cleaned = super().clean()
        starts_at = cleaned.get("starts_at")
        if cleaned.get("when") != "later":
            cleaned["starts_at"] = None
        elif "starts_at" not in self.errors and (starts_at is None or starts_at <= self._now):
            self.add_error("starts_at", gettext("Choose a time that is still to come."))
        return cleaned


class StopForm(forms.Form):
    """Why a code is frozen or retired."""

    reason = forms.CharField(
        label=_("Why"),
        help_text=_("For the team, such as “Sticker pasted over”. Customers do not see it."),
        required=False,
        max_length=200,
    )

    def clean_reason(self) -> str:
        """The reason on one line."""
        return one_line(self.cleaned_data["reason"])
