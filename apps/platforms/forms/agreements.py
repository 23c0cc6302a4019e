"""What people type of an agreement: its terms, its rates, its papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from typing_extensions import override

from apps.core.fields import DayField, FenField, usable_file
from apps.core.money import Money
from apps.core.papers import MOST_BYTES, too_large_words
from apps.platforms.agreement_wording import PRODUCTS
from apps.platforms.fees import FeeRule
from apps.platforms.models import Agreement, FeeRounding, FeeTier, PlatformChoice
from apps.platforms.services.agreements import AgreementRefused, Terms, Tier, refuse_tiers
from apps.platforms.usual import UsualTerms

_PPM_PER_PERCENT: Final = 10_000
_WHOLE: Final = 1_000_000
#: Empty rows below the rates.
EXTRA_ROWS: Final = 3


def _percent_field(**options: Any) -> forms.DecimalField:
    return forms.DecimalField(
        min_value=Decimal(0),
        max_value=Decimal(100),
        max_digits=7,
        decimal_places=4,
        error_messages={
            "max_value": _("It cannot be more than 100 percent."),
            "min_value": _("Write it without a minus sign."),
            "invalid": _("Write a number, such as 0.38."),
        },
        **options,
    )


def _ppm(value: Decimal) -> int:
    return int(value * _PPM_PER_PERCENT)


def _percent(ppm: int) -> Decimal:
    return (Decimal(ppm) / _PPM_PER_PERCENT).normalize()


def _yuan(minor: int | None) -> str:
    return "" if minor is None else Money(minor).to_yuan()


class AgreementForm(forms.Form):
    """The terms of one version. ``current``: the version to begin with; ``usual``: starting values where there is none."""

    effective_from = DayField(
        label=_("In force from"),
        help_text=_(
            "Today at the earliest. Until then the present version holds, and it stays readable."
        ),
    )
    service = forms.CharField(
        label=_("Signed service"),
        max_length=80,
        help_text=_("As the contract names it, such as native and JSAPI payment."),
        error_messages={"required": _("Name what was signed.")},
    )
    number = forms.CharField(label=_("Number of the contract"), max_length=64, required=False)
    signed_on = DayField(label=_("Signed on"), required=False)
    valid_from = DayField(label=_("Valid from"))
    valid_until = DayField(
        label=_("Last day"), required=False, help_text=_("Empty: without an end.")
    )
    renews = forms.BooleanField(
        label=_("Renews by itself"),
        required=False,
        help_text=_("For another year, unless one side gives notice. You are told before."),
    )
    cycle_days = forms.IntegerField(
        label=_("Days until the money arrives (T+n)"), min_value=0, max_value=60
    )
    working_days = forms.TypedChoiceField(
        label=_("Which days count"),
        coerce=lambda value: value == "1",
        choices=[("1", _("Working days of the banks")), ("0", _("Every day"))],
    )
    refund_window_days = forms.IntegerField(
        label=_("Refunds are taken for so many days"),
        required=False,
        min_value=0,
        max_value=3660,
        help_text=_(
            "Counted from the payment's day. Later ones are refused here, before the platform does. Empty: nothing is agreed."
        ),
    )
    fee_back = forms.ChoiceField(
        label=_("The fee, when money goes back"),
        choices=[
            ("all", _("comes back with the refund, by its share")),
            ("none", _("stays with the platform")),
            ("part", _("comes back in part")),
        ],
    )
    fee_back_percent = _percent_field(
        label=_("Part that comes back, in percent"),
        required=False,
        help_text=_("Only where it comes back in part."),
    )
    payment_limit = FenField(label=_("Most for one payment, in yuan"), required=False)
    day_limit = FenField(label=_("Most for one day, in yuan"), required=False)
    deposit = FenField(label=_("Deposit, in yuan"), required=False)
    compensation = forms.CharField(
        label=_("Compensation"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Who bears what: disputed or stolen payments, breakdowns, late payout."),
    )
    security = forms.CharField(
        label=_("Security duties"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "What you must do about keys, staff, devices and data, and whom to tell of an incident."
        ),
    )
    note = forms.CharField(label=_("What changed, and why"), max_length=300, required=False)
    expected = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        current: Agreement | None,
        version: int,
        usual: UsualTerms,
        today: date,
    ) -> None:
        super().__init__(data, initial=_initial(current, version, usual, today))
        if version == 0:
            del self.fields["effective_from"]
            del self.fields["note"]

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        said = cleaned.get("fee_back_percent") is not None or "fee_back_percent" in self.errors
        if cleaned.get("fee_back") == "part" and not said:
            self.add_error("fee_back_percent", _("Say how much of it comes back."))
        for name in ("payment_limit", "day_limit"):
            if cleaned.get(name) == 0:
                self.add_error(
                    name, _("With ¥0.00 nothing could be taken. Leave it empty for no limit.")
                )
        payment, day = cleaned.get("payment_limit"), cleaned.get("day_limit")
        if payment and day and payment > day:
            self.add_error(
                "day_limit", _("One payment may be more than the whole day. Which is right?")
            )
        begins, ends = cleaned.get("valid_from"), cleaned.get("valid_until")
        if begins and ends and ends < begins:
            self.add_error("valid_until", _("The last day lies before the first."))
        return cleaned

    def terms(self) -> Terms:
        """The terms; call it on a valid form."""
        typed = self.cleaned_data
        back = {"all": _WHOLE, "none": 0}.get(typed["fee_back"])
        return Terms(
            service=typed["service"],
            number=typed["number"],
            signed_on=typed["signed_on"],
            valid_from=typed["valid_from"],
            valid_until=typed["valid_until"],
            renews=typed["renews"],
            cycle_days=typed["cycle_days"],
            working_days=typed["working_days"],
            refund_window_days=typed["refund_window_days"],
            fee_back_ppm=_ppm(typed["fee_back_percent"]) if back is None else back,
            payment_limit_minor=typed["payment_limit"],
            day_limit_minor=typed["day_limit"],
            deposit_minor=typed["deposit"] or 0,
            compensation=typed["compensation"],
            security=typed["security"],
            note=typed.get("note", ""),
        )

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The inputs in the order of a contract, by what they are about."""
        return [
            (str(title), [self[name] for name in names if name in self.fields])
            for title, names in _GROUPS
        ]


_GROUPS: Final = (
    (_("What was signed"), ("effective_from", "service", "number", "signed_on", "valid_from", "valid_until", "renews")),
    (_("Payout"), ("cycle_days", "working_days")),
    (_("Refunds"), ("refund_window_days", "fee_back", "fee_back_percent")),
    (_("Limits and deposit"), ("payment_limit", "day_limit", "deposit")),
    (_("Clauses"), ("compensation", "security", "note")),
)  # fmt: skip


def _initial(
    current: Agreement | None, version: int, usual: UsualTerms, today: date
) -> dict[str, Any]:
    if current is None:
        return {
            "expected": version,
            "valid_from": today,
            "cycle_days": usual.cycle_days,
            "working_days": "1" if usual.working_days else "0",
            "refund_window_days": usual.refund_window_days,
            "fee_back": _back_choice(usual.fee_back_ppm),
        }
    back = _back_choice(current.fee_back_ppm)
    return {
        "expected": version,
        "effective_from": today,
        "service": current.service,
        "number": current.number,
        "signed_on": current.signed_on,
        "valid_from": current.valid_from,
        "valid_until": current.valid_until,
        "renews": current.renews,
        "cycle_days": current.cycle_days,
        "working_days": "1" if current.working_days else "0",
        "refund_window_days": current.refund_window_days,
        "fee_back": back,
        "fee_back_percent": _percent(current.fee_back_ppm) if back == "part" else None,
        "payment_limit": _yuan(current.payment_limit_minor),
        "day_limit": _yuan(current.day_limit_minor),
        "deposit": _yuan(current.deposit_minor),
        "compensation": current.compensation,
        "security": current.security,
    }


def _back_choice(ppm: int) -> str:
    return {_WHOLE: "all", 0: "none"}.get(ppm, "part")


class TierForm(forms.Form):
    """One rate; a row without one is no row."""

    wallet = forms.ChoiceField(
        label=_("Wallet"),
        required=False,
        choices=[
            ("", _("Any")),
            *(one for one in PlatformChoice.choices if one[0] != "shouqianba"),
        ],
    )
    product = forms.ChoiceField(
        label=_("Way to pay"), required=False, choices=[("", _("Any")), *PRODUCTS.items()]
    )
    from_amount = FenField(label=_("From, in yuan"), required=False)
    rate = _percent_field(label=_("Rate in percent"), required=False)
    cap = FenField(label=_("Cap, in yuan"), required=False)
    least = FenField(label=_("Least fee, in yuan"), required=False)
    rounding = forms.ChoiceField(
        label=pgettext_lazy("fee", "Rounding"), required=False, choices=FeeRounding.choices
    )

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        typed = any(
            cleaned.get(name) not in {None, ""}
            for name in ("wallet", "product", "from_amount", "cap", "least")
        )
        if cleaned.get("rate") is None and "rate" not in self.errors and typed:
            self.add_error("rate", _("Enter the rate, or empty the row."))
        cap, least = cleaned.get("cap"), cleaned.get("least")
        if cap == 0:
            self.add_error(
                "cap", _("A cap of ¥0.00 would make every payment free. Leave it empty for none.")
            )
        elif cap is not None and least is not None and cap < least:
            self.add_error("cap", _("The cap is below the least fee."))
        return cleaned

    def tier(self) -> Tier | None:
        """The rate, None where the row is empty; call it on a valid form."""
        typed = self.cleaned_data
        if typed.get("rate") is None:
            return None
        return Tier(
            rate_ppm=_ppm(typed["rate"]),
            from_minor=typed["from_amount"] or 0,
            wallet=typed["wallet"],
            product=typed["product"],
            cap_minor=typed["cap"],
            least_minor=typed["least"] or 0,
            rounding=typed["rounding"] or FeeRounding.HALF_UP.value,
        )


if TYPE_CHECKING:
    _TierForms = forms.BaseFormSet[TierForm]
else:
    # Django's own class takes no type.
    _TierForms = forms.BaseFormSet


class BaseTierFormSet(_TierForms):
    """The rates of one version."""

    @override
    def clean(self) -> None:
        if any(self.errors):
            return
        try:
            refuse_tiers(self.tiers())
        except AgreementRefused as refusal:
            raise forms.ValidationError(refusal.message) from refusal

    def tiers(self) -> list[Tier]:
        """The rates of the rows that hold one; call it on valid rows."""
        return [tier for form in self.forms if (tier := form.tier()) is not None]


_TierFormSet = forms.formset_factory(
    TierForm, formset=BaseTierFormSet, extra=EXTRA_ROWS, max_num=40, absolute_max=40
)


def tier_forms(
    data: Mapping[str, Any] | None, *, held: Sequence[FeeTier | FeeRule]
) -> BaseTierFormSet:
    """The rows of rates: those held so far, or the usual ones, and a few empty ones."""
    initial = [
        {
            "wallet": tier.wallet,
            "product": tier.product,
            "from_amount": _yuan(tier.from_minor),
            "rate": _percent(tier.rate_ppm),
            "cap": _yuan(tier.cap_minor),
            "least": _yuan(tier.least_minor) if tier.least_minor else "",
            "rounding": tier.rounding,
        }
        for tier in held
    ]
    return cast(BaseTierFormSet, _TierFormSet(data, initial=initial, prefix="rates"))


class PaperForm(forms.Form):
    """A paper of an agreement."""

    title = forms.CharField(
        label=_("What the paper is"),
        max_length=80,
        required=False,
        help_text=_("Such as contract, supplement or licence. Empty: the file's name."),
    )
    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "PDF, JPEG or PNG, 20 MB at most. It is stored encrypted, and each download is written down."
        ),
        widget=forms.FileInput(attrs={"accept": ".pdf,.jpg,.jpeg,.png"}),
        error_messages={"required": _("Choose a file."), "empty": _("The file is empty.")},
    )

    def clean_file(self) -> UploadedFile[bytes]:
        """A file of a bearable size; its content is judged by the service."""
        return usable_file(self.cleaned_data["file"], limit=MOST_BYTES, too_large=too_large_words())


class TickForm(forms.Form):
    """One item of the checklist."""

    item = forms.CharField(max_length=24)
    done = forms.BooleanField(required=False)
    note = forms.CharField(label=_("Remark"), max_length=200, required=False)
