"""Bills of a test's own rows, written as WeChat Pay and Alipay write them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.payments.models import Payment
from apps.platforms.tests.bills import (
    ALIPAY_HEADINGS,
    WECHAT_HEADINGS,
    WECHAT_SUMMARY,
    alipay_zip,
)
from apps.refunds.models import Refund


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a bill, in fen."""

    kind: str = "payment"
    order_no: str
    trade_no: str
    minor: int
    fee: int = 0
    at: datetime
    refund_no: str = ""
    platform_refund_no: str = ""

    def but(self, **changes: object) -> Row:
        """The same row with something wrong in it."""
        return replace(self, **changes)  # type: ignore[arg-type]  # the caller names fields


def row_of(payment: Payment) -> Row:
    """The row of a payment as the platform has it."""
    assert payment.paid_at is not None
    return Row(
        order_no=payment.order_no,
        trade_no=payment.platform_trade_no,
        minor=payment.amount_minor,
        fee=payment.fee_minor,
        at=payment.paid_at,
    )


def row_of_refund(refund: Refund) -> Row:
    """The row of a refund as the platform has it."""
    assert refund.accepted_at is not None
    return Row(
        kind="refund",
        order_no=refund.payment.order_no,
        trade_no=refund.payment.platform_trade_no,
        minor=refund.amount_minor,
        fee=-refund.fee_minor,
        at=refund.accepted_at,
        refund_no=refund.refund_no,
        platform_refund_no=refund.platform_refund_no,
    )


def _yuan(minor: int) -> str:
    return Money(minor).to_yuan()


def _time(at: datetime) -> str:
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def wechat_bill(rows: Iterable[Row], *, merchant_no: str = "1900000001", totals: str = "") -> bytes:
    """A WeChat trade bill; ``totals`` puts another line of figures under it."""
    lines, rows = [WECHAT_HEADINGS], list(rows)
    for row in rows:
        refund = row.kind == "refund"
        cells = [
            _time(row.at), "wx1234567890123456", merchant_no, "0", "", row.trade_no, row.order_no, "oPayer",
            "NATIVE", "REFUND" if refund else "SUCCESS", "OTHERS", "CNY",
            "0.00" if refund else _yuan(row.minor), "0.00",
            row.platform_refund_no if refund else "0", row.refund_no if refund else "0",
            _yuan(row.minor) if refund else "0.00", "0.00",
            "ORIGINAL" if refund else "", "SUCCESS" if refund else "", "龙井一杯", "",
            f"{_yuan(row.fee)}000", "0.60%",
            "0.00" if refund else _yuan(row.minor), _yuan(row.minor) if refund else "0.00", "",
        ]  # fmt: skip
        lines.append(",".join(f"`{cell}" for cell in cells))
    paid = sum(row.minor for row in rows if row.kind == "payment")
    back = sum(row.minor for row in rows if row.kind == "refund")
    fees = sum(row.fee for row in rows)
    figures = [
        str(len(rows)),
        _yuan(paid),
        _yuan(back),
        "0.00",
        f"{_yuan(fees)}000",
        _yuan(paid),
        _yuan(back),
    ]
    lines += [WECHAT_SUMMARY, totals or ",".join(f"`{figure}" for figure in figures)]
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode()


def wechat_gzip(rows: Iterable[Row]) -> bytes:
    """The same, packed as the platform packs it; equal rows give equal bytes."""
    return gzip.compress(wechat_bill(rows), mtime=0)


def alipay_bill(rows: Iterable[Row], *, day: date, merchant_no: str = "2088123456789012") -> bytes:
    """Alipay's zip of one day."""
    lines, rows = [], list(rows)
    for row in rows:
        sign = -1 if row.kind == "refund" else 1
        amount = _yuan(sign * row.minor)
        cells = [
            f"{row.trade_no}\t", f"{row.order_no}\t", "退款" if sign < 0 else "交易", "龙井一杯", _time(row.at),
            _time(row.at), "\t", "\t", "\t", "\t", "**明(138******01)\t", amount, amount, "0.00", "0.00", "0.00",
            "0.00", "0.00", "", "0.00\t", "0.00", f"{row.refund_no}\t", _yuan(-row.fee), "0.00", "",
        ]  # fmt: skip
        lines.append(",".join(cells))
    sums = {kind: [row.minor for row in rows if row.kind == kind] for kind in ("payment", "refund")}
    until = day + timedelta(days=1)
    detail = "\r\n".join(
        [
            "#支付宝业务明细查询",
            f"#账号：[{merchant_no}0156]",
            f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]   终止日期：[{until:%Y年%m月%d日} 00:00:00]",
            "#-----------------------------------------业务明细列表----------------------------------------",
            ALIPAY_HEADINGS,
            *lines,
            "#-----------------------------------------业务明细列表结束------------------------------------",
            f"#交易合计：{len(sums['payment'])}笔，商家实收共{_yuan(sum(sums['payment']))}元，商家优惠共0.00元",
            f"#退款合计：{len(sums['refund'])}笔，商家实收退款共{_yuan(-sum(sums['refund']))}元，商家优惠退款共0.00元",
            "",
        ]
    )
    return alipay_zip("业务明细", detail)
