"""What every API v3 endpoint does around its own work: checks, faults, the signature of the answer."""

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

from apps.simulator import clock, faults, keys, skew
from apps.simulator.models import Merchant, Platform
from apps.simulator.wechatpay import certificates, signing
from apps.simulator.wechatpay.errors import ApiError, new_request_id, param_error, sign_error

PREFIX = "/wechatpay"
WECHATPAY = Platform.WECHATPAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An authenticated API call. ``now`` is simulated time, ``body`` the parsed JSON object ({} for GET)."""

    request: HttpRequest
    merchant: Merchant
    body: dict[str, Any]
    now: datetime

    @property
    def origin(self) -> str:
        """The origin by which the client reached us, for the addresses that we hand out."""
        return f"{self.request.scheme}://{self.request.get_host()}"

    def opened(self, pointer: str, sealed: str) -> str:
        """A field that the client sealed for the key that its Wechatpay-Serial names. Raises ApiError."""
        serial = self.request.headers.get("Wechatpay-Serial", "")
        private_key = certificates.private_key_of(self.merchant.config, serial)
        if not private_key:
            raise ApiError(400, "PARAM_ERROR", "敏感信息已加密，Http头缺少Wechatpay-Serial")
        try:
            return keys.rsa_oaep_decrypt(private_key, sealed)
        except ValueError as error:
            raise param_error(pointer, "解密失败") from error

    def query(self, name: str) -> str:
        """A query parameter, "" if absent."""
        return self.request.GET.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A successful answer: JSON, or bytes for a file; ``payload`` None is 204."""

    payload: dict[str, Any] | bytes | None
    signed: bool = True


#: Whom an answer speaks of under the fault other_merchant.
_OTHERS = {"mchid": "1600000000", "out_trade_no": "P00000000000"}

Endpoint = Callable[..., Answer]


def signed_target(request: HttpRequest) -> str:
    """The path and query that the client signed: from /v3/ on, byte for byte as sent.

    The server's own view of the request has the raw bytes; Django's path is decoded already.
    """
    scope = request.META.get("asgi.scope")
    if scope is None:
        return request.get_full_path().removeprefix(PREFIX)
    raw: bytes = scope["raw_path"]
    if scope["query_string"]:
        raw += b"?" + scope["query_string"]
    return raw.decode("latin-1").removeprefix(PREFIX)


def authenticate(request: HttpRequest) -> Merchant:
    """The merchant whose signature stands under the request.

    In the platform's order: User-Agent and Accept, then the time stamp, then the signature.
    Raises ApiError.
    """
    if not request.headers.get("User-Agent"):
        raise ApiError(400, "INVALID_REQUEST", "Http头缺少Accept或User-Agent")
    accept = request.headers.get("Accept", "")
    if not any(one in accept for one in ("application/json", "*/*", "application/*")):
        raise ApiError(400, "INVALID_REQUEST", "Http头缺少Accept或User-Agent")
    header = request.headers.get("Authorization", "")
    if not header:
        raise sign_error("Http头Authorization值为空，请检查", "authorization is empty")
    authorization = signing.parse_authorization(header)
    if authorization is None:
        raise sign_error(
            "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》",
            "authorization is malformed",
        )
    _check_skew(authorization.timestamp)
    merchant = Merchant.objects.filter(platform=WECHATPAY, merchant_no=authorization.mchid).first()
    if merchant is None:
        raise sign_error("商户号不存在或与签名不匹配", "unknown mchid")
    if authorization.serial_no.upper() != merchant.config["serial_no"]:
        raise sign_error("商户证书序列号有误，请确认证书序列号对应的证书", "unknown serial_no")
    message = signing.request_message(
        method=request.method or "",
        target=signed_target(request),
        timestamp=authorization.timestamp,
        nonce=authorization.nonce,
        body=request.body,
    )
    public_key = merchant.config["merchant_public_key"]
    if not keys.rsa_verify(public_key, message, authorization.signature):
        raise sign_error(
            "签名错误，请检查后再试",
            information={
                "method": request.method,
                "url": signed_target(request),
                "truncated_sign_message": message[:256].decode("utf-8", "replace"),
                "sign_message_length": len(message),
            },
        )
    _check_platform_serial(request.headers.get("Wechatpay-Serial", ""), merchant)
    return merchant


def _check_skew(timestamp: str) -> None:
    if not timestamp.isascii() or not timestamp.isdigit():
        raise sign_error("Http头Authorization的timestamp不是数字", "timestamp is not a number")
    if abs(skew.now(WECHATPAY).timestamp() - int(timestamp)) > signing.MAX_SKEW_SECONDS:
        raise sign_error(
            "Http头Authorization的timestamp与发起请求的时间不得超过5分钟", "timestamp expired"
        )


def _check_platform_serial(serial: str, merchant: Merchant) -> None:
    if serial and serial not in certificates.known_serials(merchant.config):
        raise ApiError(
            400, "PARAM_ERROR", "Http头Wechatpay-Serial与商户的微信支付公钥或平台证书不一致"
        )


def _parse_body(request: HttpRequest) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    if request.content_type != "application/json":
        raise ApiError(400, "PARAM_ERROR", "Http头Content-Type应为application/json")
    try:
        body = json.loads(request.body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, "PARAM_ERROR", "请求体不是合法的JSON") from error
    if not isinstance(body, dict):
        raise param_error("", "应为JSON对象")
    return body


def api(method: str) -> Callable[[Endpoint], Callable[..., HttpResponse]]:
    """Make an API v3 endpoint of a function ``(call, **path parts) -> Answer``; ApiError is its answer too.

    A wrong method is answered 405 with an empty body. Faults: slow, http_500, rate_limited,
    lost_after_commit, other_amount, other_merchant, wrong_signature, signtest.
    """

    def decorate(view: Endpoint) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @functools.wraps(view)
        def wrapper(request: HttpRequest, **parts: str) -> HttpResponse:
            if request.method != method:
                return HttpResponse(b"", status=405)
            path = request.path
            slow = faults.take("slow", platform=WECHATPAY, path=path)
            if slow is not None:
                time.sleep(float(slow["seconds"]))
            try:
                if faults.take("http_500", platform=WECHATPAY, path=path) is not None:
                    raise ApiError(500, "SYSTEM_ERROR", "系统异常，请稍后重试")
                if faults.take("rate_limited", platform=WECHATPAY, path=path) is not None:
                    raise ApiError(429, "FREQUENCY_LIMITED", "频率超限")
                merchant = authenticate(request)
                call = Call(
                    request=request,
                    merchant=merchant,
                    body=_parse_body(request),
                    now=clock.now(),
                )
                answer = view(call, **parts)
            except ApiError as error:
                return error.response()
            lost = faults.take("lost_after_commit", platform=WECHATPAY, path=path)
            if lost is not None:
                return faults.lost_response(lost)
            return _respond(request, merchant, _lying(answer, path))

        return wrapper

    return decorate


def _lying(answer: Answer, path: str) -> Answer:
    """The faults other_amount and other_merchant: a true signature under what is not true."""
    payload = answer.payload
    if not isinstance(payload, dict):
        return answer
    told = dict(payload)
    amount = told.get("amount")
    if isinstance(amount, dict) and "total" in amount:
        more = faults.take("other_amount", platform=WECHATPAY, path=path)
        if more is not None:
            told["amount"] = {**amount, "total": amount["total"] + int(more["fen"])}
    wrong = {name: value for name, value in _OTHERS.items() if name in told}
    if wrong and faults.take("other_merchant", platform=WECHATPAY, path=path) is not None:
        told |= wrong
    return Answer(payload=told, signed=answer.signed)


def _respond(request: HttpRequest, merchant: Merchant, answer: Answer) -> HttpResponse:
    payload = answer.payload
    if payload is None:
        response = HttpResponse(b"", status=204)
        del response["Content-Type"]
    elif isinstance(payload, bytes):
        response = HttpResponse(payload, content_type="application/octet-stream")
    else:
        response = HttpResponse(
            json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(),
            content_type="application/json; charset=utf-8",
        )
    response["Request-ID"] = new_request_id()
    if answer.signed:
        path = request.path
        headers = signing.platform_headers(
            merchant,
            body=response.content,
            real_now=skew.now(WECHATPAY),
            wanted_serial=request.headers.get("Wechatpay-Serial", ""),
            forged=faults.take("wrong_signature", platform=WECHATPAY, path=path) is not None,
            probe=faults.take("signtest", platform=WECHATPAY, path=path) is not None,
        )
        for name, value in headers.items():
            response[name] = value
    return response
