"""Asking for a bill and fetching it (dossier A5)."""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
from datetime import date, timedelta

from django.conf import settings

from apps.simulator import clock, faults
from apps.simulator.models import BillFile, Platform
from apps.simulator.wechatpay import bill_files
from apps.simulator.wechatpay.endpoint import PREFIX, Answer, Call, api
from apps.simulator.wechatpay.errors import ApiError, param_error

TOKEN_LIFETIME = timedelta(minutes=5)
KEPT = timedelta(days=93)


def _checked_day(call: Call) -> date:
    """The bill_date, if its bill may exist by now. Raises ApiError."""
    text = call.query("bill_date")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise param_error("bill_date", "应为yyyy-MM-dd格式", text, "query")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise param_error("bill_date", "不是有效的日期", text, "query") from error
    today = clock.beijing_date(call.now)
    if day >= today:
        raise ApiError(400, "INVALID_REQUEST", "账单日期不能为当日或未来日期")
    if day < today - KEPT:
        raise ApiError(400, "INVALID_REQUEST", "仅支持查询三个月内的账单")
    ready_at = clock.beijing_period(day)[1] + timedelta(hours=settings.SIMULATOR_BILL_HOUR)
    path = call.request.path
    late = faults.take("bill_late", platform=Platform.WECHATPAY, path=path)
    if call.now < ready_at or late is not None:
        raise ApiError(400, "STATEMENT_CREATING", "账单生成中，请稍后再试")
    return day


def _choice(call: Call, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = call.query(name) or default
    if value not in allowed:
        raise param_error(name, f"取值应为{'、'.join(allowed)}", value, "query")
    return value


def _offer(call: Call, content: bytes | None, name: str) -> Answer:
    """Keep the file for five minutes and tell where. The hash is over the plain bytes always."""
    if content is None:
        raise ApiError(400, "NO_STATEMENT_EXIST", "请求的账单文件不存在")
    tar_type = call.query("tar_type")
    if tar_type not in ("", "GZIP"):
        raise param_error("tar_type", "取值应为GZIP", tar_type, "query")
    BillFile.objects.filter(expires_at__lt=call.now).delete()
    kept = BillFile.objects.create(
        merchant=call.merchant,
        token=secrets.token_urlsafe(32),
        filename=name + (".csv.gz" if tar_type else ".csv"),
        content=gzip.compress(content, mtime=0) if tar_type else content,
        expires_at=call.now + TOKEN_LIFETIME,
    )
    return Answer(
        payload={
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            "download_url": f"{call.origin}{PREFIX}/v3/billdownload/file?token={kept.token}",
        }
    )


@api("GET")
def trade_bill(call: Call) -> Answer:
    """GET /v3/bill/tradebill?bill_date=&bill_type=&tar_type=."""
    bill_type = _choice(call, "bill_type", ("ALL", "SUCCESS", "REFUND"), "ALL")
    day = _checked_day(call)
    content = bill_files.trade_bill(call.merchant, day, bill_type)
    return _offer(call, content, f"{call.merchant.merchant_no}{bill_type}{day}")


@api("GET")
def fund_flow_bill(call: Call) -> Answer:
    """GET /v3/bill/fundflowbill?bill_date=&account_type=&tar_type=."""
    account = _choice(call, "account_type", ("BASIC", "OPERATION", "FEES"), "BASIC")
    day = _checked_day(call)
    content = bill_files.fund_bill(call.merchant, day, account)
    return _offer(call, content, f"{call.merchant.merchant_no}{account}{day}")


@api("GET")
def download(call: Call) -> Answer:
    """GET /v3/billdownload/file?token=: a signed request, an unsigned answer."""
    kept = BillFile.objects.filter(token=call.query("token")).first()
    if kept is None or kept.expires_at <= call.now:
        raise ApiError(400, "INVALID_REQUEST", "账单下载地址已失效，请重新申请")
    if kept.merchant_id != call.merchant.pk:
        raise ApiError(403, "NO_AUTH", "商户无权限下载该账单")
    return Answer(payload=bytes(kept.content), signed=False)
