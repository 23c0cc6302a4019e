"""What a payer types."""

from __future__ import annotations

import re

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.core.doors import new_token
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money

NOTE_LENGTH = 60
NOT_AN_AMOUNT = _("This is not an amount. Write it in figures, such as 12.50.")
#: What a Chinese keyboard gives in place of plain digits and signs.
_PLAIN = str.maketrans("０１２３４５６７８９．。＋－−￥", "0123456789..+--¥")
#: Signs that people write around an amount; they say nothing about it.
_AROUND = re.compile(r"^[¥\s]+|[元圆\s]+$")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_NONCE = re.compile(r"[0-9A-Za-z]{16,64}")


def read_amount(text: str) -> Money:
    """An amount as people type it: full-width digits and the yuan sign pass. Raises ValidationError with a sentence.

    A comma is refused: it is a decimal point to some and a separator to others.
    """
    plain = _AROUND.sub("", text.translate(_PLAIN))
    if not plain:
        raise forms.ValidationError(_("Enter the amount to pay."), code="empty")
    if _NUMBER.fullmatch(plain) is None:
        raise forms.ValidationError(NOT_AN_AMOUNT, code="not_a_number")
    if plain.startswith("-"):
        raise forms.ValidationError(_("The amount must be more than zero."), code="negative")
    whole, _point, fraction = plain.lstrip("+").partition(".")
    if fraction[2:].strip("0"):
        raise forms.ValidationError(
            _("The smallest unit is one fen: two decimals at most, such as 12.50."), code="too_fine"
        )
    too_much = forms.ValidationError(
        _("One payment can be at most ¥100,000,000.00."), code="too_much"
    )
    digits = whole.lstrip("0") or "0"
    if len(digits) > 12:
        raise too_much
    try:
        amount = Money.from_yuan(f"{digits}.{fraction[:2] or '0'}")
    except InvalidAmount as error:
        raise forms.ValidationError(NOT_AN_AMOUNT, code="not_a_number") from error
    if amount.minor == 0:
        raise forms.ValidationError(_("The amount must be more than zero."), code="zero")
    if amount.minor > MAX_AMOUNT_MINOR:
        raise too_much
    return amount


class PayForm(forms.Form):
    """The form behind a code. With a fixed price the amount is not asked, but what was shown must still hold."""

    amount = forms.CharField(
        required=False, max_length=40, error_messages={"max_length": NOT_AN_AMOUNT}
    )
    #: The fixed price in fen that the payer saw.
    shown = forms.CharField(required=False, max_length=20)
    note = forms.CharField(
        required=False,
        max_length=NOTE_LENGTH,
        error_messages={"max_length": _("The note may have %(limit_value)d characters at most.")},
    )
    #: The form's own random text, against double submission.
    nonce = forms.CharField(required=False)
    platform = forms.CharField(required=False)

    def __init__(self, *args: object, fixed: Money | None, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # forms.Form's own signature
        self.fixed = fixed

    def clean_amount(self) -> Money:
        """The amount to pay."""
        if self.fixed is not None:
            return self.fixed
        return read_amount(self.cleaned_data["amount"])

    def clean_nonce(self) -> str:
        """The form's nonce; a form without a usable one counts as new each time."""
        nonce = str(self.cleaned_data["nonce"])
        return nonce if _NONCE.fullmatch(nonce) else new_token(20)

    def clean_note(self) -> str:
        """The note on one line, without control characters."""
        note = str(self.cleaned_data["note"])
        return " ".join("".join(c if c.isprintable() else " " for c in note).split())

    def clean_shown(self) -> str:
        """Refuses a price that changed between showing the page and pressing the button."""
        shown = str(self.cleaned_data["shown"])
        if self.fixed is not None and shown != str(self.fixed.minor):
            raise forms.ValidationError(
                _("The price has just been changed. Please look at it again before you pay."),
                code="changed",
            )
        return shown
