"""What people fill in to connect or change an account, and to filter notifications."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.forms.boundfield import BoundField
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.names import named
from apps.merchants.models import Store
from apps.platforms import registry, wording
from apps.platforms.agreement_wording import percent
from apps.platforms.gateway import Capability, Credentials, Platform
from apps.platforms.models import NotificationState, PlatformAccount, PlatformChoice, Verdict
from apps.platforms.selectors import TOO_OLD
from apps.platforms.services.accounts import PRODUCTS

#: Inputs that stand in columns of their own; every other credential is a key.
_NUMBERS = ("merchant_no", "app_id")
_PPM_PER_PERCENT = 10_000
#: The most that a key or certificate may have, as text and as a file.
_MAX_KEY = 20_000


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


def _file_of(name: str) -> str:
    """The input by which a key comes as a file."""
    return f"{name}_file"


def _as_text(content: bytes) -> str:
    """A key file as it would be pasted: as it is where it is text, else as base64."""
    if content.isascii() or b"-----BEGIN" in content:
        return content.decode("utf-8", errors="replace").strip()
    return base64.b64encode(content).decode("ascii")


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
        files: MultiValueDict[str, UploadedFile[Any]] | None = None,
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
            initial |= {name: getattr(account, name) for name in PRODUCTS}
        super().__init__(data, files, initial=initial)
        self.account = account
        self.platform = platform
        self.fields["label"].help_text = gettext(
            "For your own eyes, such as “Main shop, %(platform)s”. Customers do not see it."
        ) % {"platform": PlatformChoice(platform.value).label}
        #: Set by the view when the platform did not answer: only then is the way around the check offered.
        self.offer_unchecked = False
        self._keys: list[str] = []
        self._products = _products_of(platform)
        self.fields.update(self._products)
        replaced = _replaced(platform, data or {}, files or {})
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
                max_length=_MAX_KEY if field.multiline else 200,
                widget=_input(field, stored=field.name in stored),
            )
            if field.file:
                self.fields[_file_of(field.name)] = forms.FileField(
                    label=gettext("%(what)s, as a file") % {"what": field.label},
                    required=False,
                    allow_empty_file=True,
                    widget=forms.FileInput(attrs={"accept": field.file}),
                )
            if is_key:
                self._keys.append(field.name)
        choices = cast(forms.TypedMultipleChoiceField, self.fields["store_ids"])
        choices.choices = [(store.pk, named(store)) for store in stores]

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in self._keys:
            file = cleaned.get(_file_of(name))
            if file is not None:
                self._take_file(name, file)
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

    def _take_file(self, name: str, file: UploadedFile[Any]) -> None:
        """Let a chosen file stand for what would be pasted."""
        content = file.read(_MAX_KEY * 3 // 4 + 1)
        if not content or len(content) > _MAX_KEY * 3 // 4:
            self.add_error(name, _("This file holds no key or certificate."))
        else:
            self.cleaned_data[name] = _as_text(content)

    def numbers(self) -> list[BoundField]:
        """The inputs for the platform's numbers."""
        return [self[name] for name in _NUMBERS if name in self.fields]

    def keys(self) -> list[tuple[str, list[BoundField]]]:
        """The inputs for keys and certificates, by the way of signing that they belong to; "" for those of every way."""
        found: list[tuple[str, list[BoundField]]] = []
        for field in registry.credential_fields(self.platform):
            if field.name not in self._keys:
                continue
            heading = str(field.way or "")
            if not found or found[-1][0] != heading:
                found.append((heading, []))
            shown = (field.name, _file_of(field.name))
            found[-1][1].extend(self[name] for name in shown if name in self.fields)
        return found

    def products(self) -> list[BoundField]:
        """The inputs for what the platform switches on by contract."""
        return [self[name] for name in self._products]

    def key_values(self) -> dict[str, str]:
        """What was typed for keys; empty ones left out."""
        return {name: self.cleaned_data[name] for name in self._keys if self.cleaned_data[name]}

    def credentials(self) -> Credentials:
        """The credentials of a new account."""
        return Credentials(
            app_id=self.cleaned_data.get("app_id", ""),
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
            **{name: self.cleaned_data[name] for name in self._products},
        }

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Put a service's refusals at the inputs they are about."""
        for name, message in errors.items():
            self.add_error(name if name in self.fields else None, message)


def _products_of(platform: Platform) -> dict[str, forms.Field]:
    """The switches that make sense for a platform."""
    able = registry.capabilities_of(platform)
    found: dict[str, forms.Field] = {}
    if Capability.BARCODE in able:
        found["takes_barcodes"] = forms.BooleanField(
            label=_("Scan customers' payment codes through this account"),
            required=False,
            initial=True,
            help_text=_(
                "The cashier scans the code on the customer's phone. Switch it off where your contract does not include it: the next account in the order of preference is then asked."
            ),
        )
    if platform is Platform.WECHATPAY:
        found["takes_h5"] = forms.BooleanField(
            label=_("Offer WeChat in phone browsers (H5 payment)"),
            required=False,
            help_text=_(
                "Customers who open the code with their phone's camera can then go on to WeChat. Apply for it first on the merchant platform under Product center, H5 payment, with this site's domain; individual and very small businesses cannot get it."
            ),
        )
    if platform is Platform.UNIONPAY:
        found["cancels_same_day"] = forms.BooleanField(
            label=_("Send refunds of the same day as a cancellation"),
            required=False,
            help_text=_(
                "Refunds of a whole payment on its own settlement day (23:00 to 23:00) are back with the customer at once or on the next day instead of after up to 10 days. Ask your acquirer whether your contract has it; a few banks do not."
            ),
        )
    return found


def _replaced(
    platform: Platform, data: Mapping[str, Any], files: Mapping[str, Any]
) -> frozenset[str]:
    """The entries that something else stands in for: a file, or entries of another way to sign."""
    as_files = {name.removesuffix("_file") for name in files}
    names = {field.name for field in registry.credential_fields(platform)}
    typed = {name for name in names if str(data.get(name, "")).strip()}
    return registry.replaced_fields(platform, typed | as_files) | as_files


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
        label=_("Signature"),
        required=False,
        choices=[("", _("Any")), *Verdict.choices, (TOO_OLD, wording.TOO_OLD)],
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
