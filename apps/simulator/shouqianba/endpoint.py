"""What every Web API endpoint does around its own work: the signature, the envelope, the faults."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps.simulator import clock, faults
from apps.simulator.models import Merchant, Platform, Terminal
from apps.simulator.shouqianba import signing, terminals
from apps.simulator.shouqianba.errors import (
    BusinessRefusal,
    EnvelopeRefusal,
    biz,
    invalid_params,
)

SHOUQIANBA = Platform.SHOUQIANBA


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call by a terminal whose signature was verified. ``now`` is simulated time."""

    merchant: Merchant
    terminal: Terminal
    body: dict[str, Any]
    path: str
    now: datetime

    def fault(self, key: str) -> dict[str, Any] | None:
        """The value of a fault that hits this call, or None; spends one use."""
        return faults.take(key, platform=SHOUQIANBA, path=self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBy:
    """A request as it came in, with the number and the signature of its header."""

    authorization: signing.Authorization
    raw: bytes
    path: str
    now: datetime


class AnswerLost(Exception):
    """The work is done, but this answer never arrives."""

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__("lost")
        self.value = value


Inner = Callable[[HttpRequest, SignedBy], dict[str, Any]]


def signed(inner: Inner) -> Callable[[HttpRequest], HttpResponse]:
    """Make an endpoint of a function that checks the signature itself and returns a ``biz_response``.

    Faults: http_500, rate_limited, slow, lost_after_commit. Refusals are answered in their envelopes, with HTTP 200
    as in the documentation's examples (the status under errors is UNVERIFIED).
    """

    @csrf_exempt
    @functools.wraps(inner)
    def view(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponse(b"", status=405)
        path = request.path
        broken = faults.take("http_500", platform=SHOUQIANBA, path=path)
        if broken is not None:
            refusal = EnvelopeRefusal("UNKNOWN_SYSTEM_ERROR", result_code="500")
            return _respond(refusal.envelope, status=int(broken.get("http_status", 500)))
        if faults.take("rate_limited", platform=SHOUQIANBA, path=path) is not None:
            return HttpResponse(
                b"<html><head><title>429 Too Many Requests</title></head></html>",
                status=429,
                content_type="text/html",
            )
        try:
            answer = inner(request, _signed_by(request))
            envelope: dict[str, Any] = {"result_code": "200", "biz_response": answer}
        except EnvelopeRefusal as refusal:
            envelope = refusal.envelope
        except BusinessRefusal as refusal:
            envelope = {"result_code": "200", "biz_response": refusal.biz}
        except AnswerLost as gone:
            return faults.lost_response(gone.value)
        slow = faults.take("slow", platform=SHOUQIANBA, path=path)
        if slow is not None:
            time.sleep(float(slow["seconds"]))
        lost = faults.take("lost_after_commit", platform=SHOUQIANBA, path=path)
        return faults.lost_response(lost) if lost is not None else _respond(envelope)

    return view


def _signed_by(request: HttpRequest) -> SignedBy:
    authorization = signing.parse_authorization(request.headers.get("Authorization", ""))
    if authorization is None:
        raise EnvelopeRefusal("ILLEGAL_SIGN", "签名错误，请求头Authorization格式为：sn 空格 sign")
    return SignedBy(
        authorization=authorization, raw=request.body, path=request.path, now=clock.now()
    )


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The request's JSON object. Raises EnvelopeRefusal (INVALID_PARAMS)."""
    if request.content_type != "application/json":
        raise invalid_params("Content-Type应为application/json")
    try:
        body = json.loads(request.body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise invalid_params("请求体不是合法的JSON") from None
    if not isinstance(body, dict):
        raise invalid_params("请求体应为JSON对象")
    return body


def api(action: Callable[[Call], dict[str, Any]]) -> Callable[[HttpRequest], HttpResponse]:
    """Make a payment endpoint, called by a terminal with its key of today.

    The fault biz_refused answers the business result and error code of its value, with nothing done.
    """

    @functools.wraps(action)
    def inner(request: HttpRequest, by: SignedBy) -> dict[str, Any]:
        terminal = terminals.authenticate(by.authorization, raw=by.raw, path=by.path, now=by.now)
        body = json_body(request)
        terminals.check_named(terminal, body.get("terminal_sn"))
        call = Call(
            merchant=terminal.merchant, terminal=terminal, body=body, path=by.path, now=by.now
        )
        refused = call.fault("biz_refused")
        if refused is not None:
            return biz(
                str(refused["result_code"]),
                error_code=str(refused["error_code"]),
                error_message=str(refused.get("error_message", "")),
            )
        return action(call)

    return signed(inner)


def _respond(envelope: dict[str, Any], *, status: int = 200) -> HttpResponse:
    return HttpResponse(
        json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode(),
        status=status,
        content_type="application/json;charset=UTF-8",
    )
