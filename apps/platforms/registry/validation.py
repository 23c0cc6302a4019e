"""Whether the entries of a connect form can be right at all, before a live check is tried."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.platforms.gateway import Credentials, NotSupported, Platform
from apps.platforms.registry.fields import ALIPAY_CERTIFICATES, credential_fields, replaced_fields
from apps.platforms.registry.shapes.alipay import alipay_shape
from apps.platforms.registry.shapes.shouqianba import shouqianba_shape
from apps.platforms.registry.shapes.unionpay import unionpay_shape
from apps.platforms.registry.shapes.wechatpay import wechatpay_shape


def validate_credentials_shape(
    platform: Platform | str, credentials: Credentials, *, connecting: bool = True
) -> dict[str, str]:
    """What is wrong with the entries as such, by field, in plain words; empty when a live check is worth trying.

    ``connecting``: what is asked for only once must be there.
    """
    values = {
        "app_id": credentials.app_id,
        "merchant_no": credentials.merchant_no,
        **credentials.keys,
    }
    values = {name: value.strip() for name, value in values.items()}
    known = Platform(platform)
    given = {name for name, value in values.items() if value}
    replaced = replaced_fields(known, given)
    together = set(ALIPAY_CERTIFICATES) if given & {*ALIPAY_CERTIFICATES} else set()
    wrong: dict[str, str] = {}
    for entry in credential_fields(known):
        optional = entry.name in replaced or (entry.once and not connecting)
        needed = entry.required or entry.name in together
        if needed and not optional and entry.name not in given:
            wrong[entry.name] = _("Please fill this in.")
    match known:
        case Platform.WECHATPAY:
            found = wechatpay_shape(values)
        case Platform.ALIPAY:
            found = alipay_shape(values)
        case Platform.UNIONPAY:
            found = unionpay_shape(values)
        case Platform.SHOUQIANBA:
            found = shouqianba_shape(values)
        case _:
            raise NotSupported(str(platform))
    return {**{name: words for name, words in found.items() if values.get(name)}, **wrong}
