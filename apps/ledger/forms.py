"""Forms of the books: a period, the plan's words, the limit, an adjustment and its lines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.forms import BaseFormSet, formset_factory
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.clock import EARLIEST, LATEST
from apps.core.fields import DayField, YuanField, offer, usable_file
from apps.core.money import Money
from apps.core.names import one_line
from apps.core.papers import too_large_words
from apps.ledger.models import Purpose
from apps.ledger.selectors import Period, PlanRow, Reason
from apps.ledger.services import AccountWords, Line
from apps.ledger.services.papers import MOST_BYTES, MOST_PAPERS
from apps.ledger.subjects import kind_words, subjects

#: Lines of a new adjustment, and the most there may be.
LINES: Final = 4
MOST_LINES: Final = 40

#: Accounting programs take digits, letters, points and hyphens.
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-]{0,23}", re.ASCII)
_SIDES: Final = {"negative": _("An amount has no sign here: use the other side.")}

PERIODS: Final = [
    ("month", _("This month")),
    ("last_month", _("Last month")),
    ("today", pgettext_lazy("period", "Today")),
    ("yesterday", _("Yesterday")),
    ("year", _("This year")),
    ("all", _("From the beginning")),
    ("custom", _("Days of my choice")),
]


class PeriodForm(forms.Form):
    """Which booked days are looked at; the address holds it, and this month where it says nothing."""

    period = forms.ChoiceField(label=_("Period"), required=False, choices=PERIODS)
    date_from = forms.DateField(label=_("From (business day)"), required=False)
    date_to = forms.DateField(label=_("To (business day)"), required=False)

    def __init__(self, data: Mapping[str, Any], *, today: date) -> None:
        given = {name: str(data.get(name, "")) for name in ("period", "date_from", "date_to")}
        if not given["period"]:
            given["period"] = "custom" if given["date_from"] or given["date_to"] else "month"
        super().__init__(given)
        self.today = today
        for name in ("date_from", "date_to"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def _preset(self, name: str) -> tuple[date | None, date | None]:
        today = self.today
        month = today.replace(day=1)
        yesterday = today - timedelta(days=1)
        last_month = month - timedelta(days=1)
        return {
            "month": (month, today),
            "last_month": (last_month.replace(day=1), last_month),
            "today": (today, today),
            "yesterday": (yesterday, yesterday),
            "year": (today.replace(month=1, day=1), today),
            "all": (None, None),
        }[name]

    @override
    def clean(self) -> dict[str, Any]:
        """A period must not end before it begins."""
        asked = super().clean() or {}
        name = asked.get("period") or ""
        if name and name != "custom":
            asked["date_from"], asked["date_to"] = self._preset(name)
            return asked
        for field in ("date_from", "date_to"):
            day = asked.get(field)
            if day is not None and not EARLIEST <= day <= LATEST:
                self.add_error(field, gettext("Choose a day between 2000 and 2099."))
        first, last = asked.get("date_from"), asked.get("date_to")
        if first is not None and last is not None and last < first:
            self.add_error("date_to", gettext("The period ends before it begins."))
        return asked

    @property
    def value(self) -> Period:
        """What was asked for; call it on a valid form."""
        return Period(self.cleaned_data["date_from"], self.cleaned_data["date_to"])

    @property
    def query(self) -> dict[str, str]:
        """The same for another page's address."""
        return {name: value for name, value in self.data.items() if value}


class JournalForm(PeriodForm):
    """Which entries are listed."""

    kind = forms.ChoiceField(label=pgettext_lazy("ledger", "About"), required=False)

    def __init__(self, data: Mapping[str, Any], *, today: date) -> None:
        super().__init__(data, today=today)
        self.data = {**self.data, "kind": str(data.get("kind", ""))}
        cast("forms.ChoiceField", self.fields["kind"]).choices = [
            ("", gettext("All")),
            *((kind, kind_words(kind)) for kind in subjects()),
        ]


class PlanForm(forms.Form):
    """The codes and names of all accounts: two fields a row, ``code_<n>`` and ``name_<n>``."""

    def __init__(
        self, data: Mapping[str, Any] | None, *, rows: Sequence[PlanRow], default: bool = False
    ) -> None:
        """``default``: offers the default plan's words instead of the present ones."""
        super().__init__(data)
        self.rows = rows
        for number, row in enumerate(rows):
            code, name = row.default if default else (row.code, row.name)
            self.fields[self._field("code", row)] = forms.CharField(
                label=gettext("Code, row %(number)d") % {"number": number + 1},
                max_length=24,
                initial=code,
                error_messages={"required": gettext("Each account needs a code.")},
                widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
            )
            self.fields[self._field("name", row)] = forms.CharField(
                label=gettext("Name, row %(number)d") % {"number": number + 1},
                max_length=80,
                initial=name,
                error_messages={"required": gettext("Each account needs a name.")},
                widget=forms.TextInput(attrs={"autocomplete": "off"}),
            )

    @staticmethod
    def _field(what: str, row: PlanRow) -> str:
        return f"{what}_{row.purpose}_{row.subject_id}"

    @property
    def lines(self) -> list[tuple[PlanRow, forms.BoundField, forms.BoundField]]:
        """Each account with its two fields."""
        return [
            (row, self[self._field("code", row)], self[self._field("name", row)])
            for row in self.rows
        ]

    @override
    def clean(self) -> dict[str, Any]:
        """Codes that programs take, each once."""
        asked = super().clean() or {}
        seen: dict[str, PlanRow] = {}
        for row in self.rows:
            field = self._field("code", row)
            code = unicodedata.normalize("NFKC", str(asked.get(field) or "")).strip()
            if not code:
                continue
            asked[field] = code
            if _CODE.fullmatch(code) is None:
                self.add_error(
                    field, gettext("Digits, letters, points and hyphens only: “%s”.") % code
                )
            elif code.lower() in seen:
                self.add_error(field, gettext("Another account has the code “%s”.") % code)
            seen.setdefault(code.lower(), row)
            name = self._field("name", row)
            if asked.get(name):
                asked[name] = one_line(asked[name])
        return asked

    def words(self) -> dict[tuple[Purpose, int], AccountWords]:
        """What was asked for, by account; call it on a valid form."""
        return {
            (row.purpose, row.subject_id): AccountWords(
                self.cleaned_data[self._field("code", row)],
                self.cleaned_data[self._field("name", row)],
            )
            for row in self.rows
        }


class LimitForm(forms.Form):
    """Up to which amount an adjustment is posted at once. ``version`` is the one that the writer had before the eyes."""

    version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    limit = YuanField(
        label=_("Posted at once up to, in yuan"),
        help_text=_(
            "Above it another member must confirm. With 0.00 every adjustment is confirmed."
        ),
        error_messages={"required": _("Enter an amount; 0.00 is possible.")},
    )


class _ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class PapersField(forms.FileField):
    """Some files, each of a bearable size; their content is judged by the service."""

    widget = _ManyFiles(attrs={"accept": ".pdf,.jpg,.jpeg,.png", "multiple": True})

    @override
    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[bytes]]:
        """The files. Raises ValidationError."""
        given = data if isinstance(data, (list, tuple)) else [data] if data else []
        if len(given) > MOST_PAPERS:
            words = gettext("At most %(most)d files go with one adjustment.")
            raise ValidationError(words % {"most": MOST_PAPERS}, code="many")
        too_large = too_large_words(MOST_BYTES)
        return [usable_file(file, limit=MOST_BYTES, too_large=too_large) for file in given]


class ReasonForm(forms.Form):
    """A reason code of the merchant's own."""

    code = forms.CharField(
        label=pgettext_lazy("ledger", "Code"),
        max_length=16,
        help_text=_(
            "Digits, letters and hyphens, 16 at most, such as KF-01. It cannot be changed later."
        ),
        error_messages={"required": _("Give the reason a code.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
    )
    name = forms.CharField(
        label=_("What it means"),
        max_length=60,
        error_messages={"required": _("Say what the code means.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_code(self) -> str:
        """The code as it is kept: full-width letters become plain ones."""
        return unicodedata.normalize("NFKC", self.cleaned_data["code"]).strip()


class OfferForm(forms.Form):
    """Whether a code is offered for new adjustments."""

    code = forms.CharField(max_length=16)
    offered = forms.BooleanField(required=False)


class AdjustmentForm(forms.Form):
    """What an adjustment is about; its lines are ``LineFormSet``. ``key``: sent twice, it is made once."""

    key = forms.RegexField(r"[0-9A-Za-z_-]{8,40}", widget=forms.HiddenInput)
    reason = forms.ChoiceField(
        label=_("Kind of reason"),
        error_messages={
            "required": _("Choose the kind of reason."),
            "invalid_choice": _("This kind of reason is not offered. Choose another."),
        },
    )
    memo = forms.CharField(
        label=_("Memo"),
        max_length=160,
        help_text=_("What happened, so that it is understood in a year. It stands in the journal."),
        error_messages={"required": _("Say why, so that it can be understood later.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    day = DayField(
        label=_("For the business day"),
        help_text=_("If that day is closed, it is booked on the first open day after it."),
    )

    papers = PapersField(
        label=_("Papers"),
        required=False,
        help_text=_(
            "Receipts, mails, photos: up to five PDF, JPEG or PNG files, 10 MB each. Stored encrypted, part of what is confirmed, never changed afterwards."
        ),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        *,
        today: date,
        initial: dict[str, Any],
        reasons: Sequence[Reason],
    ) -> None:
        super().__init__(data, files, initial={"day": today, **initial})
        self.today = today
        offered = [
            (reason.code, f"{reason.code} · {reason.name}" if reason.is_own else reason.name)
            for reason in reasons
            if reason.is_active
        ]
        offer(self, reason=[("", "—"), *offered])

    def clean_memo(self) -> str:
        """The memo on one line."""
        return one_line(self.cleaned_data["memo"])

    def clean_day(self) -> date:
        """A day that has begun."""
        day: date = self.cleaned_data["day"]
        if day > self.today:
            raise ValidationError(gettext("That day has not begun yet."), code="future")
        return day


class LineForm(forms.Form):
    """One side of an adjustment: an account, and a debit or a credit."""

    account = forms.ChoiceField(label=pgettext_lazy("ledger", "Account"), required=False)
    debit = YuanField(label=_("Debit"), required=False, error_messages=_SIDES)
    credit = YuanField(label=_("Credit"), required=False, error_messages=_SIDES)

    def __init__(self, *args: Any, accounts: Sequence[tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        cast("forms.ChoiceField", self.fields["account"]).choices = [("", "—"), *accounts]
        self.empty_permitted = False
        self.use_required_attribute = False

    @override
    def clean(self) -> dict[str, Any]:
        """An account with exactly one side, or nothing at all."""
        asked = super().clean() or {}
        if self.errors:
            return asked
        debit, credit = asked.get("debit"), asked.get("credit")
        debit = None if debit is not None and debit.minor == 0 else debit
        credit = None if credit is not None and credit.minor == 0 else credit
        if debit is not None and credit is not None:
            self.add_error(
                "credit", gettext("A line has a debit or a credit, not both: use two lines.")
            )
        elif asked.get("account") and debit is None and credit is None:
            self.add_error("debit", gettext("Enter a debit or a credit, or take the account out."))
        elif not asked.get("account") and (debit is not None or credit is not None):
            self.add_error("account", gettext("Choose the account."))
        asked["minor"] = (debit.minor if debit else 0) - (credit.minor if credit else 0)
        return asked


if TYPE_CHECKING:
    _Lines = BaseFormSet[LineForm]
else:
    # Django's own class takes no parameter at run time.
    _Lines = BaseFormSet


class BaseLines(_Lines):
    """The lines of one adjustment; together they balance."""

    @override
    def clean(self) -> None:
        """Two lines at least, debits equal to credits."""
        if any(form.errors for form in self.forms):
            return
        amounts = [form.cleaned_data.get("minor", 0) for form in self.forms]
        amounts = [minor for minor in amounts if minor]
        debit = sum(minor for minor in amounts if minor > 0)
        credit = debit - sum(amounts)
        if len(amounts) < 2:
            raise ValidationError(
                gettext("An adjustment has two lines at least: one debit and one credit."),
                code="few",
            )
        if debit != credit:
            over = Money(abs(debit - credit)).display()
            words = {"debit": Money(debit).display(), "credit": Money(credit).display()}
            raise ValidationError(
                gettext("Debits are %(debit)s and credits %(credit)s: %(over)s apart.")
                % {**words, "over": over},
                code="unbalanced",
            )

    def lines(self) -> list[Line]:
        """What is to be posted; call it on valid lines."""
        found = []
        for form in self.forms:
            minor = form.cleaned_data.get("minor", 0)
            if not minor:
                continue
            purpose, _dot, subject = form.cleaned_data["account"].partition(".")
            found.append(
                Line(purpose=Purpose(purpose), subject_id=int(subject), amount=Money(minor))
            )
        return found


LineFormSet = cast(
    "type[BaseLines]",
    formset_factory(
        LineForm, formset=BaseLines, extra=LINES, max_num=MOST_LINES, absolute_max=MOST_LINES
    ),
)


class ReverseForm(forms.Form):
    """Why an adjustment is undone."""

    memo = forms.CharField(
        label=_("Memo"),
        max_length=160,
        help_text=_("Why it is undone. It stands in the journal."),
        error_messages={"required": _("Say why, so that it can be understood later.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_memo(self) -> str:
        """The memo on one line."""
        return one_line(self.cleaned_data["memo"])


class AdjustmentFilterForm(forms.Form):
    """The list's filters; the address holds their values."""

    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("All")),
            ("waiting", _("Waiting for confirmation")),
            ("posted", _("Posted")),
            ("stopped", _("Refused or withdrawn")),
        ],
    )
    reason = forms.ChoiceField(label=_("Kind of reason"), required=False)

    def __init__(self, data: Mapping[str, Any], *, names: Mapping[str, str]) -> None:
        super().__init__(data)
        offer(self, reason=[("", gettext("All")), *names.items()])
