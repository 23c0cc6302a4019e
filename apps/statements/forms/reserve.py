"""What people hand in about reserves and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.fields import DayField, FenField
from apps.core.money import Money
from apps.statements.models import BalanceWatch, ReserveTerms
from apps.statements.reserving import WHOLE_BP
from apps.statements.selectors.reserve import KEPT_DAYS
from apps.statements.services.reserves import MOST_DAYS

_BP_PER_PERCENT: Final = 100


class ReserveForm(forms.Form):
    """What is kept back from a day on. ``expected`` is the version that the writer had before the eyes."""

    expected = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    kind = forms.ChoiceField(
        label=_("What is kept back"),
        choices=[
            ("share", _("A share of each day's takings")),
            ("both", _("A share of each day's takings, up to an amount")),
            ("amount", _("An amount, out of the takings")),
            ("none", _("Nothing any more")),
        ],
    )
    share = forms.DecimalField(
        label=_("Share in percent"),
        required=False,
        min_value=Decimal("0.01"),
        max_value=Decimal(100),
        max_digits=5,
        decimal_places=2,
        help_text=_(
            "Of what came in on the day, less refunds and fees. Days with more refunds than takings give nothing."
        ),
        error_messages={
            "max_value": _("It cannot be more than 100 percent."),
            "min_value": _("It must be more than zero: 0.01 percent at least."),
            "invalid": _("Write a number, such as 5 or 2.5."),
            "max_decimal_places": _("Two digits behind the point at most."),
            "max_digits": _("It cannot be more than 100 percent."),
            "max_whole_digits": _("It cannot be more than 100 percent."),
        },
    )
    ceiling = FenField(
        label=_("Amount, in yuan"),
        required=False,
        help_text=_("What is kept; of a share the most of it. Not needed for a share alone."),
    )
    days = forms.IntegerField(
        label=_("So many days"),
        min_value=1,
        max_value=MOST_DAYS,
        help_text=_(
            "How long a day's money stays in the reserve: as long as customers usually come for refunds."
        ),
        error_messages={
            "max_value": _("At most %(limit_value)s days."),
            "min_value": _("One day at least."),
        },
    )
    effective_from = DayField(
        label=_("From the business day"),
        help_text=_("Today at the earliest. What was kept back before stays written down."),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        last: ReserveTerms | None,
        today: date,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial={**_initial(last, today), **(initial or {})})
        self.today = today

    @override
    def clean(self) -> dict[str, Any]:
        """The figures that the kind needs, and a day that has not passed."""
        typed = super().clean() or self.cleaned_data
        kind = typed.get("kind")
        if kind in {"share", "both"} and typed.get("share") is None and "share" not in self.errors:
            self.add_error("share", gettext("Say which share."))
        if kind in {"amount", "both"} and "ceiling" not in self.errors:
            ceiling = typed.get("ceiling")
            if ceiling is None:
                self.add_error("ceiling", gettext("Say which amount."))
            elif ceiling == 0:
                self.add_error(
                    "ceiling", gettext("Keeping ¥0.00 is keeping nothing: choose that above.")
                )
        begins = typed.get("effective_from")
        if begins is not None and begins < self.today:
            self.add_error(
                "effective_from",
                gettext("That day has passed, and its takings are booked. Choose today or later."),
            )
        return typed

    def values(self) -> dict[str, Any]:
        """What was asked for, as the service takes it; call it on a valid form."""
        typed = self.cleaned_data
        kind = typed["kind"]
        share = {"amount": WHOLE_BP, "none": 0}.get(kind)
        if share is None:
            share = int(typed["share"] * _BP_PER_PERCENT)
        return {
            "share_bp": share,
            "ceiling_minor": typed["ceiling"] if kind in {"amount", "both"} else None,
            "days": typed["days"],
            "effective_from": typed["effective_from"],
            "expected": typed["expected"],
        }


def _initial(last: ReserveTerms | None, today: date) -> dict[str, Any]:
    if last is None:
        return {"expected": 0, "kind": "share", "days": KEPT_DAYS, "effective_from": today}
    kind = (
        "none"
        if not last.share_bp
        else "share"
        if last.ceiling_minor is None
        else "amount"
        if last.share_bp == WHOLE_BP
        else "both"
    )
    share = Decimal(last.share_bp) / _BP_PER_PERCENT
    return {
        "expected": last.version,
        "kind": kind,
        "share": f"{share.normalize():f}" if kind in {"share", "both"} else None,
        "ceiling": None if last.ceiling_minor is None else Money(last.ceiling_minor).to_yuan(),
        "days": last.days,
        "effective_from": today,
    }


class WatchForm(forms.Form):
    """When to be warned of a low balance."""

    is_on = forms.BooleanField(label=_("Warn me"), required=False)
    least = FenField(
        label=_("Warn below this amount in any case, in yuan"),
        required=False,
        help_text=_("Empty: what usual refunds need decides."),
    )

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, watch: BalanceWatch | None
    ) -> None:
        least = watch.least_minor if watch is not None else None
        super().__init__(
            data,
            initial={
                "is_on": watch.is_on if watch is not None else True,
                "least": None if least is None else Money(least).to_yuan(),
            },
        )
