"""How Shouqianba refuses: by the envelope (400, 500) or by the business result inside it (dossier 2.3, 2.5)."""

from __future__ import annotations

from typing import Any

#: Every documented code with the text that goes beside it; clients branch on the code only.
MESSAGES: dict[str, str] = {
    "INVALID_PARAMS": "参数错误",
    "INVALID_TERMINAL": "终端错误",
    "ILLEGAL_SIGN": "签名错误",
    "UNKNOWN_SYSTEM_ERROR": "系统错误",
    "INVALID_BARCODE": "条码错误",
    "EXPIRED_BARCODE": "过期的支付条码",
    "INSUFFICIENT_FUND": "账户金额不足",
    "BUYER_OVER_DAILY_LIMIT": "付款人当日付款金额超过上限",
    "BUYER_OVER_TRANSACTION_LIMIT": "付款人单笔付款金额超过上限",
    "SELLER_OVER_DAILY_LIMIT": "收款账户当日收款金额超过上限",
    "TRADE_NOT_EXIST": "交易不存在",
    "TRADE_HAS_SUCCESS": "交易已被支付",
    "SELLER_BALANCE_NOT_ENOUGH": "卖家余额不足",
    "REFUND_AMT_NOT_EQUAL_TOTAL": "退款金额无效",
    "TRADE_FAILED": "交易失败",
    "UNEXPECTED_PROVIDER_ERROR": "不认识的支付通道",
    "TRADE_TIMEOUT": "交易超时自动撤单",
    "ACCOUNT_BALANCE_NOT_ENOUGH": "商户余额不足",
    "CLIENT_SN_CONFLICT": "client_sn在系统中已存在",
    "UPAY_ORDER_NOT_EXISTS": "订单不存在",
    "REFUNDABLE_AMOUNT_NOT_ENOUGH": "订单可退金额不足",
    "UPAY_TERMINAL_NOT_EXISTS": "终端号在交易系统中不存在",
    "UPAY_TERMINAL_STATUS_ABNORMAL": "终端未激活",
    "UPAY_CANCEL_ORDER_NOOP": "无效操作，订单已经是撤单状态了",
    "UPAY_CANCEL_INVALID_ORDER_STATE": "当前订单状态不可撤销",
    "UPAY_REFUND_ORDER_NOOP": "无效操作，本次退款已经完成了",
    "UPAY_REFUND_INVALID_ORDER_STATE": "当前订单状态不可退款",
    "UPAY_STORE_OVER_DAILY_LIMIT": "商户日收款额超过上限",
    "UPAY_TCP_ORDER_NOT_REFUNDABLE": "订单参与了活动并且无法撤销",
}


class EnvelopeRefusal(Exception):
    """The call itself is refused; there is no ``biz_response``. HTTP is 200 all the same."""

    def __init__(self, code: str, message: str = "", *, result_code: str = "400") -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES[code]
        self.result_code = result_code

    @property
    def envelope(self) -> dict[str, Any]:
        """The whole answer."""
        return {
            "result_code": self.result_code,
            "error_code": self.code,
            "error_message": self.message,
        }


class BusinessRefusal(Exception):
    """The action is refused: ``biz_response`` with a result, an error code and perhaps the order's data.

    Result FAIL means that nothing was started.
    """

    def __init__(
        self,
        code: str,
        *,
        result: str = "FAIL",
        message: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{result} {code}")
        self.code = code
        self.biz = biz(result, data=data, error_code=code, error_message=message)


def invalid_params(message: str) -> EnvelopeRefusal:
    """400 INVALID_PARAMS that says which parameter."""
    return EnvelopeRefusal("INVALID_PARAMS", message)


def biz(
    result: str,
    *,
    data: dict[str, Any] | None = None,
    error_code: str = "",
    error_message: str = "",
) -> dict[str, Any]:
    """A ``biz_response``; without an error code it has no error fields, without data no data."""
    answer: dict[str, Any] = {"result_code": result}
    if error_code:
        answer["error_code"] = error_code
        answer["error_message"] = error_message or MESSAGES.get(error_code, error_code)
    if data is not None:
        answer["data"] = data
    return answer
