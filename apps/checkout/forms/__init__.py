"""What is typed where money is taken: by payers, by cashiers, and about terminals."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.core import signing
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.checkout.selectors import Price
from apps.core.doors import new_token
from apps.core.fields import YuanField
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money
from apps.core.names import named
from apps.merchants.models import Store, Terminal
from apps.qrcodes.models import CodeVersion, NoteMode

NOTE_LENGTH = 60
NOT_AN_AMOUNT = _("This is not an amount. Write it in figures, such as 12.50.")
#: What a Chinese keyboard gives in place of plain digits and signs.
_PLAIN = str.maketrans("０１２３４５６７８９．。＋－−￥", "0123456789..+--¥")
#: Signs that people write around an amount; they say nothing about it.
_AROUND = re.compile(r"^[¥\s]+|[元圆\s]+$")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
#: What stands on devices as their serial number, once its blanks are gone.
_SERIAL = re.compile(r"[0-9A-Z._/-]*")
PRICE_CHANGED = _("The price has just been changed. Please look at it again before you pay.")
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


def _offer(stores: Sequence[Store], field: forms.Field) -> None:
    """Let one of these stores be chosen; a single one is not asked about."""
    choice = cast("forms.ChoiceField", field)
    choice.choices = [(row.pk, named(row)) for row in stores]
    if len(stores) == 1:
        choice.widget = forms.HiddenInput()
        choice.initial = stores[0].pk


def one_line(text: str) -> str:
    """Text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


#: Binds an explicit confirmation to what was confirmed.
_CONFIRMED = "checkout.confirmed"


class PayForm(forms.Form):
    """The form behind a code. A price that the code sets is not asked, but what was shown must still hold."""

    amount = forms.CharField(
        required=False, max_length=40, error_messages={"max_length": NOT_AN_AMOUNT}
    )
    #: The fixed price in fen that the payer saw.
    shown = forms.CharField(required=False, max_length=20)
    #: The price chosen from a list, by its key.
    choice = forms.CharField(required=False, max_length=40)
    note = forms.CharField(
        required=False,
        max_length=NOTE_LENGTH,
        error_messages={"max_length": _("The note may have %(limit_value)d characters at most.")},
    )
    #: The form's own random text, against double submission.
    nonce = forms.CharField(required=False)
    wallet = forms.CharField(required=False)
    #: What ``confirmation`` gave for what was shown large.
    confirmed = forms.CharField(required=False, max_length=300)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        version: CodeVersion,
        fixed: Money | None,
        prices: Sequence[Price],
    ) -> None:
        super().__init__(data)
        self.version = version
        self.fixed = fixed
        self.prices = prices

    def clean_amount(self) -> Money | None:
        """The amount that the payer typed, within the code's limits of one payment; None where it is not asked."""
        if self.fixed is not None or self.prices:
            return None
        amount = read_amount(self.cleaned_data["amount"])
        least, most = self.version.least_minor, self.version.most_minor
        if least is not None and amount.minor < least:
            raise forms.ValidationError(
                gettext("Here one payment is at least %(amount)s.")
                % {"amount": Money(least, amount.currency).display()},
                code="too_little",
            )
        if most is not None and amount.minor > most:
            raise forms.ValidationError(
                gettext("Here one payment is at most %(amount)s. Please pay the rest in the shop.")
                % {"amount": Money(most, amount.currency).display()},
                code="above_most",
            )
        return amount

    def clean_nonce(self) -> str:
        """The form's nonce; a form without a usable one counts as new each time."""
        nonce = str(self.cleaned_data["nonce"])
        return nonce if _NONCE.fullmatch(nonce) else new_token(20)

    def clean_note(self) -> str:
        """The note on one line, without control characters; "" where none is asked for."""
        if self.version.note_mode == NoteMode.NONE:
            return ""
        note = one_line(str(self.cleaned_data["note"]))
        if not note and self.version.note_mode == NoteMode.REQUIRED:
            raise forms.ValidationError(
                _("The shop needs this. Please fill it in."), code="missing"
            )
        return note

    def clean_shown(self) -> str:
        """Refuses a price that changed between showing the page and pressing the button."""
        shown = str(self.cleaned_data["shown"])
        if self.fixed is not None and shown != str(self.fixed.minor):
            raise forms.ValidationError(PRICE_CHANGED, code="changed")
        return shown

    def clean_choice(self) -> Money | None:
        """The price chosen; None where there is no list."""
        if not self.prices:
            return None
        key = str(self.cleaned_data["choice"])
        if not key:
            raise forms.ValidationError(_("Please choose what you pay for."), code="missing")
        for price in self.prices:
            if price.key == key:
                return price.money
        raise forms.ValidationError(PRICE_CHANGED, code="changed")

    @property
    def money(self) -> Money:
        """What a valid form pays."""
        cleaned = self.cleaned_data
        money = self.fixed or cleaned.get("choice") or cleaned.get("amount")
        if not isinstance(money, Money):
            raise TypeError("the form is not valid")
        return money

    def confirmation(self) -> str:
        """A signed text that says: this amount by this form. ``is_confirmed`` takes no other."""
        return signing.dumps(
            [self.version.code_id, self.money.minor, self.cleaned_data["nonce"]], salt=_CONFIRMED
        )

    @property
    def is_confirmed(self) -> bool:
        """Whether the payer confirmed just this amount by just this form."""
        try:
            said = signing.loads(self.cleaned_data["confirmed"], salt=_CONFIRMED)
        except signing.BadSignature:
            return False
        return bool(said == [self.version.code_id, self.money.minor, self.cleaned_data["nonce"]])


class CheckoutForm(forms.Form):
    """From which amount on a payer looks once more."""

    confirms = forms.ChoiceField(
        label=_("Confirmation of large amounts"),
        choices=[
            ("over", _("The customer confirms shop and amount above a limit")),
            ("never", _("No confirmation")),
        ],
        widget=forms.RadioSelect,
    )
    confirm_over = YuanField(
        label=_("Above, in yuan"),
        help_text=_(
            "With 0.00 every payment is confirmed. It guards customers against a slip of the finger."
        ),
        required=False,
    )

    @override
    def clean(self) -> dict[str, Any]:
        """An amount where there is a limit, None where there is none."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("confirms") == "never":
            cleaned["confirm_over"] = None
            self.errors.pop("confirm_over", None)
        elif cleaned.get("confirm_over") is None and "confirm_over" not in self.errors:
            self.add_error("confirm_over", gettext("Enter an amount; 0.00 is possible."))
        return cleaned


class OnceInput(forms.TextInput):
    """A field that is empty again when the form comes back."""

    @override
    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class TillForm(forms.Form):
    """What a cashier fills in: the amount, and the code on the customer's phone."""

    # The store may be hidden, and an empty code is said in words of ours.
    use_required_attribute = False

    store = forms.TypedChoiceField(
        label=_("Store"),
        coerce=int,
        error_messages={"invalid_choice": _("Choose one of your open stores.")},
    )
    terminal = forms.TypedChoiceField(
        label=_("Terminal"),
        coerce=int,
        empty_value=None,
        required=False,
        error_messages={"invalid_choice": _("Choose a terminal that is in use.")},
    )
    amount = forms.CharField(
        label=_("Amount"),
        required=False,
        max_length=40,
        error_messages={"max_length": NOT_AN_AMOUNT},
        widget=forms.TextInput(
            attrs={
                "inputmode": "decimal",
                "autocomplete": "off",
                "enterkeyhint": "next",
                "placeholder": "0.00",
                "data-till-amount": True,
            }
        ),
    )
    note = forms.CharField(
        label=_("Remark"),
        required=False,
        max_length=NOTE_LENGTH,
        error_messages={"max_length": _("The note may have %(limit_value)d characters at most.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    #: Never shown again: a code is good for one try.
    code = forms.CharField(
        label=_("Customer's code"),
        required=False,
        max_length=100,
        help_text=_("Scan it, or type the digits under the bars."),
        error_messages={
            "max_length": _("This is no payment code. Scan the code in the customer's wallet.")
        },
        widget=OnceInput(
            attrs={
                "inputmode": "numeric",
                "autocomplete": "off",
                "enterkeyhint": "go",
                "data-till-code": True,
            },
        ),
    )
    #: The form's own random text, against double submission.
    nonce = forms.CharField(required=False, widget=forms.HiddenInput)
    #: The amount in fen that the cashier was asked about because it is unusually large, and said yes to.
    large = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    #: The amount in fen about which the shop's risk rules made the till ask, and the cashier said yes.
    sure = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    #: The order whose code did not work, when this is another try.
    after = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        terminals: Sequence[Terminal],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        _offer(stores, self.fields["store"])
        groups: dict[str, list[tuple[Any, Any]]] = {}
        for terminal in terminals:
            groups.setdefault(named(terminal.store), []).append((terminal.pk, terminal.name))
        several = list(groups.items()) if len(stores) > 1 else next(iter(groups.values()), [])
        terminal_field = cast("forms.ChoiceField", self.fields["terminal"])
        terminal_field.choices = [("", _("None")), *several]
        if not terminals:
            terminal_field.widget = forms.HiddenInput()

    def clean_amount(self) -> Money:
        """The amount to take."""
        return read_amount(self.cleaned_data["amount"])

    @property
    def is_meant(self) -> bool:
        """Whether the cashier said yes to this very amount though it is large; of a form that is valid."""
        return bool(self.cleaned_data["large"] == self.cleaned_data["amount"].minor)

    def clean_note(self) -> str:
        """The note on one line."""
        return one_line(str(self.cleaned_data["note"]))

    def clean_nonce(self) -> str:
        """The form's nonce; a form without a usable one counts as new each time."""
        nonce = str(self.cleaned_data["nonce"])
        return nonce if _NONCE.fullmatch(nonce) else new_token(20)


class TerminalForm(forms.Form):
    """A device: where it stands, what it is, how it is told from others."""

    store = forms.TypedChoiceField(label=_("Store"), coerce=int)
    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        help_text=_("As your people call it, such as “Till 1” or “Bar”."),
    )
    brand = forms.CharField(
        label=_("Brand"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"list": "brands", "autocomplete": "off"}),
    )
    model_name = forms.CharField(label=_("Model"), max_length=40, required=False)
    serial_no = forms.CharField(
        label=_("Serial number"),
        max_length=64,
        required=False,
        help_text=_("On the sticker at its back, often after SN. Support asks for it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    note = forms.CharField(label=_("Remark"), max_length=160, required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        _offer(stores, self.fields["store"])

    @override
    def clean(self) -> dict[str, Any]:
        """Every text on one line; a serial number without blanks."""
        cleaned = super().clean() or self.cleaned_data
        for name in ("name", "brand", "model_name", "note"):
            if name in cleaned:
                cleaned[name] = one_line(cleaned[name])
        # A Chinese keyboard may give letters and digits of full width.
        serial_no = unicodedata.normalize("NFKC", str(cleaned.get("serial_no", "")))
        cleaned["serial_no"] = "".join(serial_no.split()).upper()
        if _SERIAL.fullmatch(cleaned["serial_no"]) is None:
            self.add_error(
                "serial_no",
                _(
                    "A serial number has only letters, digits and the signs - _ . / in it. Copy it from the sticker."
                ),
            )
        if cleaned.get("name") == "":
            self.add_error("name", _("Give the terminal a name."))
        return cleaned


class ActivationForm(forms.Form):
    """The code by which a platform makes a terminal of a device."""

    code = forms.CharField(
        label=_("Activation code"),
        max_length=40,
        help_text=_(
            "From the platform's console, under terminals. A code is good for one terminal and a few days."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
