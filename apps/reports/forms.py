"""The filter bar and the choices of a file. Both read the address, so a link is a view."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any, Final, cast

from django import forms
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.core.clock import EARLIEST, LATEST
from apps.core.fields import FenField
from apps.core.money import Money
from apps.core.names import speaks_english
from apps.payments.models import Source
from apps.platforms.models import PlatformChoice
from apps.reports import wording
from apps.reports.models import TransactionKind
from apps.reports.selectors import (
    MAX_FOUND,
    MAX_PERIOD_DAYS,
    MAX_STATISTICS_DAYS,
    MIN_SEARCH,
    CodePeriod,
    Names,
    Period,
    TransactionFilters,
    clean_number,
    preset_dates,
)


def too_many_words() -> str:
    """What to say when a searched number fits too much."""
    return str(
        _("That fits more than %(count)d payments or refunds. Type more of the number.")
        % {"count": MAX_FOUND}
    )


def too_many_rows_words(rows: int, most: int) -> str:
    """What to say when a workbook would take too long."""
    return str(
        _(
            "A workbook holds %(most)s rows at most, and these are %(rows)s. Choose a shorter period, or take the CSV, which has no limit."
        )
        % {"rows": f"{rows:,}", "most": f"{most:,}"}
    )


def no_room_words() -> str:
    """What to say when the file did not fit on the disk."""
    return str(
        _(
            "The file could not be made: there is no room on the portal's disk. Take the CSV, which needs none, or tell whoever runs the portal."
        )
    )


class TransactionFilterForm(forms.Form):
    """What a list or a file is narrowed to. Empty fields narrow nothing."""

    q = forms.CharField(label=_("Number"), required=False, max_length=100)
    period = forms.ChoiceField(label=_("Period"), required=False, choices=wording.PERIODS)
    date_from = forms.DateField(label=_("From (business day)"), required=False)
    date_to = forms.DateField(label=_("To (business day)"), required=False)
    kind = forms.ChoiceField(
        label=_("Kind"), required=False, choices=[("", _("All")), *TransactionKind.choices]
    )
    state = forms.ChoiceField(label=_("State"), required=False)
    platform = forms.ChoiceField(label=_("Platform"), required=False)
    store = forms.TypedChoiceField(label=_("Store"), required=False, coerce=int, empty_value=None)
    code = forms.TypedChoiceField(
        label=_("Payment code"), required=False, coerce=int, empty_value=None
    )
    terminal = forms.TypedChoiceField(
        label=_("Terminal"), required=False, coerce=int, empty_value=None
    )
    source = forms.ChoiceField(
        label=_("Began"), required=False, choices=[("", _("Anywhere")), *Source.choices]
    )
    amount_min = FenField(label=_("Amount from (¥)"), required=False, max_length=20)
    amount_max = FenField(label=_("Amount to (¥)"), required=False, max_length=20)

    #: Shown at once; the others stand under "More filters".
    MAIN = ("q", "period", "date_from", "date_to", "kind", "state", "platform", "store")
    MORE = ("code", "terminal", "source", "amount_min", "amount_max")
    #: Those that are chosen from a list.
    CHOICES = ("kind", "state", "platform", "store", "code", "terminal", "source")

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        names: Names,
        today: date,
        day_starts_at: time = time(0),
        number_elsewhere: bool = False,
    ) -> None:
        """``number_elsewhere``: the page's frame asks for the number; the form only carries it along."""
        super().__init__(data)
        self.today = today
        self.day_starts_at = day_starts_at
        self.has_terminals = bool(names.terminals)
        english = speaks_english()
        held = {account.platform for account in names.accounts.values()}
        choices: dict[str, list[tuple[Any, Any]]] = {
            "state": [("", _("All")), *wording.STATE_GROUPS.items()],
            "platform": [("", _("All")), *(c for c in PlatformChoice.choices if c[0] in held)],
            "store": [
                ("", _("All stores")),
                *((pk, wording.name_of(store, english)) for pk, store in names.stores.items()),
            ],
            "code": [
                ("", _("All")),
                *((pk, wording.code_name(code, english)) for pk, code in names.codes.items()),
            ],
            "terminal": [
                ("", _("All")),
                *(
                    (pk, wording.terminal_name(terminal, english, with_store=len(names.stores) > 1))
                    for pk, terminal in names.terminals.items()
                ),
            ],
        }
        for name, values in choices.items():
            cast(forms.ChoiceField, self.fields[name]).choices = values
        for name in ("date_from", "date_to"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        for name in ("amount_min", "amount_max"):
            self.fields[name].widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}
        for name in self.CHOICES:
            self.fields[name].widget.attrs["data-autosubmit"] = True
        if number_elsewhere:
            self.fields["q"].widget = forms.HiddenInput()
            return
        self.fields["q"].widget.attrs |= {
            "autocomplete": "off",
            "placeholder": _("Any number, whole, its beginning or its end"),
        }

    def clean_q(self) -> str:
        """The number without its spaces."""
        text = str(self.cleaned_data["q"]).strip()
        if not text:
            return ""
        number = clean_number(text)
        if number is None:
            raise forms.ValidationError(
                _(
                    "Search takes numbers: a payment or refund number of ours or the platform's, or at least its first or last %(count)d characters."
                )
                % {"count": MIN_SEARCH}
            )
        return number

    def clean(self) -> dict[str, Any]:
        """The period and the amounts must make sense together."""
        asked = super().clean() or {}
        first, last = asked.get("date_from"), asked.get("date_to")
        period = Period(asked.get("period") or "")
        if period not in (Period.ANY, Period.CUSTOM):
            first, last = preset_dates(period, today=self.today)
            asked["date_from"], asked["date_to"] = first, last
        for name, day in (("date_from", first), ("date_to", last)):
            if day is not None and not EARLIEST <= day <= LATEST:
                self.add_error(name, _("Choose a day between 2000 and 2099."))
                return asked
        if first is not None:
            end = last or max(self.today, first)
            if end < first:
                self.add_error("date_to", _("The period ends before it begins."))
            elif (end - first).days >= MAX_PERIOD_DAYS:
                self.add_error(
                    "date_from",
                    _("A period may span three years at most. Leave both days empty to see all."),
                )
        low, high = asked.get("amount_min"), asked.get("amount_max")
        if low is not None and high is not None and high < low:
            self.add_error("amount_max", _("The highest amount is below the lowest."))
        return asked

    def filters(self) -> TransactionFilters:
        """What was asked for; call it on a valid form."""
        asked = self.cleaned_data
        return TransactionFilters(
            date_from=asked.get("date_from"),
            date_to=asked.get("date_to"),
            store_id=asked.get("store"),
            platform=asked.get("platform", ""),
            kind=asked.get("kind", ""),
            state=asked.get("state", ""),
            code_id=asked.get("code"),
            terminal_id=asked.get("terminal"),
            source=asked.get("source", ""),
            amount_min=asked.get("amount_min"),
            amount_max=asked.get("amount_max"),
            q=asked.get("q", ""),
            day_starts_at=self.day_starts_at,
        )

    def chosen(self) -> list[tuple[str, str, str]]:
        """What narrows the view, in words: (field, its label, the value)."""
        asked = self.cleaned_data
        found: list[tuple[str, str, str]] = []
        if asked.get("q"):
            found.append(("q", str(self.fields["q"].label), asked["q"]))
        period = Period(asked.get("period") or "")
        if period not in (Period.ANY, Period.CUSTOM):
            found.append(("period", str(_("Period")), str(dict(wording.PERIODS)[period])))
        elif asked.get("date_from") or asked.get("date_to"):
            found.append(
                (
                    "period",
                    str(_("Period")),
                    wording.period_words(asked.get("date_from"), asked.get("date_to")),
                )
            )
        for name in self.CHOICES:
            value = asked.get(name)
            if value not in (None, ""):
                field = cast(forms.ChoiceField, self.fields[name])
                words = {str(key): str(label) for key, label in cast(Any, field.choices)}
                found.append((name, str(field.label), words.get(str(value), str(value))))
        for name in ("amount_min", "amount_max"):
            if asked.get(name) is not None:
                amount = Money(asked[name]).to_yuan()
                found.append((name, str(self.fields[name].label), amount))
        return found

    def main_fields(self) -> list[forms.BoundField]:
        """The fields shown at once, but the number, which stands in front."""
        return [self[name] for name in self.MAIN if name != "q"]

    def more_fields(self) -> list[forms.BoundField]:
        """The fields under "More filters"; who has no terminals is not asked for one."""
        return [self[name] for name in self.MORE if name != "terminal" or self.has_terminals]

    def more_open(self) -> bool:
        """Whether one of them narrows the view or is wrong."""
        return any(self.data.get(name) or name in self.errors for name in self.MORE)


class CodePeriodForm(forms.Form):
    """Which business days the statistics of codes are of; nothing chosen stands for the last 30."""

    DAYS: Final = {"7d": 7, "30d": 30, "90d": 90}

    period = forms.ChoiceField(label=_("Period"), choices=wording.CODE_PERIODS)
    date_from = forms.DateField(label=_("From (business day)"), required=False)
    date_to = forms.DateField(label=_("To (business day)"), required=False)

    def __init__(
        self, data: Mapping[str, Any], *, today: date, day_starts_at: time = time(0)
    ) -> None:
        given = {name: str(data.get(name, "")) for name in ("date_from", "date_to")}
        own_days = any(given.values())
        super().__init__(
            {"period": data.get("period") or ("custom" if own_days else "30d"), **given}
        )
        self.today = today
        self.day_starts_at = day_starts_at
        for name in ("date_from", "date_to"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def clean(self) -> dict[str, Any]:
        """Two days in order, not too far apart."""
        asked = super().clean() or {}
        days = self.DAYS.get(asked.get("period", ""))
        if days is not None:
            asked["date_from"], asked["date_to"] = self.today - timedelta(days=days - 1), self.today
            return asked
        if self.errors:
            return asked
        first, last = asked.get("date_from"), asked.get("date_to") or self.today
        asked["date_to"] = last
        if first is None:
            self.add_error("date_from", _("Choose the first day."))
            return asked
        for name, day in (("date_from", first), ("date_to", last)):
            if not EARLIEST <= day <= LATEST:
                self.add_error(name, _("Choose a day between 2000 and 2099."))
                return asked
        if last < first:
            self.add_error("date_to", _("The period ends before it begins."))
        elif (last - first).days >= MAX_STATISTICS_DAYS:
            self.add_error("date_from", _("Statistics are of one year at most."))
        return asked

    def chosen(self) -> CodePeriod:
        """The period; call it on a valid form."""
        asked = self.cleaned_data
        return CodePeriod(asked["date_from"], asked["date_to"], self.day_starts_at)


class ExportForm(forms.Form):
    """How a file is written."""

    headers = forms.ChoiceField(label=_("Column titles"), choices=wording.HEADERS)
    encoding = forms.ChoiceField(label=_("Encoding"), choices=wording.ENCODINGS)

    @staticmethod
    def completed(data: Mapping[str, Any]) -> dict[str, str]:
        """What was chosen; titles in the page's language and UTF-8 with a mark where nothing was."""
        language = "en" if (get_language() or "").startswith("en") else "zh"
        return {
            "headers": str(data.get("headers") or language),
            "encoding": str(data.get("encoding") or "utf-8-sig"),
        }


class BooksForm(forms.Form):
    """Which days of the books are wanted, as what; empty fields stand for this month's postings as CSV."""

    books_from = forms.DateField(label=_("From (business day)"))
    books_to = forms.DateField(label=_("To (business day)"))
    what = forms.ChoiceField(label=_("File"), choices=wording.BOOKS)
    headers = forms.ChoiceField(label=_("Column titles"), choices=wording.HEADERS)
    encoding = forms.ChoiceField(
        label=_("Encoding"),
        choices=wording.ENCODINGS,
        help_text=_("Titles and encoding are for CSV; journals are always UTF-8."),
    )

    def __init__(self, data: Mapping[str, Any], *, first: date, last: date) -> None:
        """``first`` and ``last``: the days where none are given."""
        given = {
            "books_from": str(data.get("books_from") or first.isoformat()),
            "books_to": str(data.get("books_to") or last.isoformat()),
            "what": str(data.get("what") or "csv"),
            **ExportForm.completed(data),
        }
        super().__init__(given, auto_id="books_%s")
        for name in ("books_from", "books_to"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def clean(self) -> dict[str, Any]:
        """A period within reason."""
        asked = super().clean() or {}
        first, last = asked.get("books_from"), asked.get("books_to")
        for name, day in (("books_from", first), ("books_to", last)):
            if day is not None and not EARLIEST <= day <= LATEST:
                self.add_error(name, _("Choose a day between 2000 and 2099."))
                return asked
        if first is not None and last is not None and last < first:
            self.add_error("books_to", _("The period ends before it begins."))
        return asked
