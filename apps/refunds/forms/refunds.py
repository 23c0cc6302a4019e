"""Forms of refunds: asking for one, narrowing the list, customers' requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.money import Money
from apps.core.names import named, one_line
from apps.merchants.models import Store
from apps.qrcodes.forms import read_amount
from apps.refunds.limitwords import parts_sentence, window_sentence
from apps.refunds.models import ReasonCode, RequestReason
from apps.refunds.services import NotRefundable, PastLimits

REASON_LENGTH: Final = 80


def over_refund_sentence(left: Money) -> str:
    """Why an amount is too much, with what is possible."""
    if left.minor <= 0:
        return gettext("Nothing is left to refund: all of it is refunded or already asked for.")
    return gettext("Only ¥%(left)s is left to refund.") % {"left": left.to_yuan()}


def not_refundable_sentence(refused: NotRefundable) -> str:
    """Why a payment takes no refund."""
    if isinstance(refused, PastLimits):
        sentence = parts_sentence if refused.reason == "parts" else window_sentence
        return sentence(refused.allowance)
    return gettext("This payment can no longer be refunded.")


def read_refund_amount(text: str, *, left: Money) -> Money:
    """An amount to refund, within what is left. Raises ValidationError with the sentence that fits the mistake."""
    try:
        amount = read_amount(text)
    except ValidationError as error:
        words = {
            "negative": gettext("An amount to refund cannot be negative."),
            "zero": gettext("A refund of ¥0.00 moves nothing. The smallest amount is ¥0.01."),
            "too_large": over_refund_sentence(left),
        }
        raise ValidationError(
            words.get(error.code or "", error.message), code=error.code
        ) from error
    if amount.minor > left.minor:
        raise ValidationError(over_refund_sentence(left), code="over")
    return amount


def known_reason(text: object) -> str:
    """The kind of reason that an address or a form names; "" where it is none."""
    return str(text) if text in ReasonCode.values else ""


class RefundForm(forms.Form):
    """How much goes back, and why."""

    amount = forms.CharField(
        label=_("Amount to refund, in yuan"),
        max_length=32,
        error_messages={"required": _("Enter the amount to refund.")},
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    reason_code = forms.ChoiceField(
        label=_("Kind of reason"),
        required=False,
        choices=[("", _("Choose one, if one fits")), *ReasonCode.choices],
        help_text=_("The refund rules may go by it."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_LENGTH,
        help_text=_("The customer may see it at the platform. 80 characters at most."),
        error_messages={"required": _("Say why, so that it can be understood later.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, left: Money, initial: dict[str, Any]
    ) -> None:
        super().__init__(data, initial=initial)
        self.left = left

    def clean_amount(self) -> Money:
        """The amount, within what is left."""
        return read_refund_amount(str(self.cleaned_data["amount"]), left=self.left)

    def clean_reason(self) -> str:
        """The reason on one line."""
        return " ".join(str(self.cleaned_data["reason"]).split())


class RefundFilterForm(forms.Form):
    """The list's filters; the address holds their values."""

    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("All")),
            ("waiting", _("Waiting for confirmation")),
            ("under_way", _("Under way")),
            ("abnormal", _("Needs action at the platform")),
            ("succeeded", _("Refunded")),
            ("failed", _("Failed")),
            ("stopped", _("Refused or withdrawn")),
        ],
    )
    store = forms.TypedChoiceField(label=_("Store"), required=False, coerce=int, empty_value=None)

    def __init__(self, data: Mapping[str, Any], *, stores: Sequence[Store]) -> None:
        super().__init__(data)
        cast("forms.ChoiceField", self.fields["store"]).choices = [
            ("", gettext("All stores")),
            *((store.pk, named(store)) for store in stores),
        ]


class RequestForm(forms.Form):
    """What a customer says who wants money back."""

    amount = forms.CharField(
        label=_("How much, in yuan"),
        max_length=32,
        error_messages={"required": _("Enter the amount you want back.")},
    )
    reason = forms.ChoiceField(
        label=_("Why"),
        choices=RequestReason.choices,
        error_messages={
            "required": _("Choose a reason."),
            "invalid_choice": _("Choose a reason."),
        },
    )
    words = forms.CharField(
        label=_("In your own words"),
        required=False,
        max_length=200,
        error_messages={"max_length": _("200 characters at most.")},
    )
    contact = forms.CharField(
        label=_("How the shop may reach you"),
        required=False,
        max_length=80,
        error_messages={"max_length": _("80 characters at most.")},
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        left: Money,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        self.left = left

    def clean_amount(self) -> Money:
        """The amount, within what is left."""
        return read_refund_amount(str(self.cleaned_data["amount"]), left=self.left)

    def clean_words(self) -> str:
        """The words on one line."""
        return one_line(self.cleaned_data["words"])

    def clean_contact(self) -> str:
        """The contact on one line."""
        return one_line(self.cleaned_data["contact"])


class DeclineForm(forms.Form):
    """What the customer reads when the shop says no."""

    answer = forms.CharField(
        label=_("What the customer reads"),
        max_length=200,
        help_text=_("It stands on the customer's receipt. 200 characters at most."),
        error_messages={"required": _("Say why: the customer reads it on the receipt.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_answer(self) -> str:
        """The answer on one line. Raises ValidationError."""
        answer = one_line(self.cleaned_data["answer"])
        if not answer:
            raise ValidationError(self.fields["answer"].error_messages["required"])
        return answer


class RequestTermsForm(forms.Form):
    """Whether customers may ask for money back on their receipt."""

    is_open = forms.BooleanField(
        label=_("Customers may ask for a refund on their receipt"), required=False
    )
    days = forms.IntegerField(label=_("For how many days after paying"), min_value=1, max_value=365)
    policy = forms.CharField(
        label=_("What they read first"),
        required=False,
        max_length=600,
        help_text=_("Your own rules in a few sentences. 600 characters at most."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
