"""Which column of a table holds what: our fields, the usual headings, a first guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from apps.core.money import InvalidAmount, Money
from apps.platforms.tables.cells import Sample

#: What a row may tell, in the order in which it is asked for; the first two it must tell.
FIELDS: Final = (
    "at",
    "amount",
    "order_no",
    "trade_no",
    "kind",
    "refund_no",
    "refund_trade_no",
    "fee",
    "status",
    "product",
)
REQUIRED: Final = frozenset({"at", "amount"})
#: At least one of these must be there: a row without a number can be matched with nothing.
NUMBERS: Final = frozenset({"order_no", "trade_no"})
#: The columns of the files that the portal writes itself, and the first guess at a console export.
DEFAULT_COLUMNS: Final[Mapping[str, str]] = {
    "at": "交易时间",
    "trade_no": "收钱吧订单号",
    "order_no": "商户订单号",
    "kind": "交易类型",
    "refund_no": "退款单号",
    "refund_trade_no": "退款流水号",
    "product": "支付方式",
    "amount": "订单金额(元)",
    "fee": "手续费(元)",
    "status": "状态",
}
#: Headings of amounts that are not what was paid: what is left after the fee, or a part of it. Never taken by a guess.
_OTHER_AMOUNTS: Final = (
    "实收", "到账", "入账", "结算", "清算", "净", "手续费", "服务费", "佣金", "优惠", "折扣", "补贴", "退款", "余额",
    "net", "settle", "received", "payout", "fee", "discount", "refund", "balance",
)  # fmt: skip


def guess(headings: Sequence[str]) -> dict[str, str]:
    """A first column map for these headings: those that are named as usual.

    The amount is what the payer paid. A column of what is left of it after the fee is not guessed, be it the only amount.
    """
    words = {
        "at": ("交易时间", "支付时间", "创建时间", "时间", "time"),
        "amount": ("订单金额", "交易金额", "金额", "amount"),
        "order_no": ("商户订单号", "商家订单号", "外部订单号", "client_sn"),
        "trade_no": ("收钱吧订单号", "平台订单号", "交易订单号", "订单号", "流水号"),
        "kind": ("交易类型", "业务类型", "类型", "type"),
        "refund_no": ("退款单号", "退款请求号", "商户退款单号"),
        "refund_trade_no": ("退款流水号",),
        "fee": ("手续费", "fee"),
        "status": ("状态", "status"),
        "product": ("支付方式", "付款方式", "支付渠道"),
    }
    found: dict[str, str] = {}
    taken: set[str] = set()
    for field in FIELDS:
        for word in words[field]:
            fits = [one for one in headings if one and one not in taken and word in one.lower()]
            if field == "amount":
                fits = [
                    one for one in fits if not any(sign in one.lower() for sign in _OTHER_AMOUNTS)
                ]
            if fits:
                found[field] = min(fits, key=len)
                taken.add(found[field])
                break
    return found


def gross_column(sample: Sample, columns: Mapping[str, str]) -> str:
    """The heading of a column that holds amount and fee together in each row; "" where there is none.

    Then the chosen amount is most likely what was left after the fee. The fee's column is taken as chosen or as guessed.
    """
    fee = columns.get("fee") or guess(sample.headings).get("fee", "")
    amount = columns.get("amount", "")
    headings = list(sample.headings)
    if not sample.rows or not {amount, fee} <= {*headings} or not fee:
        return ""
    rows = [dict(zip(headings, cells, strict=False)) for _line, cells in sample.rows]
    wanted = [_sum_of(row, amount, fee) for row in rows]
    if None in wanted or not any(_fen(row.get(fee, "")) for row in rows):
        return ""
    for heading in headings:
        if heading in {"", amount, fee}:
            continue
        if [_fen(row.get(heading, "")) for row in rows] == wanted:
            return heading
    return ""


def _sum_of(row: Mapping[str, str], *headings: str) -> int | None:
    parts = [_fen(row.get(heading, "")) for heading in headings]
    return None if None in parts else sum(part for part in parts if part is not None)


def _fen(text: str) -> int | None:
    """An amount without its sign, in fen; None for what is none."""
    bare = text.replace("¥", "").replace("￥", "").replace("元", "").replace(",", "").strip()
    try:
        return abs(Money.from_yuan(bare).minor)
    except InvalidAmount:
        return None
