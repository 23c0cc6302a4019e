"""What people hand in: a bill file, a day to fetch, a word on a difference, narrower lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import DayField, offer
from apps.core.names import named
from apps.merchants.models import Store
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import DifferenceState, DifferenceType, Rounding, RuleScope
from apps.statements.forms import usable_bill

NOTE_LENGTH: Final = 1000
#: Since when a difference is there, at least so many days.
AGES: Final = [
    ("", _("At any time")),
    ("1", _("More than a day ago")),
    ("3", _("More than 3 days ago")),
    ("7", _("More than 7 days ago")),
]
#: How the form names all of the portal's languages.
EACH_LANGUAGE: Final = "each"


class MorningMailForm(forms.Form):
    """Whether a member gets the morning's mail, and in which language."""

    wanted = forms.BooleanField(label=_("Send me the morning's mail"), required=False)
    language = forms.ChoiceField(label=_("Language"))

    def __init__(self, data: Mapping[str, Any] | None = None, **given: Any) -> None:
        super().__init__(data, **given)
        every = (EACH_LANGUAGE, gettext("Each of the portal's languages"))
        offer(self, language=[every, *settings.LANGUAGES])

    def clean_language(self) -> str:
        """The language's code; empty for each of them."""
        chosen = str(self.cleaned_data["language"])
        return "" if chosen == EACH_LANGUAGE else chosen


class _DayForm(forms.Form):
    """An account and a day that is over."""

    account = forms.TypedChoiceField(
        label=_("Account"),
        coerce=int,
        error_messages={
            "required": _("Choose the account."),
            "invalid_choice": _("There is no such account."),
        },
    )
    day = DayField(label=_("Day of the bill"))

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: MultiValueDict[str, UploadedFile[bytes]] | None = None,
        *,
        accounts: Sequence[PlatformAccount],
        yesterday: date,
        initial: dict[str, Any] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            data,
            files,
            initial={"day": yesterday, **(initial or {})},
            auto_id=f"id_{prefix or ''}%s",
        )
        choices: list[tuple[Any, str]] = [
            (row.pk, f"{row.label} · {row.merchant_no}") for row in accounts
        ]
        offer(
            self,
            account=choices if len(choices) == 1 else [("", gettext("Choose …")), *choices],
        )
        self.fields["day"].widget.attrs["max"] = yesterday.isoformat()


class UploadForm(_DayForm):
    """A bill file as downloaded from the platform's console."""

    kind = forms.ChoiceField(
        label=_("Kind of bill"),
        choices=[
            (StatementKind.TRADE.value, _("Trade bill: each payment and refund")),
            (StatementKind.FUND.value, _("Fund bill: each movement of the balance")),
        ],
        initial=StatementKind.TRADE.value,
        widget=forms.RadioSelect,
        help_text=_("Matching needs the trade bill. A fund bill is kept beside it."),
    )
    file = forms.FileField(
        label=_("File"),
        max_length=160,
        allow_empty_file=True,
        help_text=_(
            "As downloaded from the platform: CSV, gzip or zip, of UnionPay also the ZM file alone, up to 64 MB. Do not open and save it in a spreadsheet before."
        ),
        error_messages={
            "required": _("Choose the file."),
            "max_length": _("The file's name is too long."),
        },
        # UnionPay's ZM files have no ending, so the chooser must not narrow by it.
        widget=forms.FileInput(),
    )

    def clean_file(self) -> UploadedFile[bytes]:
        """The file, if it is neither empty nor too large. Raises ValidationError."""
        return usable_bill(self.cleaned_data["file"])


class FetchForm(_DayForm):
    """A bill to be fetched from the platform now: the trade bill, unless a row's button names another kind."""

    kind = forms.ChoiceField(
        required=False,
        choices=[(kind.value, kind.value) for kind in StatementKind],
        widget=forms.HiddenInput,
    )

    def clean_kind(self) -> StatementKind:
        """The kind; the trade bill where none is named."""
        return StatementKind(self.cleaned_data["kind"] or StatementKind.TRADE.value)


class ResolveForm(forms.Form):
    """What became of a difference."""

    note = forms.CharField(
        label=_("What it was, or what was done"),
        max_length=NOTE_LENGTH,
        error_messages={
            "required": _("Write what it was, so that it can be understood later."),
            "max_length": _("The note is too long: 1000 characters at most."),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class FilterForm(forms.Form):
    """Which days the list shows."""

    account = forms.TypedChoiceField(
        label=_("Account"), coerce=int, required=False, empty_value=None
    )
    show = forms.ChoiceField(
        label=_("Days"),
        required=False,
        choices=[
            ("", _("All days")),
            ("open", _("With open differences")),
            ("waiting", _("Without a bill yet")),
        ],
    )

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, accounts: Sequence[PlatformAccount]
    ) -> None:
        super().__init__(data)
        offer(
            self,
            account=[("", gettext("All accounts")), *((row.pk, row.label) for row in accounts)],
        )


class DifferencesForm(forms.Form):
    """Which differences of a run are shown. ``age``: at least so many days since they were first seen."""

    type = forms.ChoiceField(label=_("Kind of difference"), required=False)
    state = forms.ChoiceField(label=_("State"), required=False)
    age = forms.TypedChoiceField(
        label=_("First seen"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=AGES,
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        offer(
            self,
            type=[("", gettext("All kinds")), *DifferenceType.choices],
            state=[("", gettext("All states")), *DifferenceState.choices],
        )


class AccountRuleForm(forms.Form):
    """What matching may do for one account."""

    fallback_minutes = forms.IntegerField(
        label=_("Match by amount and time, minutes apart"),
        min_value=0,
        max_value=1440,
        help_text=_(
            "Only where no number fits and exactly one row fits on each side; such pairs are marked as inferred. 0: off."
        ),
    )
    fee_rounding = forms.ChoiceField(
        label=_("How the platform rounds fees"),
        required=False,
        help_text=_("A fen that this explains needs nobody."),
    )
    fee_tolerance_minor = forms.IntegerField(
        label=_("Fees may differ by, in fen"), min_value=0, max_value=100
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        account_id: int,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial, auto_id=f"id_{account_id}_%s")
        usual = ("", gettext("As the platform usually does"))
        offer(self, fee_rounding=[usual, *Rounding.choices])


class OutsideRuleForm(forms.Form):
    """What becomes of rows of one account that the portal does not know."""

    scope = forms.ChoiceField(
        label=_("Which unknown rows"), choices=RuleScope.choices, initial=RuleScope.ACCOUNT.value
    )
    value = forms.CharField(
        label=_("Number or name, as the bill writes it"),
        required=False,
        max_length=64,
        help_text=_("Not needed for everything of the account."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "named"}),
    )
    books = forms.TypedChoiceField(
        label=_("What becomes of them"),
        choices=[
            ("yes", _("Book them as outside sales and refunds")),
            ("no", _("Leave them as differences, for a person to look at")),
        ],
        coerce=lambda word: word == "yes",
        initial="yes",
        widget=forms.RadioSelect,
    )
    store = forms.TypedChoiceField(
        label=_("Store that they belong to"), coerce=int, required=False, empty_value=None
    )
    valid_from = DayField(
        label=_("From this day's bill on"),
        help_text=_("Bills of earlier days stay as they are. An early day brings history in."),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        offer(
            self,
            store=[("", gettext("No store")), *((row.pk, named(row)) for row in stores)],
        )

    def clean(self) -> dict[str, Any]:
        """A value where the rule is about a part of the account, and a store only where rows are booked."""
        asked = super().clean() or {}
        asked["value"] = str(asked.get("value") or "").strip()
        if asked.get("scope") == RuleScope.ACCOUNT:
            asked["value"] = ""
        elif not asked["value"] and "value" not in self.errors:
            self.add_error("value", _("Write the number or name that the bill gives."))
        if not asked.get("books"):
            asked["store"] = None
        return asked


class HistoryForm(_DayForm):
    """Days before the merchant joined whose bills are wanted."""

    until = DayField(label=_("Last day"))
    store = forms.TypedChoiceField(
        label=_("Store that the sales belong to"),
        coerce=int,
        required=False,
        empty_value=None,
        help_text=_(
            "Where no rule holds for the whole account on the first day, one is made for this store. It also books unknown rows of later days, until you retire it."
        ),
    )
    field_order = ("account", "day", "until", "store")

    def __init__(self, *args: Any, stores: Sequence[Store], longest: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._yesterday: date = kwargs["yesterday"]
        self._longest = longest
        self.fields["day"].label = _("First day")
        self.fields["until"].widget.attrs["max"] = self._yesterday.isoformat()
        offer(
            self,
            store=[("", gettext("No store")), *((row.pk, named(row)) for row in stores)],
        )

    def clean(self) -> dict[str, Any]:
        """A period that is over and not too long."""
        asked = super().clean() or {}
        since, until = asked.get("day"), asked.get("until")
        if until is not None and until > self._yesterday:
            self.add_error("until", _("The last day must be over: yesterday at the latest."))
        elif since is not None and until is not None and until < since:
            self.add_error("until", _("The period ends before it begins."))
        elif since is not None and until is not None and (until - since).days >= self._longest:
            self.add_error(
                "day",
                _("At most %(count)d days at once. Begin with the latest ones.")
                % {"count": self._longest},
            )
        return asked
