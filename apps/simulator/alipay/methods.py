"""The gateway's methods by name, and the small ones: the buyer's id, bills, certificates.

Each takes a verified call and returns the fields of its answer node, or raises ``BusinessRefusal`` or ``OAuthRefusal``.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction

from apps.simulator import clock
from apps.simulator.alipay import bill_files, bills, certificates, giving_back, till, trades, wire
from apps.simulator.alipay.calls import Call, OAuthRefusal
from apps.simulator.alipay.wire import BusinessRefusal
from apps.simulator.models import BillFile, OAuthCode, Platform

BILL_LINK_LIFE = timedelta(seconds=30)
TOKEN_LIFE_SECONDS = 1_296_000


# --- who is the buyer -----------------------------------------------------------------------------


def oauth_token(call: Call) -> dict[str, Any]:
    """Exchange the single-use auth_code for the buyer's id; no ``code`` in a good answer."""
    if call.params.get("grant_type") != "authorization_code":
        raise OAuthRefusal("isv.grant-type-invalid", "授权类型无效")
    with transaction.atomic():
        code = OAuthCode.objects.filter(
            platform=Platform.ALIPAY,
            app_id=call.merchant.app_id,
            code=call.params.get("code", ""),
            used_at=None,
            expires_at__gt=call.now,
        ).first()
        if code is None or not OAuthCode.objects.filter(pk=code.pk, used_at=None).update(
            used_at=call.now
        ):
            raise OAuthRefusal("isv.code-invalid", "授权码code无效")
    return {
        "user_id": code.payer_id,
        "access_token": f"authbseB{secrets.token_hex(16)}",
        "expires_in": TOKEN_LIFE_SECONDS,
        "refresh_token": f"authbseB{secrets.token_hex(16)}",
        "re_expires_in": TOKEN_LIFE_SECONDS,
        "auth_start": clock.beijing_text(call.now),
    }


# --- bills ----------------------------------------------------------------------------------------


def bill_address(call: Call) -> dict[str, Any]:
    """The address of a bill, good for 30 seconds. Not before 9 o'clock on the day after."""
    kind = wire.text(call.biz, "bill_type", longest=20, needed=True)
    wanted = wire.text(call.biz, "bill_date", longest=15, needed=True)
    try:
        period = bills.period_of(wanted)
    except ValueError:
        raise BusinessRefusal("INVAILID_ARGUMENTS", "参数不正确：bill_date") from None
    today = clock.beijing_date(call.now)
    if kind not in {"trade", "signcustomer"} or period.after > today or period.first.year < 2016:
        raise BusinessRefusal("INVAILID_ARGUMENTS", "参数不正确：bill_type或bill_date")
    hour = min(settings.SIMULATOR_BILL_HOUR, 9)
    ready = period.end + timedelta(hours=hour, days=2 if len(wanted) == 7 else 0)
    late = call.fault("bill_late") is not None
    content = (
        None
        if late or call.now < ready
        else bill_files.bill_zip(
            merchant=call.merchant, bill_type=kind, period=period, now=call.now
        )
    )
    if content is None:
        # The platform answers an empty day and one that is not ready with the same words.
        raise BusinessRefusal("isp.bill_not_exist", "BILL_NOT_EXIST 账单不存在")
    bill = BillFile.objects.create(
        merchant=call.merchant,
        token=secrets.token_urlsafe(24),
        filename=f"{call.merchant.merchant_no}0156_{period.label}.zip",
        content=content,
        expires_at=call.now + BILL_LINK_LIFE,
    )
    query_string = urlencode(
        {
            "bizType": kind,
            "userId": f"{call.merchant.merchant_no}0156",
            "fileType": "csv.zip",
            "downloadFileName": bill.filename,
            "fileId": bill.token,
        }
    )
    origin = settings.SIMULATOR_ORIGIN
    return {"bill_download_url": f"{origin}/alipay/billdownload?{query_string}"}


# --- certificates ---------------------------------------------------------------------------------


def certificate_download(call: Call) -> dict[str, Any]:
    """The Alipay certificate of a serial number, with its issuer, as base64 of PEM: for clients that met a new one."""
    wanted = wire.text(call.biz, "alipay_cert_sn", longest=64, needed=True)
    found = certificates.by_serial(call.merchant.config, wanted)
    if not found:
        raise BusinessRefusal("isv.cert-not-exist", "证书不存在")
    return {"alipay_cert_content": base64.b64encode(found.encode()).decode("ascii")}


METHODS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "alipay.trade.precreate": trades.precreate,
    "alipay.trade.create": trades.create,
    "alipay.trade.pay": till.pay,
    "alipay.trade.query": trades.query,
    "alipay.trade.close": trades.close,
    "alipay.trade.cancel": giving_back.cancel,
    "alipay.trade.refund": giving_back.refund,
    "alipay.trade.fastpay.refund.query": giving_back.refund_query,
    "alipay.system.oauth.token": oauth_token,
    "alipay.data.dataservice.bill.downloadurl.query": bill_address,
    "alipay.open.app.alipaycert.download": certificate_download,
}
PAGE_METHODS = frozenset({"alipay.trade.wap.pay", "alipay.trade.page.pay"})
