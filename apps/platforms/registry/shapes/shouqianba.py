"""What can be wrong with the entries for Shouqianba."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _

from apps.platforms import rsa
from apps.platforms.registry.fields import ACTIVATION_CODE
from apps.platforms.registry.shapes.words import key_words


def shouqianba_shape(values: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the entries, by field; also with those that are empty."""
    wrong: dict[str, str] = {}
    for name in ("merchant_no", "app_id", "vendor_sn"):
        if not re.fullmatch(r"[0-9A-Za-z_-]{4,40}", values.get(name, "")):
            wrong[name] = _("This has letters and digits only, no blanks; at least four.")
    if not re.fullmatch(r"[!-~]{8,128}", values.get("vendor_key", "")):
        wrong["vendor_key"] = _("A vendor key is one word of letters and digits, without blanks.")
    if not re.fullmatch(r"[0-9A-Za-z-]{4,40}", values.get(ACTIVATION_CODE, "")):
        wrong[ACTIVATION_CODE] = _("An activation code has letters and digits only, no blanks.")
    try:
        rsa.load_public_key(values.get("public_key", ""))
    except rsa.UnusableKey as error:
        wrong["public_key"] = key_words(error.reason)
    return wrong
