"""What the demo shop signed with its platforms: four agreements, one of which ends soon, and a paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from reportlab.pdfgen.canvas import Canvas

from apps.accounts.models import User
from apps.core import clock
from apps.core.audit import Actor
from apps.platforms.gateway import Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.services.agreements import Terms, Tier, enter_agreement, tick
from apps.platforms.services.documents import keep_document

#: Days until an agreement ends; the first shows on Today.
_DAYS_LEFT: Final = {
    Platform.WECHATPAY: 500,
    Platform.ALIPAY: 25,
    Platform.UNIONPAY: 210,
    Platform.SHOUQIANBA: 330,
}
_SERVICES: Final = {
    Platform.WECHATPAY: "Native、JSAPI、H5 支付与付款码",
    Platform.ALIPAY: "当面付与手机网站支付",
    Platform.UNIONPAY: "云闪付二维码收款",
    Platform.SHOUQIANBA: "聚合收款",
}
#: What the simulator charges, so that its bills fit; caps and limits lie above what the shop takes.
_TIERS: Final = {
    Platform.WECHATPAY: (Tier(rate_ppm=6_000),),
    Platform.ALIPAY: (Tier(rate_ppm=6_000),),
    Platform.UNIONPAY: (
        Tier(rate_ppm=6_000),
        Tier(rate_ppm=6_000, from_minor=100_001, cap_minor=8_000),
    ),
    Platform.SHOUQIANBA: (Tier(rate_ppm=6_000), Tier(rate_ppm=6_000, wallet="unionpay")),
}
_WINDOWS: Final = {
    Platform.WECHATPAY: 365,
    Platform.ALIPAY: 365,
    Platform.UNIONPAY: 330,
    Platform.SHOUQIANBA: 90,
}


def sign(accounts: Sequence[PlatformAccount], *, owner: User, actor: Actor, now: datetime) -> None:
    """Enter the agreements of the demo's accounts."""
    today = clock.business_date(now)
    for account in accounts:
        platform = Platform(account.platform)
        terms = Terms(
            service=_SERVICES[platform],
            number=f"YX-{account.pk:04d}-2025",
            signed_on=today - timedelta(days=400),
            valid_from=today - timedelta(days=395),
            valid_until=today + timedelta(days=_DAYS_LEFT[platform]),
            renews=platform is Platform.SHOUQIANBA,
            refund_window_days=_WINDOWS[platform],
            payment_limit_minor=5_000_000,
            day_limit_minor=50_000_000,
            deposit_minor=200_000 if platform is Platform.SHOUQIANBA else 0,
            compensation="盗刷经核实由平台先行赔付；商户须在 5 个工作日内提交凭证。",
            security="密钥不得外泄，终端不得转借，发生安全事件须在 24 小时内告知。",
        )
        enter_agreement(
            account_id=account.pk,
            terms=terms,
            tiers=_TIERS[platform],
            effective_from=None,
            expected=0,
            member=owner,
            actor=actor,
            now=now,
        )
        for item in ("parties", "rate", "settlement", "refunds"):
            tick(
                platform=account.platform,
                account_id=account.pk,
                item=item,
                is_done=True,
                note="",
                member=owner,
                actor=actor,
                now=now,
            )
    keep_document(
        account_id=accounts[0].pk,
        title="微信支付服务协议（演示）",
        filename="wechatpay-agreement.pdf",
        content=_paper(),
        member=owner,
        actor=actor,
        now=now,
    )


def _paper() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(72, 760, "Demo agreement. It was never signed by anybody.")
    canvas.showPage()
    canvas.save()
    return out.getvalue()
