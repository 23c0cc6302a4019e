"""POST /terminal/activate and /terminal/checkin (dossier 2.4). Their answers have no ``data`` wrapper."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.simulator import faults
from apps.simulator.models import Platform, Terminal
from apps.simulator.shouqianba import fields, terminals
from apps.simulator.shouqianba.endpoint import AnswerLost, SignedBy, json_body, signed
from apps.simulator.shouqianba.errors import EnvelopeRefusal


def _keys(terminal: Terminal) -> dict[str, Any]:
    return {"terminal_sn": terminal.terminal_sn, "terminal_key": terminal.current_key}


@signed
def activate(request: HttpRequest, by: SignedBy) -> dict[str, Any]:
    """Signed by the vendor: an activation code and a device become a terminal."""
    vendor = terminals.vendor_of(by.authorization, raw=by.raw)
    values = fields.read(json_body(request), fields.ACTIVATE)
    return _keys(terminals.activate(vendor=vendor, values=values, now=by.now))


@signed
def check_in(request: HttpRequest, by: SignedBy) -> dict[str, Any]:
    """Signed by the terminal: today's key. The fault checkin_lost changes the key and loses the answer."""
    terminal = terminals.by_sn(by.authorization.sn)
    terminals.revoke_by_fault(terminal, path=by.path)
    terminals.check_key(terminal, authorization=by.authorization, raw=by.raw)
    body = json_body(request)
    terminals.check_named(terminal, body.get("terminal_sn"))
    values = fields.read(body, fields.CHECK_IN)
    if values["device_id"] != terminal.device_id:
        raise EnvelopeRefusal("INVALID_TERMINAL", "终端错误，设备号与激活时不一致")
    fresh = terminals.check_in(
        terminal=terminal, authorization=by.authorization, raw=by.raw, now=by.now
    )
    lost = faults.take("checkin_lost", platform=Platform.SHOUQIANBA, path=by.path)
    if lost is not None:
        raise AnswerLost(lost)
    return _keys(fresh)
