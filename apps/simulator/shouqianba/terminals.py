"""Terminals: activation codes, activation, and the key that changes at every check-in (dossier 2.4)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.simulator import clock, faults
from apps.simulator.models import ActivationCode, Merchant, Platform, Terminal
from apps.simulator.shouqianba.errors import (
    BusinessRefusal,
    EnvelopeRefusal,
    invalid_params,
)
from apps.simulator.shouqianba.signing import Authorization, request_is_signed

CODE_LIFE = timedelta(days=7)


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def _new_key() -> str:
    return secrets.token_hex(16)


# --- activation -----------------------------------------------------------------------------------


def new_activation_code(*, merchant: Merchant, now: datetime, uses: int = 1) -> ActivationCode:
    """A code for the merchant's shop, good for seven days and so many devices. Raises ValueError for uses < 1."""
    if uses < 1:
        raise ValueError("uses must be a positive whole number")
    return ActivationCode.objects.create(
        merchant=merchant, code=_digits(8), uses_left=uses, expires_at=now + CODE_LIFE
    )


def newest_activation_code(merchant: Merchant) -> str:
    """The code that the console shows, whether or not it still has uses; "" if there is none."""
    code = ActivationCode.objects.filter(merchant=merchant).order_by("-pk").first()
    return code.code if code else ""


def vendor_of(authorization: Authorization, *, raw: bytes) -> Merchant:
    """The vendor that signs an activation. Raises EnvelopeRefusal (ILLEGAL_SIGN)."""
    merchant = Merchant.objects.filter(
        platform=Platform.SHOUQIANBA, config__vendor_sn=authorization.sn
    ).first()
    if merchant is None or not request_is_signed(
        raw, key=str(merchant.config["vendor_key"]), sign=authorization.sign
    ):
        raise EnvelopeRefusal("ILLEGAL_SIGN")
    return merchant


def activate(*, vendor: Merchant, values: dict[str, str], now: datetime) -> Terminal:
    """Spend one use of the activation code on a device. Raises EnvelopeRefusal.

    A device that is activated again keeps its number and gets a new key. The documentation also says that it is
    refused: the fault duplicate_device does that.
    """
    if values["app_id"] != vendor.app_id:
        raise invalid_params("app_id不存在")
    with transaction.atomic():
        code = ActivationCode.objects.filter(merchant=vendor, code=values["code"]).first()
        if code is None:
            raise invalid_params("激活码不存在")
        if code.expires_at <= now:
            raise invalid_params("激活码已过期")
        device = values["device_id"]
        known = Terminal.objects.filter(merchant=vendor, device_id=device).first()
        refused = known and faults.take("duplicate_device", platform=vendor.platform) is not None
        if refused:
            raise invalid_params("设备号重复")
        spent = ActivationCode.objects.filter(pk=code.pk, uses_left__gt=0).update(
            uses_left=F("uses_left") - 1
        )
        if not spent:
            raise invalid_params("激活码已经被使用")
        if known is not None:
            known.current_key, known.previous_key = _new_key(), ""
            known.name = values["name"] or known.name
            known.checked_in_at = now
            known.save()
            return known
        return Terminal.objects.create(
            merchant=vendor,
            device_id=device,
            terminal_sn=f"1001{_digits(14)}",
            current_key=_new_key(),
            name=values["name"],
            activated_at=now,
            checked_in_at=now,
        )


# --- keys -----------------------------------------------------------------------------------------


def authenticate(authorization: Authorization, *, raw: bytes, path: str, now: datetime) -> Terminal:
    """The terminal that signed a payment call with its key of today. Raises EnvelopeRefusal.

    From now on its previous key is dead: the new one has arrived. The fault key_revoked kills both.
    """
    terminal = by_sn(authorization.sn)
    revoke_by_fault(terminal, path=path)
    if not request_is_signed(raw, key=terminal.current_key, sign=authorization.sign):
        raise EnvelopeRefusal("ILLEGAL_SIGN")
    if is_stale(terminal, now=now):
        raise EnvelopeRefusal("ILLEGAL_SIGN", "签名错误，终端密钥已过期，请签到")
    Terminal.objects.filter(pk=terminal.pk, current_key=terminal.current_key).exclude(
        previous_key=""
    ).update(previous_key="")
    return terminal


def by_sn(terminal_sn: str) -> Terminal:
    """The terminal of that number. Raises EnvelopeRefusal (INVALID_TERMINAL)."""
    terminal = Terminal.objects.select_related("merchant").filter(terminal_sn=terminal_sn).first()
    if terminal is None:
        raise EnvelopeRefusal("INVALID_TERMINAL", "不存在这个终端")
    return terminal


def is_stale(terminal: Terminal, *, now: datetime) -> bool:
    """Whether the key is of an earlier calendar day (Beijing): then it only checks in."""
    if not settings.SIMULATOR_TERMINAL_KEYS_EXPIRE:
        return False
    return clock.beijing_date(terminal.checked_in_at) < clock.beijing_date(now)


def revoke_by_fault(terminal: Terminal, *, path: str) -> None:
    """Under the fault key_revoked, take the terminal's keys away for good: only a new activation helps."""
    if faults.take("key_revoked", platform=Platform.SHOUQIANBA, path=path) is not None:
        Terminal.objects.filter(pk=terminal.pk).update(current_key="", previous_key="")
        terminal.current_key = terminal.previous_key = ""


def check_named(terminal: Terminal, named: object) -> None:
    """The body must name the terminal that signs; an absent name is for the field check to refuse.

    Raises BusinessRefusal (no such terminal) or EnvelopeRefusal (another one).
    """
    if not isinstance(named, str) or named in ("", terminal.terminal_sn):
        return
    if not Terminal.objects.filter(terminal_sn=named).exists():
        raise BusinessRefusal("UPAY_TERMINAL_NOT_EXISTS")
    raise EnvelopeRefusal("INVALID_TERMINAL", "terminal_sn与签名的终端不一致")


def check_key(terminal: Terminal, *, authorization: Authorization, raw: bytes) -> None:
    """Whether either key signed a check-in, before anything in it is read. Raises EnvelopeRefusal (ILLEGAL_SIGN)."""
    if not any(
        request_is_signed(raw, key=key, sign=authorization.sign)
        for key in (terminal.current_key, terminal.previous_key)
    ):
        raise EnvelopeRefusal("ILLEGAL_SIGN")


def check_in(
    *, terminal: Terminal, authorization: Authorization, raw: bytes, now: datetime
) -> Terminal:
    """Give the terminal a new key. Raises EnvelopeRefusal (ILLEGAL_SIGN).

    The current key checks in and stays good for one more check-in, in case this answer is lost. The previous key
    does so once: two lost answers in a row leave the terminal with no key that works.
    """
    with transaction.atomic():
        fresh = Terminal.objects.get(pk=terminal.pk)
        current, previous = fresh.current_key, fresh.previous_key
        if request_is_signed(raw, key=current, sign=authorization.sign):
            kept = current
        elif request_is_signed(raw, key=previous, sign=authorization.sign):
            kept = ""
        else:
            raise EnvelopeRefusal("ILLEGAL_SIGN")
        fresh.previous_key = kept
        fresh.current_key = _new_key()
        fresh.checked_in_at = now
        fresh.save(update_fields=["previous_key", "current_key", "checked_in_at"])
    return fresh
