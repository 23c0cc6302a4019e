"""What people fill in to connect or change an account, and to filter notifications."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.names import named
from apps.merchants.models import Store
from apps.platforms import registry
from apps.platforms.gateway import Credentials, Platform
from apps.platforms.models import NotificationState, PlatformAccount, PlatformChoice, Verdict

#: Inputs that stand in columns of their own; every other credential is a key.
_NUMBERS = ("merchant_no", "app_id")
_PPM_PER_PERCENT = 10_000


class _Unshown(forms.Textarea):
    """A text area that never gives back what was typed into it."""

    @override
    def format_value(self, value: Any) -> str | None:
        return None


def _input(field: registry.CredentialField, *, stored: bool) -> forms.Widget:
    attrs: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
    # A placeholder is also what the style sheet tells an empty text area by.
    attrs["placeholder"] = _("Stored. Leave empty to keep it.") if stored else " "
    if field.multiline:
        attrs |= {"rows": 5, "class": "key-input is-secret" if field.secret else "key-input"}
        return _Unshown(attrs) if field.secret else forms.Textarea(attrs)
    if field.secret:
        return forms.PasswordInput(attrs | {"autocomplete": "new-password"}, render_value=False)
    return forms.TextInput(attrs)


class AccountForm(forms.Form):
    """An account of one platform: new, or (with ``account``) a change of one whose keys stay unless given anew.

    ``chosen`` are the stores served so far, ``stored`` the names of the keys that are held.
    """

    label = forms.CharField(
        label=_("Name of the account"),
        max_length=60,
    )
    fee_rate = forms.DecimalField(
        label=_("Fee rate in percent"),
        min_value=Decimal(0),
        max_value=Decimal(100),
        max_digits=7,
        decimal_places=4,
        initial=Decimal("0.6"),
        help_text=_("What the platform charges by your contract. Bills are checked against it."),
    )
    serves = forms.ChoiceField(
        label=_("Stores"),
        choices=[("all", _("All stores, also later ones")), ("chosen", _("Only these stores"))],
        widget=forms.RadioSelect,
        initial="all",
    )
    store_ids = forms.TypedMultipleChoiceField(
        label=_("Chosen stores"),
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    unchecked = forms.BooleanField(
        label=_("Store it anyway, unchecked"),
        required=False,
        help_text=_(
            "Payments may fail until the credentials have been checked. Check them later on the account's page."
        ),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        platform: Platform,
        stores: Sequence[Store],
        account: PlatformAccount | None = None,
        chosen: Sequence[int] = (),
        stored: Collection[str] = (),
    ) -> None:
        initial: dict[str, Any] = {}
        if account is not None:
            initial = {
                "label": account.label,
                "fee_rate": percent(account.fee_rate_ppm),
                "serves": "all" if account.all_stores else "chosen",
                "store_ids": list(chosen),
            }
        super().__init__(data, initial=initial)
        self.account = account
        self.platform = platform
        self.fields["label"].help_text = gettext(
            "For your own eyes, such as “Main shop, %(platform)s”. Customers do not see it."
        ) % {"platform": PlatformChoice(platform.value).label}
        #: Set by the view when the platform did not answer: only then is the way around the check offered.
        self.offer_unchecked = False
        self._keys: list[str] = []
        replaced = _replaced(platform, data or {})
        for field in registry.credential_fields(platform):
            is_key = field.name not in _NUMBERS
            if not is_key and account is not None:
                # What was paid under them stays theirs; another app is another account.
                continue
            may_stay = account is not None and is_key
            self.fields[field.name] = forms.CharField(
                label=cast(str, field.label),
                help_text=cast(str, field.help),
                required=field.required and not may_stay and field.name not in replaced,
                max_length=20_000 if field.multiline else 200,
                widget=_input(field, stored=field.name in stored),
            )
            if is_key:
                self._keys.append(field.name)
        choices = cast(forms.TypedMultipleChoiceField, self.fields["store_ids"])
        choices.choices = [(store.pk, named(store)) for store in stores]

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("serves") == "chosen" and not cleaned.get("store_ids"):
            self.add_error("store_ids", _("Choose at least one store, or all stores."))
        if self.account is None and self.errors:
            # The service looks at the shapes as well; here they are said together with what else is missing.
            typed = {name: str(cleaned.get(name, "")) for name in [*_NUMBERS, *self._keys]}
            numbers = {name: typed.pop(name) for name in _NUMBERS}
            wrong = registry.validate_credentials_shape(
                self.platform, Credentials(**numbers, keys=typed)
            )
            self.refuse({name: words for name, words in wrong.items() if name not in self.errors})
        return cleaned

    def numbers(self) -> list[BoundField]:
        """The inputs for the platform's numbers."""
        return [self[name] for name in _NUMBERS if name in self.fields]

    def keys(self) -> list[BoundField]:
        """The inputs for keys and certificates."""
        return [self[name] for name in self._keys]

    def key_values(self) -> dict[str, str]:
        """What was typed for keys; empty ones left out."""
        return {name: self.cleaned_data[name] for name in self._keys if self.cleaned_data[name]}

    def credentials(self) -> Credentials:
        """The credentials of a new account."""
        return Credentials(
            app_id=self.cleaned_data["app_id"],
            merchant_no=self.cleaned_data["merchant_no"],
            keys=self.key_values(),
        )

    def terms(self) -> dict[str, Any]:
        """What both services take besides credentials."""
        all_stores = self.cleaned_data["serves"] == "all"
        return {
            "label": self.cleaned_data["label"],
            "fee_rate_ppm": int(self.cleaned_data["fee_rate"] * _PPM_PER_PERCENT),
            "all_stores": all_stores,
            "store_ids": [] if all_stores else self.cleaned_data["store_ids"],
            "unchecked": self.cleaned_data["unchecked"],
        }

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Put a service's refusals at the inputs they are about."""
        for name, message in errors.items():
            self.add_error(name if name in self.fields else None, message)


def _replaced(platform: Platform, data: Mapping[str, Any]) -> frozenset[str]:
    """The entries that something else stands in for: a platform certificate for WeChat Pay's public key."""
    if platform is Platform.WECHATPAY and str(data.get("platform_certificates", "")).strip():
        return frozenset({"public_key", "public_key_id"})
    return frozenset()


def percent(rate_ppm: int) -> str:
    """Millionths as percent without needless zeros: 6000 is ``0.6``."""
    text = format(Decimal(rate_ppm) / _PPM_PER_PERCENT, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class NotificationFilterForm(forms.Form):
    """The filter bar of the notifications; its state is the address."""

    account = forms.TypedChoiceField(
        label=_("Account"), required=False, coerce=int, empty_value=None
    )
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[("", _("Any")), *NotificationState.choices],
    )
    verdict = forms.ChoiceField(
        label=_("Signature"), required=False, choices=[("", _("Any")), *Verdict.choices]
    )
    order_no = forms.CharField(label=_("Payment number"), required=False, max_length=64)

    def __init__(
        self, data: Mapping[str, Any] | None, *, accounts: Sequence[PlatformAccount]
    ) -> None:
        super().__init__(data)
        field = cast(forms.TypedChoiceField, self.fields["account"])
        field.choices = [("", _("All")), *((row.pk, row.label) for row in accounts)]
        for name in ("account", "state", "verdict"):
            self.fields[name].widget.attrs["data-autosubmit"] = True
