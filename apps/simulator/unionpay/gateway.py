"""The gateway's addresses: read a message, verify it by its certificate's number, do the work, sign the answer.

Every answer is HTTP 200 and signed, refusals too (dossier 1.2, 1.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from apps.simulator import clock, faults
from apps.simulator.models import Merchant, Platform
from apps.simulator.unionpay import bills, certificates, signing, transactions, wire
from apps.simulator.unionpay.transactions import Call, Handler
from apps.simulator.unionpay.wire import Refusal

#: What an answer repeats of the request.
ECHOED = (
    "version",
    "encoding",
    "signMethod",
    "accessType",
    "bizType",
    "merId",
    "orderId",
    "txnTime",
    "txnAmt",
    "txnType",
    "txnSubType",
    "origQryId",
    "reqReserved",
    "settleDate",
    "fileType",
)
#: Faults of the certificate that an answer or a notice carries, and who signs instead.
SIGNERS: dict[str, Callable[[dict[str, Any]], certificates.Signer]] = {
    "wrong_signature": certificates.wrong_key,
    "foreign_certificate": certificates.other_owner,
    "expired_certificate": certificates.expired,
}


@csrf_exempt
def back(request: HttpRequest) -> HttpResponse:
    """``backTransReq.do``: everything between two servers."""
    return _api(request, {**transactions.BACK, **transactions.QUERY})


@csrf_exempt
def query(request: HttpRequest) -> HttpResponse:
    """``queryTrans.do``: the state of one transaction."""
    return _api(request, transactions.QUERY)


@csrf_exempt
def file(request: HttpRequest) -> HttpResponse:
    """The file host: a settlement day's reconciliation file."""
    return _api(request, bills.FILES)


def _api(request: HttpRequest, handlers: dict[tuple[str, str], Handler]) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    fields: dict[str, str] = {}
    config = _any_config()
    path = request.path
    try:
        fields = wire.read_form(request.body)
        path = f"{path}/{fields.get('txnType', '')}{fields.get('txnSubType', '')}"
        if fault_at("http_500", path) is not None:
            return broken()
        merchant = merchant_of(fields)
        config = merchant.config
        if fault_at("rate_limited", path) is not None:
            raise Refusal("37")
        answer = _handler(fields, handlers)(
            Call(merchant=merchant, fields=fields, now=clock.now(), path=path)
        )
        answer = {"respCode": "00", "respMsg": wire.MESSAGES["00"], **answer}
        unclear = _unclear(fields, path)
        if unclear:
            answer = {"respCode": unclear, "respMsg": wire.MESSAGES[unclear]}
    except Refusal as refusal:
        answer = refusal.fields
    slow = fault_at("slow", path)
    if slow is not None:
        time.sleep(float(slow["seconds"]))
    lost = fault_at("lost_after_commit", path)
    if lost is not None:
        return faults.lost_response(lost)
    echo = {name: fields[name] for name in ECHOED if fields.get(name)}
    return _signed({"encoding": "UTF-8", **echo, **answer}, config, path)


def fault_at(key: str, path: str) -> dict[str, Any] | None:
    """The value of a fault that hits this path."""
    return faults.take(key, platform=Platform.UNIONPAY, path=path)


def broken() -> HttpResponse:
    """What a failing server says."""
    return HttpResponse("<h1>500 Internal Server Error</h1>", status=500)


def _unclear(fields: dict[str, str], path: str) -> str:
    """03, 04 or 05 in place of a transaction's answer, though it is done; a query's answer has it inside."""
    if (fields.get("txnType"), fields.get("txnSubType")) not in transactions.BACK:
        return ""
    fault = fault_at("unclear_answer", path)
    return str(fault["code"]) if fault else ""


def _handler(fields: dict[str, str], handlers: dict[tuple[str, str], Handler]) -> Handler:
    kind = (fields["txnType"], fields["txnSubType"])
    if kind not in handlers:
        raise Refusal("32" if kind in transactions.KNOWN else "10")
    return handlers[kind]


def merchant_of(fields: dict[str, str]) -> Merchant:
    """Whose message this is, after its signature was verified. Raises Refusal 10, 11, 13 or 31."""
    wire.needed(
        fields, "version", "encoding", "signMethod", "txnType", "txnSubType", "bizType", "merId"
    )
    if fields["version"] != "5.1.0" or fields["signMethod"] != "01":
        raise Refusal("10")
    wire.needed(fields, "certId", "signature", "accessType")
    merchant = Merchant.objects.filter(
        platform=Platform.UNIONPAY, merchant_no=fields["merId"]
    ).first()
    if merchant is None:
        raise Refusal("31")
    if fields["certId"] != merchant.config["cert_id"] or not signing.verify(
        fields, public_key=merchant.config["merchant_public_key"]
    ):
        raise Refusal("11")
    return merchant


def _any_config() -> dict[str, Any]:
    """All merchants meet one platform: who is not known is answered in the name of any."""
    first = Merchant.objects.filter(platform=Platform.UNIONPAY).order_by("pk").first()
    return first.config if first else {}


def signer_for(config: dict[str, Any], path: str) -> certificates.Signer:
    """The platform's signer, or the one that a fault puts in its place. ``path`` "notice" is not an answer."""
    for key, other in SIGNERS.items():
        if path == "notice" and key == "wrong_signature":
            continue  # notices have a forger of their own
        if fault_at(key, path) is not None:
            return other(config)
    return certificates.signer_of(config)


def _signed(fields: dict[str, str], config: dict[str, Any], path: str) -> HttpResponse:
    if config:
        signer = signer_for(config, path)
        fields = {**fields, "signPubKeyCert": signer.field}
        fields["signature"] = signing.sign(fields, private_key=signer.private_key)
    return HttpResponse(
        wire.write_raw(fields), content_type=f"text/html;charset={fields['encoding']}"
    )
