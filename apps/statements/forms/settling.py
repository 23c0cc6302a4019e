"""What people hand in about settlements: links with bank lines, terms, working days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.core.fields import DayField, FenField, offer
from apps.core.money import Money
from apps.ledger.models import Purpose
from apps.statements.models import SettlementBasis, SettlementTerms


class LinkForm(forms.Form):
    """Bank lines and settlements that belong together, and where a difference is booked."""

    lines = forms.TypedMultipleChoiceField(
        label=_("Bank lines"),
        coerce=int,
        error_messages={
            "required": _("Choose at least one bank line."),
            "invalid_choice": _("This bank line is linked already, or is not there any more."),
        },
    )
    settlements = forms.TypedMultipleChoiceField(
        label=_("Settlements"),
        coerce=int,
        error_messages={
            "required": _("Choose at least one settlement."),
            "invalid_choice": _("This settlement is linked already, or is not there any more."),
        },
    )
    difference_to = forms.ChoiceField(
        label=_("If the sums differ, book the rest to"),
        required=False,
        choices=[
            ("", _("Nothing: they must be equal")),
            (Purpose.FEES.value, _("Fees: a charge of the bank or the platform")),
            (Purpose.SUSPENSE.value, _("Suspense: to be cleared later")),
        ],
    )
    note = forms.CharField(label=_("Remark"), required=False, max_length=300)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        lines: Sequence[int],
        settlements: Sequence[int],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        offer(
            self,
            lines=[(pk, str(pk)) for pk in lines],
            settlements=[(pk, str(pk)) for pk in settlements],
        )

    def chosen(self, name: str) -> set[str]:
        """The ids that stand ticked."""
        return {str(value) for value in self[name].value() or ()}

    @property
    def purpose(self) -> Purpose | None:
        """Where a difference is booked; call it on a valid form."""
        value = self.cleaned_data["difference_to"]
        return Purpose(value) if value else None


class HoldForm(forms.Form):
    """Why a settlement is not expected for now; empty: it is expected again."""

    note = forms.CharField(
        label=_("Why it is held back"),
        required=False,
        max_length=200,
        help_text=_("Such as a freeze by the platform. Empty: it is expected again."),
    )


class UndoForm(forms.Form):
    """Why a payout is undone."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=300,
        error_messages={"required": _("Say why, so that it can be understood later.")},
    )


class TermsForm(forms.Form):
    """When and how one account is paid out."""

    basis = forms.ChoiceField(
        label=_("How the platform pays"),
        choices=SettlementBasis.choices,
        help_text=_(
            "By withdrawal, money stays in the platform's balance until somebody or a plan withdraws it; fund bills tell when."
        ),
    )
    cycle_days = forms.IntegerField(
        label=_("Days until it arrives (T+n)"),
        min_value=0,
        max_value=60,
        help_text=_("1: on the next day."),
    )
    working_days = forms.TypedChoiceField(
        label=_("Which days count"),
        coerce=lambda value: value == "1",
        choices=[("1", _("Working days of the banks")), ("0", _("Every day"))],
    )
    cutoff = forms.TimeField(
        label=_("Cut-off"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=_(
            "China time. What is taken from then on counts for the next day. Empty: the platform's own bill day."
        ),
        error_messages={"invalid": _("Write the time as hours and minutes, such as 22:00.")},
    )
    minimum = FenField(
        label=_("Least amount that is paid out, in yuan"),
        required=False,
        help_text=_("Less waits for the following days. Empty or 0: everything is paid out."),
    )
    fees_deducted = forms.TypedChoiceField(
        label=_("Fees"),
        coerce=lambda value: value == "1",
        choices=[
            ("1", _("Taken off each payout")),
            ("0", _("Charged apart; payouts are without fees")),
        ],
    )
    bank_words = forms.CharField(
        label=_("Words on the bank statement"),
        max_length=300,
        required=False,
        help_text=_(
            "Names of the payer, divided by commas. A bank line is matched by itself only if its counterparty or memo holds one of them."
        ),
    )
    window_days = forms.IntegerField(
        label=_("Days late at most, to be matched by itself"), min_value=0, max_value=31
    )
    since = DayField(
        label=_("Follow from this day on"),
        required=False,
        help_text=_(
            "Earlier days are left alone, such as those before you uploaded bank statements. Empty: all."
        ),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        terms: SettlementTerms,
        cycle: tuple[int, bool],
    ) -> None:
        """``cycle``: days and whether working days count, as they hold today."""
        super().__init__(
            data,
            initial={
                "basis": terms.basis,
                "cycle_days": cycle[0],
                "working_days": "1" if cycle[1] else "0",
                "cutoff": terms.cutoff,
                "minimum": Money(terms.minimum_minor).to_yuan(),
                "fees_deducted": "1" if terms.fees_deducted else "0",
                "bank_words": terms.bank_words,
                "window_days": terms.window_days,
                "since": terms.since,
            },
        )

    def clean_minimum(self) -> int:
        """In fen; 0 where nothing was typed."""
        return self.cleaned_data["minimum"] or 0

    def clean_bank_words(self) -> str:
        """On one line."""
        return " ".join(self.cleaned_data["bank_words"].split())

    def values(self) -> dict[str, Any]:
        """For ``services.set_terms``; call it on a valid form."""
        found = dict(self.cleaned_data)
        found["minimum_minor"] = found.pop("minimum")
        return found


class WorkdayForm(forms.Form):
    """A day on which banks work or rest."""

    day = DayField(label=_("Day"))
    works = forms.TypedChoiceField(
        label=_("Banks"),
        coerce=lambda value: {"1": True, "0": False}.get(value),
        empty_value=None,
        choices=[("0", _("rest")), ("1", _("work"))],
    )
    name = forms.CharField(label=_("Why"), required=False, max_length=40)
