"""The bytes of WeChat Pay's bills (dossier A5).

UTF-8 with BOM, CRLF after every line, headings bare, each data cell behind a backtick, yuan with two
decimals, fees with five. Days are Beijing's: payments by payment time, refunds by acceptance.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.db.models import Sum

from apps.simulator import books, clock, faults
from apps.simulator.models import Merchant, Order, Platform, Refund, RefundState
from apps.simulator.wechatpay import objects

Row = dict[str, str]

ALL_HEADINGS = [
    "交易时间",
    "公众账号ID",
    "商户号",
    "特约商户号",
    "设备号",
    "微信订单号",
    "商户订单号",
    "用户标识",
    "交易类型",
    "交易状态",
    "付款银行",
    "货币种类",
    "应结订单金额",
    "代金券金额",
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "商品名称",
    "商户数据包",
    "手续费",
    "费率",
    "订单金额",
    "申请退款金额",
    "费率备注",
]
_REFUND_ONLY = {
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "申请退款金额",
}
SUCCESS_HEADINGS = [name for name in ALL_HEADINGS if name not in _REFUND_ONLY]
_CUT = ALL_HEADINGS.index("微信退款单号")
REFUND_HEADINGS = [*ALL_HEADINGS[:_CUT], "退款申请时间", "退款成功时间", *ALL_HEADINGS[_CUT:]]
SUMMARY_HEADINGS = [
    "总交易单数",
    "应结订单总金额",
    "退款总金额",
    "充值券退款总金额",
    "手续费总金额",
    "订单总金额",
    "申请退款总金额",
]
FUND_HEADINGS = [
    "记账时间",
    "微信支付业务单号",
    "资金流水单号",
    "业务名称",
    "业务类型",
    "收支类型",
    "收支金额(元)",
    "账户结余(元)",
    "资金变更提交申请人",
    "备注",
    "业务凭证号",
]
FUND_SUMMARY_HEADINGS = ["资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额"]

#: What an account holds before its first payment, so that a fund bill's balance is not negative.
OPENING_BALANCE_FEN = 100_000


def yuan(fen: int, decimals: int = 2) -> str:
    """Fen as a decimal string of yuan; ``decimals`` 5 for fees."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}" + "0" * (decimals - 2)


def _text(value: str) -> str:
    """A merchant's own text: a comma becomes backslash and space, a line break backslash and n."""
    return value.replace(",", "\\ ").replace("\r\n", "\\n").replace("\n", "\\n").replace("`", "'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a trade bill before it is written: a payment, or a refund if ``refund`` is set."""

    at: datetime
    order: Order
    amount_fen: int
    fee_fen: int
    refund: Refund | None = None


def _render(headings: list[str], rows: list[Row], summary: list[str], totals: list[str]) -> bytes:
    lines = [",".join(headings)]
    lines += [",".join(f"`{row[name]}" for name in headings) for row in rows]
    lines += [",".join(summary), ",".join(f"`{cell}" for cell in totals)]
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode()


def _entries(merchant: Merchant, day: date, bill_type: str) -> list[Entry]:
    entries: list[Entry] = []
    if bill_type != "REFUND":
        entries += [
            Entry(
                at=order.paid_at or order.created_at,
                order=order,
                amount_fen=order.amount_fen,
                fee_fen=order.fee_fen,
            )
            for order in books.payments_of(merchant, day=day)
        ]
    if bill_type != "SUCCESS":
        entries += [
            Entry(
                at=refund.created_at,
                order=refund.order,
                amount_fen=refund.amount_fen,
                fee_fen=-refund.fee_fen,
                refund=refund,
            )
            for refund in books.refunds_of(merchant, day=day)
        ]
    entries.sort(key=lambda entry: (entry.at, entry.refund is not None))
    return entries


def _spoil(entries: list[Entry]) -> list[Entry]:
    """Let the bill's faults act on the rows."""
    entries = list(entries)
    first = next((i for i, entry in enumerate(entries) if entry.refund is None), None)
    if first is None:
        return entries
    off = faults.take("bill_off_by_fen", platform=Platform.WECHATPAY)
    if off is not None:
        entries[first] = replace(
            entries[first], amount_fen=entries[first].amount_fen + int(off["fen"])
        )
    if faults.take("bill_extra_row", platform=Platform.WECHATPAY) is not None:
        like = entries[first].order
        stranger = Order(
            platform=like.platform,
            merchant=like.merchant,
            out_trade_no=f"EXTRA{like.out_trade_no}"[:32],
            trade_no=f"4299{like.trade_no[4:]}",
            product=like.product,
            amount_fen=888,
            description=like.description,
            payer_id=like.payer_id,
        )
        entries.append(Entry(at=entries[-1].at, order=stranger, amount_fen=888, fee_fen=5))
    if faults.take("bill_missing_row", platform=Platform.WECHATPAY) is not None:
        del entries[first]
    return entries


def _refund_status(refund: Refund, made_at: datetime) -> str:
    """The bill's own word for a refund's state when the bill was made; it is never updated."""
    if refund.finished_at is None or refund.finished_at > made_at:
        return "PROCESSING"
    words = {
        RefundState.SUCCESS.value: "SUCCESS",
        RefundState.ABNORMAL.value: "CHANGE",
        RefundState.CLOSED.value: "FAIL",
    }
    return words.get(refund.state, "PROCESSING")


def _trade_row(merchant: Merchant, entry: Entry, made_at: datetime) -> Row:
    order, refund = entry.order, entry.refund
    device = (order.request.get("scene_info") or {}).get("device_id", "")
    rate = f"{merchant.rate_ppm // 10000}.{merchant.rate_ppm % 10000 // 100:02d}%"
    # A reversal has no refund numbers of its own; what went back is in the amounts.
    reversal = refund is not None and objects.REVERSED in order.extra
    numbers = ("0", "0")
    if refund is not None and not reversal:
        numbers = (refund.refund_no, refund.out_refund_no)
    paid = yuan(0) if refund else yuan(entry.amount_fen)
    back = yuan(entry.amount_fen) if refund else yuan(0)
    row = {
        "交易时间": clock.beijing_text(entry.at),
        "公众账号ID": merchant.app_id,
        "商户号": merchant.merchant_no,
        "特约商户号": "0",
        "设备号": _text(device),
        "微信订单号": order.trade_no,
        "商户订单号": order.out_trade_no,
        "用户标识": order.payer_id,
        "交易类型": objects.trade_type(order),
        "交易状态": ("REVOKED" if reversal else "REFUND") if refund else "SUCCESS",
        "付款银行": "OTHERS",
        "货币种类": order.currency,
        "应结订单金额": paid,
        "代金券金额": yuan(0),
        "微信退款单号": numbers[0],
        "商户退款单号": numbers[1],
        "退款金额": back,
        "充值券退款金额": yuan(0),
        "退款类型": "ORIGINAL" if refund else "",
        "退款状态": _refund_status(refund, made_at) if refund else "",
        "商品名称": _text(order.description),
        "商户数据包": _text(order.attach),
        "手续费": yuan(entry.fee_fen, 5),
        "费率": rate,
        "订单金额": paid,
        "申请退款金额": back,
        "费率备注": "",
    }
    if refund:
        finished = refund.finished_at
        row["退款申请时间"] = clock.beijing_text(refund.created_at)
        row["退款成功时间"] = (
            clock.beijing_text(finished) if finished and row["退款状态"] == "SUCCESS" else ""
        )
    return row


def trade_bill(merchant: Merchant, day: date, bill_type: str) -> bytes | None:
    """The trade bill of a day, ``bill_type`` ALL, SUCCESS or REFUND; None if nothing happened."""
    entries = _spoil(_entries(merchant, day, bill_type))
    if not entries:
        return None
    made_at = clock.beijing_period(day)[1] + timedelta(hours=9)
    rows = [_trade_row(merchant, entry, made_at) for entry in entries]
    headings = {
        "ALL": list(ALL_HEADINGS),
        "SUCCESS": list(SUCCESS_HEADINGS),
        "REFUND": list(REFUND_HEADINGS),
    }[bill_type]
    if faults.take("bill_changed_columns", platform=Platform.WECHATPAY) is not None:
        headings = _changed(headings)
        for row in rows:
            row["门店编号"] = ""
    paid = sum(entry.amount_fen for entry in entries if entry.refund is None)
    back = sum(entry.amount_fen for entry in entries if entry.refund is not None)
    fee = sum(entry.fee_fen for entry in entries)
    totals = [
        str(len(entries)),
        yuan(paid),
        yuan(back),
        yuan(0),
        yuan(fee, 5),
        yuan(paid),
        yuan(back),
    ]
    return _render(headings, rows, SUMMARY_HEADINGS, totals)


def _changed(headings: list[str]) -> list[str]:
    """The fault bill_changed_columns: a new column, and 商品名称 at the end."""
    moved = [name for name in headings if name != "商品名称"]
    moved.insert(moved.index("商户号") + 1, "门店编号")
    return [*moved, "商品名称"]


# --- fund bill ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One movement of the account; ``amount_fen`` positive for income."""

    at: datetime
    business_no: str
    flow_no: str
    name: str
    kind: str
    amount_fen: int
    applicant: str
    note: str
    voucher_no: str


def _flow_no(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"1010{int(digest[:16], 16) % 10**15:015d}"


def _movements(merchant: Merchant, day: date) -> list[Movement]:
    moves: list[Movement] = []
    for order in books.payments_of(merchant, day=day):
        at = order.paid_at or order.created_at
        note = f"结算总金额{yuan(order.amount_fen)}元;含手续费{yuan(order.fee_fen)}元"
        moves.append(
            Movement(
                at=at,
                business_no=order.trade_no,
                flow_no=_flow_no(order.trade_no),
                name="交易",
                kind="交易",
                amount_fen=order.amount_fen,
                applicant="system",
                note=note,
                voucher_no=order.out_trade_no,
            )
        )
        if order.fee_fen:
            moves.append(
                replace(
                    moves[-1],
                    flow_no=_flow_no(f"{order.trade_no} fee"),
                    kind="扣除交易手续费",
                    amount_fen=-order.fee_fen,
                )
            )
    refunds = books.refunds_of(merchant, day=day).exclude(state=RefundState.CLOSED)
    moves.extend(_refund_movement(merchant, refund) for refund in refunds)
    moves.sort(key=lambda move: move.at)
    return moves


def _refund_movement(merchant: Merchant, refund: Refund) -> Movement:
    """A refund leaves the account net of the fee that comes back."""
    reversal = objects.REVERSED in refund.order.extra
    return Movement(
        at=refund.created_at,
        business_no=refund.refund_no,
        flow_no=refund.order.trade_no,
        name="退款",
        kind="退款",
        amount_fen=refund.fee_fen - refund.amount_fen,
        applicant="system" if reversal else f"{merchant.merchant_no}API",
        note=f"退款总金额{yuan(refund.amount_fen)}元;含手续费{yuan(refund.fee_fen)}元",
        voucher_no=refund.order.out_trade_no if reversal else refund.out_refund_no,
    )


def _opening_balance(merchant: Merchant, day: date) -> int:
    start = clock.beijing_period(day)[0]
    paid = books.payments_of(merchant).filter(paid_at__lt=start)
    back = books.refunds_of(merchant).filter(created_at__lt=start)
    income = paid.aggregate(amount=Sum("amount_fen"), fee=Sum("fee_fen"))
    outgo = back.exclude(state=RefundState.CLOSED).aggregate(
        amount=Sum("amount_fen"), fee=Sum("fee_fen")
    )
    return (
        OPENING_BALANCE_FEN
        + (income["amount"] or 0)
        - (income["fee"] or 0)
        - (outgo["amount"] or 0)
        + (outgo["fee"] or 0)
    )


def fund_bill(merchant: Merchant, day: date, account_type: str) -> bytes | None:
    """The fund bill of a day; only the BASIC account ever moves. None if nothing happened."""
    moves = _movements(merchant, day) if account_type == "BASIC" else []
    if not moves:
        return None
    balance = _opening_balance(merchant, day)
    rows: list[Row] = []
    for move in moves:
        balance += move.amount_fen
        cells = (
            clock.beijing_text(move.at),
            move.business_no,
            move.flow_no,
            move.name,
            move.kind,
            "收入" if move.amount_fen > 0 else "支出",
            yuan(abs(move.amount_fen)),
            yuan(balance),
            move.applicant,
            _text(move.note),
            move.voucher_no,
        )
        rows.append(dict(zip(FUND_HEADINGS, cells, strict=True)))
    income = [move.amount_fen for move in moves if move.amount_fen > 0]
    outgo = [-move.amount_fen for move in moves if move.amount_fen <= 0]
    totals = [
        str(len(moves)),
        str(len(income)),
        yuan(sum(income)),
        str(len(outgo)),
        yuan(sum(outgo)),
    ]
    return _render(list(FUND_HEADINGS), rows, FUND_SUMMARY_HEADINGS, totals)
