"""Forms of merchants, stores and teams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.names import named
from apps.merchants.models import Role, Store
from apps.merchants.printing import validate_printable

_ALL, _SOME = "all", "some"


class LineField(forms.CharField):
    """Text on one line: blanks and line breaks inside become single blanks."""

    @override
    def to_python(self, value: Any) -> str:
        """The text without what would break a line."""
        return " ".join(str(super().to_python(value) or "").split())


class PrintedField(LineField):
    """A name that stands on printed codes."""

    default_validators = [*LineField.default_validators, validate_printable]


def _day_starts() -> list[tuple[str, str]]:
    return [(f"{hour:02d}:{minute:02d}",) * 2 for hour in range(9) for minute in (0, 30)]


class DayStartField(forms.TypedChoiceField):
    """When the business day starts, from midnight to half past eight."""

    def __init__(self) -> None:
        super().__init__(
            label=_("The business day starts at"),
            choices=_day_starts,
            coerce=time.fromisoformat,
            initial="00:00",
            help_text=_(
                "China time. What is paid before this hour counts for the day before: choose 02:00 if you close after "
                "midnight."
            ),
        )


class _NamesForm(forms.Form):
    name = PrintedField(
        label=_("Name of the merchant"),
        max_length=60,
        help_text=_("Customers see it when they pay, and it is printed on your codes."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    name_en = PrintedField(
        label=_("English name of the merchant"),
        max_length=80,
        required=False,
        help_text=_("For placards and pages in English."),
    )


class StartForm(_NamesForm):
    """A newcomer's merchant and first store."""

    store_name = PrintedField(
        label=_("Name of the first store"),
        max_length=60,
        help_text=_("Such as a street or a mall. You can add more stores later."),
    )
    store_name_en = PrintedField(
        label=_("English name of the store"), max_length=80, required=False
    )
    day_starts_at = DayStartField()


class MerchantForm(_NamesForm):
    """The settings of a merchant."""

    day_starts_at = DayStartField()

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        field = cast("forms.ChoiceField", self.fields["day_starts_at"])
        present = self.get_initial_for_field(field, "day_starts_at")
        # A day start that the list does not offer must not change because somebody corrects a name.
        if present not in dict(_day_starts()):
            field.choices = [(present, present), *_day_starts()]


class StoreForm(forms.Form):
    """A store's names and address."""

    name = PrintedField(label=_("Name of the store"), max_length=60)
    name_en = PrintedField(label=_("English name of the store"), max_length=80, required=False)
    address = LineField(
        label=_("Address"),
        max_length=160,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "street-address"}),
    )


class _ReachForm(forms.Form):
    role = forms.ChoiceField(
        label=_("Role"),
        choices=Role.choices,
        widget=forms.RadioSelect,
        help_text=_("What each role may do is listed on the team page."),
    )
    reach = forms.ChoiceField(
        label=_("Stores"),
        choices=[(_ALL, _("All stores, also future ones")), (_SOME, _("Only these stores"))],
        initial=_ALL,
        widget=forms.RadioSelect,
        help_text=_(
            "Owners always reach all stores. A member of some stores sees nothing that belongs to the merchant as a "
            "whole, such as bills and settings."
        ),
    )
    stores = forms.TypedMultipleChoiceField(
        label=_("Chosen stores"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        cast("forms.ChoiceField", self.fields["stores"]).choices = [
            (store.pk, named(store)) for store in stores
        ]

    @override
    def clean(self) -> dict[str, Any]:
        """Some stores means at least one."""
        cleaned = super().clean() or self.cleaned_data
        if (
            cleaned.get("reach") == _SOME
            and cleaned.get("role") != Role.OWNER
            and not cleaned.get("stores")
            and "stores" not in self.errors
        ):
            self.add_error("stores", ValidationError(gettext("Choose at least one store.")))
        return cleaned

    @property
    def store_ids(self) -> list[int] | None:
        """The stores of a valid form; None means all."""
        if self.cleaned_data["reach"] == _ALL or self.cleaned_data["role"] == Role.OWNER:
            return None
        return list(self.cleaned_data["stores"])


class InvitationForm(_ReachForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("email", "role", "reach", "stores")


class MemberForm(_ReachForm):
    """What a member is."""


def reach_of(store_ids: Sequence[int] | None) -> dict[str, Any]:
    """The initial values of a form for a member of these stores."""
    return (
        {"reach": _ALL, "stores": []}
        if store_ids is None
        else {"reach": _SOME, "stores": store_ids}
    )
