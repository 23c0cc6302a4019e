"""Faults on demand. A fault is looked for where it would happen, and used up if it is counted."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.http import HttpResponse

from apps.simulator.models import Fault

#: All faults: key -> (meaning, default value). Every value may carry "path": only requests whose path
#: contains it are hit.
KEYS: dict[str, tuple[str, dict[str, Any]]] = {
    "slow": ("API answers after value.seconds", {"seconds": 3}),
    "lost_after_commit": (
        'API does the work, then answers 504 (value.mode "504") or breaks the connection ("drop")',
        {"mode": "504"},
    ),
    "http_500": ("API answers 500 system error and does nothing", {}),
    "rate_limited": ("API answers 429 and does nothing", {}),
    "wrong_signature": ("API answers are signed with a stranger's key", {}),
    "signtest": ("API answers and notices carry a WECHATPAY/SIGNTEST/ signature", {}),
    "not_enough": ("refunds are refused: merchant's balance too small", {}),
    "refund_abnormal": ("refunds end ABNORMAL instead of SUCCESS", {}),
    "refund_closed": ("refunds end CLOSED instead of SUCCESS", {}),
    "refund_slow": ("refunds finish after value.seconds; null for never", {"seconds": 3600}),
    "notify_off": ("no notices are made at all", {}),
    "notify_lost": ("a notice is made, recorded as dropped, never sent", {}),
    "notify_twice": ("a delivered notice is sent a second time at once", {}),
    "notify_early": ("the notice arrives before the caller has its answer", {}),
    "notify_late": ("first attempt only after value.seconds", {"seconds": 60}),
    "notify_out_of_order": ("the notice waits until a later one of its order was sent", {}),
    "notify_forged": ("notices are signed with a stranger's key", {}),
    "bill_late": ("bills are not ready, whatever the hour", {}),
    "bill_changed_columns": ("bills have one more column and another order", {}),
    "bill_off_by_fen": ("the first payment's amount is higher by value.fen", {"fen": 1}),
    "bill_missing_row": ("the first payment is missing from the bill", {}),
    "bill_extra_row": ("the bill has a payment that nobody made", {}),
}


#: Tells the server to break the connection instead of sending the body.
DROP_HEADER = "X-Simulator-Drop"


class UnknownFault(ValueError):
    """The key is not one of ``KEYS``."""


def add_fault(
    *, key: str, platform: str = "", value: dict[str, Any] | None = None, uses: int | None = None
) -> Fault:
    """Put a fault in force; ``uses`` None means until it is removed. Raises UnknownFault."""
    if key not in KEYS:
        raise UnknownFault(key)
    return Fault.objects.create(
        key=key, platform=platform, value={**KEYS[key][1], **(value or {})}, remaining=uses
    )


def remove_faults(*, fault_id: int | None = None, key: str = "", platform: str = "") -> int:
    """Lift faults: one by id, or all of a key and platform; without arguments, all. Returns how many."""
    faults = Fault.objects.all()
    if fault_id is not None:
        faults = faults.filter(pk=fault_id)
    if key:
        faults = faults.filter(key=key)
    if platform:
        faults = faults.filter(platform=platform)
    return faults.delete()[0]


def take(key: str, *, platform: str, path: str = "") -> dict[str, Any] | None:
    """The value of a fault that hits here, or None; one use of a counted fault is spent.

    ``path`` is the request's path, for faults limited to a path.
    """
    if key not in KEYS:
        raise UnknownFault(key)
    faults = Fault.objects.filter(key=key, platform__in=("", platform)).order_by("pk")
    for fault in faults:
        if fault.value.get("path", "") not in path:
            continue
        if fault.remaining is None:
            return dict(fault.value)
        with transaction.atomic():
            spent = Fault.objects.filter(pk=fault.pk, remaining__gt=0).update(
                remaining=F("remaining") - 1
            )
            Fault.objects.filter(pk=fault.pk, remaining__lte=0).delete()
        if spent:
            return dict(fault.value)
    return None


def lost_response(value: dict[str, Any]) -> HttpResponse:
    """What the caller sees in place of the answer that was lost on the way.

    Mode "504" is a gateway's page; with mode "drop" the server breaks the connection after the head of
    the answer, and the caller sees a protocol error.
    """
    if value.get("mode") == "drop":
        response = HttpResponse(b"", content_type="application/json")
        response["Content-Length"] = "4096"
        response[DROP_HEADER] = "1"
        return response
    return HttpResponse(
        b"<html><head><title>504 Gateway Time-out</title></head></html>",
        status=504,
        content_type="text/html",
    )
