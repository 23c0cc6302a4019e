"""What browsers see of Alipay besides the cashier: authorisation and bill downloads."""

from __future__ import annotations

import secrets
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.views.decorators.http import require_GET

from apps.simulator import clock
from apps.simulator.models import BillFile, Merchant, OAuthCode, Platform
from apps.simulator.payers import USER_COOKIE, payer_for
from apps.simulator.wallet.browser import back_through

CODE_LIFE = timedelta(minutes=5)
SCOPES = frozenset({"auth_base", "auth_user"})


@require_GET
def authorize(request: HttpRequest) -> HttpResponse:
    """``publicAppAuthorize.htm``: silently name the wallet's user to an app by a one-time code."""
    app_id = request.GET.get("app_id", "")
    scope = request.GET.get("scope", "")
    target = request.GET.get("redirect_uri", "")
    parts = urlsplit(target)
    if not Merchant.objects.filter(platform=Platform.ALIPAY, app_id=app_id).exists():
        return HttpResponseBadRequest("SIMULATOR 模拟器: 无效的 app_id (unknown app_id)")
    if scope not in SCOPES:
        return HttpResponseBadRequest("SIMULATOR 模拟器: 无效的 scope (unknown scope)")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return HttpResponseBadRequest("SIMULATOR 模拟器: 回调地址不合法 (bad redirect_uri)")
    code = OAuthCode.objects.create(
        platform=Platform.ALIPAY,
        app_id=app_id,
        code=secrets.token_hex(16),
        scope=scope,
        payer_id=payer_for(request.COOKIES.get(USER_COOKIE)).alipay_id,
        expires_at=clock.now() + CODE_LIFE,
    )
    fields = {"app_id": app_id, "source": "alipay_wallet", "scope": scope, "auth_code": code.code}
    state = request.GET.get("state", "")
    if state:
        fields["state"] = state
    joint = "&" if parts.query else "?"
    return HttpResponseRedirect(back_through(request, target + joint + urlencode(fields)))


@require_GET
def bill_download(request: HttpRequest) -> HttpResponse:
    """A bill by its address: unsigned, good for 30 seconds."""
    bill = BillFile.objects.filter(
        token=request.GET.get("fileId", ""), merchant__platform=Platform.ALIPAY
    ).first()
    if bill is None or bill.expires_at <= clock.now():
        return HttpResponse(
            "<html><body>链接已失效 (expired)</body></html>",
            status=403,
            content_type="text/html; charset=utf-8",
        )
    response = HttpResponse(bytes(bill.content), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{bill.filename}"'
    return response
