"""The catalogue of faults: what each does, at which platforms, and with what values.

``faults`` puts them in force. A new fault is one entry here and a ``faults.take(key, …)`` where it would happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from apps.simulator.models import Platform

WECHATPAY, ALIPAY = Platform.WECHATPAY.value, Platform.ALIPAY.value
UNIONPAY, SHOUQIANBA = Platform.UNIONPAY.value, Platform.SHOUQIANBA.value


class Topic(Enum):
    """What a fault is about, in the order in which people look for it: (Chinese, English)."""

    ANSWERS = ("接口应答", "Answers")
    TRANSPORT = ("网络与代理", "Network and proxies")
    SIGNATURES = ("签名与证书", "Signatures and certificates")
    PAYING = ("支付", "Paying")
    REFUNDS = ("退款与撤销", "Refunds and reversals")
    NOTICES = ("异步通知", "Notices")
    BILLS = ("账单", "Bills")
    TERMINALS = ("终端", "Terminals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault. ``value`` is the default; ``platforms`` empty for all of them.

    ``more`` are values that it also takes, with what they are like. Every value may carry "path": then only requests whose path contains it are hit.
    """

    topic: Topic
    english: str
    chinese: str
    value: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()

    def concerns(self, platform: str) -> bool:
        """Whether it can happen at this platform; "" stands for all of them."""
        return not platform or not self.platforms or platform in self.platforms


_ANSWERS: dict[str, Kind] = {
    "slow": Kind(
        topic=Topic.ANSWERS,
        english="answers come after value.seconds",
        chinese="过 value.seconds 秒才应答",
        value={"seconds": 3},
    ),
    "http_500": Kind(
        topic=Topic.ANSWERS,
        english="500 system error, nothing is done",
        chinese="应答 500 系统错误，什么也没做",
        more={"http_status": 500},
    ),
    "rate_limited": Kind(
        topic=Topic.ANSWERS,
        english="refused as too frequent (429, or the platform's own code), nothing is done",
        chinese="提示请求太频繁，什么也没做",
    ),
    "clock_skew": Kind(
        topic=Topic.ANSWERS,
        english=(
            "the platform's clock is value.seconds ahead (negative: behind): answers say so in Date, and requests whose time "
            "is too far from it are refused"
        ),
        chinese="平台时钟快 value.seconds 秒（负数为慢）：应答的 Date 如此，时间相差太多的请求被拒绝",
        value={"seconds": 900},
    ),
    "other_amount": Kind(
        topic=Topic.ANSWERS,
        english="answers name an amount that is value.fen higher than the true one, rightly signed",
        chinese="应答里的金额多出 value.fen 分，签名是对的",
        value={"fen": 1},
        platforms=(WECHATPAY, ALIPAY),
    ),
    "other_merchant": Kind(
        topic=Topic.ANSWERS,
        english="answers name another merchant's number or order, rightly signed",
        chinese="应答里写的是别的商户号或订单号，签名是对的",
        platforms=(WECHATPAY, ALIPAY),
    ),
    "unclear_answer": Kind(
        topic=Topic.ANSWERS,
        english="a transaction is done but answered value.code (03, 04, 05); a query says so of it",
        chinese="交易已做，应答码却是 value.code（03、04、05），查询时也这样说",
        value={"code": "05"},
        platforms=(UNIONPAY,),
    ),
    "query_not_found": Kind(
        topic=Topic.ANSWERS,
        english="queries answer 34, as if the transaction were not there",
        chinese="查询应答 34，好像没有这笔交易",
        platforms=(UNIONPAY,),
    ),
    "biz_refused": Kind(
        topic=Topic.ANSWERS,
        english="a payment call answers value.result_code and value.error_code and does nothing",
        chinese="支付类接口应答 value.result_code 和 value.error_code，什么也没做",
        value={"result_code": "FAIL", "error_code": "UNEXPECTED_PROVIDER_ERROR"},
        more={"error_message": ""},
        platforms=(SHOUQIANBA,),
    ),
}

_TRANSPORT: dict[str, Kind] = {
    "lost_before_commit": Kind(
        topic=Topic.TRANSPORT,
        english='the request is swallowed: nothing is done, and the answer is 504 (value.mode "504") or a broken connection ("drop")',
        chinese="请求丢失：什么也没做，应答 504（value.mode 为 504）或断开连接（drop）",
        value={"mode": "504"},
    ),
    "lost_after_commit": Kind(
        topic=Topic.TRANSPORT,
        english='the work is done, then the answer is 504 (value.mode "504") or a broken connection ("drop")',
        chinese="事情已做，应答丢失：504（value.mode 为 504）或断开连接（drop）",
        value={"mode": "504"},
    ),
    "proxy_page": Kind(
        topic=Topic.TRANSPORT,
        english="a proxy answers an HTML page with status value.status; nothing is done",
        chinese="中间代理返回一张网页，状态码 value.status，什么也没做",
        value={"status": 200},
    ),
    "truncated_answer": Kind(
        topic=Topic.TRANSPORT,
        english="the work is done, but the answer is cut off in the middle",
        chinese="事情已做，应答只有前一半",
    ),
    "huge_answer": Kind(
        topic=Topic.TRANSPORT,
        english="the work is done, but value.megabytes of blanks stand before the answer",
        chinese="事情已做，应答前面多出 value.megabytes 兆空白",
        value={"megabytes": 10},
    ),
}

_SIGNATURES: dict[str, Kind] = {
    "wrong_signature": Kind(
        topic=Topic.SIGNATURES,
        english="answers are signed with a stranger's key",
        chinese="应答用陌生人的密钥签名",
    ),
    "signtest": Kind(
        topic=Topic.SIGNATURES,
        english="answers and notices carry the vendor's probe WECHATPAY/SIGNTEST/ in place of a signature",
        chinese="应答和通知带微信的探测签名 WECHATPAY/SIGNTEST/",
        platforms=(WECHATPAY,),
    ),
    "key_ramp": Kind(
        topic=Topic.SIGNATURES,
        english='switching keys (merchants of key mode "both"): a share of value.share of answers and notices is signed by the public key, the rest by the certificate, whatever was asked for',
        chinese="密钥切换中（仅双密钥商户）：value.share 比例的应答和通知用公钥模式签名，其余用平台证书签名",
        value={"share": 0.5},
        platforms=(WECHATPAY,),
    ),
    "foreign_certificate": Kind(
        topic=Topic.SIGNATURES,
        english=(
            "UnionPay: answers and notices are signed with another owner's certificate of the same authority; "
            "Alipay in certificate mode: answers are signed with a certificate of a false authority"
        ),
        chinese="银联：应答和通知用同一机构签发给别人的证书签名；支付宝证书模式：应答用假机构签发的证书签名",
        platforms=(UNIONPAY, ALIPAY),
    ),
    "expired_certificate": Kind(
        topic=Topic.SIGNATURES,
        english="answers (UnionPay: and notices) carry a certificate that has ended; Alipay in certificate mode only",
        chinese="应答（银联还有通知）带已过期的证书；支付宝仅证书模式",
        platforms=(UNIONPAY, ALIPAY),
    ),
}

_PAYING: dict[str, Kind] = {
    "success_with_defect": Kind(
        topic=Topic.PAYING,
        english="payments and refunds succeed with A6 instead of 00",
        chinese="支付和退款成功，应答码是 A6 而不是 00",
        platforms=(UNIONPAY,),
    ),
    "settles_next_day": Kind(
        topic=Topic.PAYING,
        english="a transaction settles a day later than its time says",
        chinese="交易晚一天清算",
        platforms=(UNIONPAY,),
    ),
    "pay_unknown": Kind(
        topic=Topic.PAYING,
        english="a barcode payment answers 20000 (unknown); the money was taken if value.paid",
        chinese="付款码支付应答 20000（结果未知）；value.paid 为真时钱已扣",
        value={"paid": True},
        platforms=(ALIPAY,),
    ),
    "pay_in_progress": Kind(
        topic=Topic.PAYING,
        english="a barcode payment hangs as if a password were typed, for value.seconds; null for ever",
        chinese="付款码支付一直像在等密码，持续 value.seconds 秒；null 为永远",
        value={"seconds": None},
        platforms=(SHOUQIANBA,),
    ),
    "pay_error": Kind(
        topic=Topic.PAYING,
        english=(
            "a barcode payment answers value.result and reads value.order_status for value.seconds (null: for ever); "
            "the money was taken if value.paid. PAY_FAIL fails outright, with value.error_code"
        ),
        chinese=(
            "付款码支付应答 value.result，状态在 value.seconds 秒内显示 value.order_status（null 为永远）；"
            "value.paid 为真时钱已扣。PAY_FAIL 直接失败，错误码 value.error_code"
        ),
        value={
            "result": "PAY_FAIL_ERROR",
            "error_code": "TRADE_FAILED",
            "order_status": "PAY_ERROR",
            "status": "FAIL_ERROR",
            "seconds": 60,
            "paid": False,
        },
        platforms=(SHOUQIANBA,),
    ),
    "precreate_error": Kind(
        topic=Topic.PAYING,
        english="precreate answers value.result and value.error_code in place of a code",
        chinese="预下单应答 value.result 和 value.error_code，没有二维码",
        value={"result": "PRECREATE_FAIL_ERROR", "error_code": "UNEXPECTED_PROVIDER_ERROR"},
        platforms=(SHOUQIANBA,),
    ),
}

_REFUNDS: dict[str, Kind] = {
    "not_enough": Kind(
        topic=Topic.REFUNDS,
        english="refunds are refused: the merchant's balance is too small",
        chinese="退款被拒：商户余额不足",
        more={"error_code": ""},
    ),
    "refund_slow": Kind(
        topic=Topic.REFUNDS,
        english="refunds finish after value.seconds; null for never",
        chinese="退款过 value.seconds 秒才完成；null 为永远不完成",
        value={"seconds": 3600},
    ),
    "refund_abnormal": Kind(
        topic=Topic.REFUNDS,
        english="refunds end ABNORMAL: the payer's account cannot take the money",
        chinese="退款异常：退不回付款人的账户",
    ),
    "refund_closed": Kind(
        topic=Topic.REFUNDS,
        english="refunds end CLOSED: no money went back",
        chinese="退款关闭：没有退成",
    ),
    "refund_gap": Kind(
        topic=Topic.REFUNDS,
        english="a second refund of an order within value.seconds is refused as too frequent (429)",
        chinese="同一订单 value.seconds 秒内再次退款，提示太频繁（429）",
        value={"seconds": 60},
        platforms=(WECHATPAY,),
    ),
    "cancel_retry": Kind(
        topic=Topic.REFUNDS,
        english='a cancellation does nothing and answers retry_flag "Y": call again',
        chinese="撤销没有做，retry_flag 为 Y，要求重试",
        platforms=(ALIPAY,),
    ),
    "refund_in_progress": Kind(
        topic=Topic.REFUNDS,
        english="a refund is answered REFUND_IN_PROGRESS and done after value.seconds; null for never",
        chinese="退款应答 REFUND_IN_PROGRESS，过 value.seconds 秒才完成；null 为永远不完成",
        value={"seconds": 10},
        platforms=(SHOUQIANBA,),
    ),
    "cancel_in_progress": Kind(
        topic=Topic.REFUNDS,
        english="a cancellation is done, but answers value.result and does not read as done for value.seconds",
        chinese="撤单已做，应答却是 value.result，value.seconds 秒内看不出已完成",
        value={"result": "CANCEL_IN_PROGRESS", "seconds": 10},
        platforms=(SHOUQIANBA,),
    ),
    "cancel_reads_pay_canceled": Kind(
        topic=Topic.REFUNDS,
        english="a cancelled order reads PAY_CANCELED, as the newer notes show, instead of CANCELED",
        chinese="已撤的订单显示 PAY_CANCELED（新文档），而不是 CANCELED",
        platforms=(SHOUQIANBA,),
    ),
}

_NOTICES: dict[str, Kind] = {
    "notify_off": Kind(
        topic=Topic.NOTICES,
        english="no notices are made at all",
        chinese="完全不发通知",
    ),
    "notify_lost": Kind(
        topic=Topic.NOTICES,
        english="a notice is recorded as dropped and never sent",
        chinese="通知丢失，不再补发",
    ),
    "notify_twice": Kind(
        topic=Topic.NOTICES,
        english="a delivered notice is sent a second time at once",
        chinese="通知送达后马上再发一次",
    ),
    "notify_early": Kind(
        topic=Topic.NOTICES,
        english="the notice arrives before the caller has its answer",
        chinese="通知比接口应答先到",
    ),
    "notify_late": Kind(
        topic=Topic.NOTICES,
        english="the first attempt comes only after value.seconds",
        chinese="通知过 value.seconds 秒才发",
        value={"seconds": 60},
    ),
    "notify_out_of_order": Kind(
        topic=Topic.NOTICES,
        english="the notice waits until a later one of its order was sent",
        chinese="通知乱序：等同一订单的下一条先发",
    ),
    "notify_forged": Kind(
        topic=Topic.NOTICES,
        english="notices are signed with a stranger's key",
        chinese="通知用陌生人的密钥签名（伪造）",
    ),
    "notify_claimed": Kind(
        topic=Topic.NOTICES,
        english="value.seconds after an order is made, a forged notice claims that it was paid",
        chinese="下单 value.seconds 秒后，有人伪造通知，谎称已付款",
        value={"seconds": 1},
    ),
    "notify_replayed": Kind(
        topic=Topic.NOTICES,
        english="after a delivery, an earlier notice of the merchant comes again, byte for byte",
        chinese="送达后，把该商户以前的一条通知原样重放",
    ),
    "refund_notice_v2": Kind(
        topic=Topic.NOTICES,
        english="a refund is told by a v2 notice: XML, unsigned, sealed with the v2 key",
        chinese="退款通知用 v2 格式：XML，无签名，用 v2 密钥加密",
        platforms=(WECHATPAY,),
    ),
}

_BILLS: dict[str, Kind] = {
    "bill_late": Kind(
        topic=Topic.BILLS,
        english="bills are not ready, whatever the hour",
        chinese="账单一直没有生成好",
    ),
    "bill_changed_columns": Kind(
        topic=Topic.BILLS,
        english="bills have one more column and another order of columns",
        chinese="账单多一列，列的顺序也变了",
    ),
    "bill_off_by_fen": Kind(
        topic=Topic.BILLS,
        english="the first payment's amount is higher by value.fen",
        chinese="账单第一笔金额多 value.fen 分",
        value={"fen": 1},
    ),
    "bill_missing_row": Kind(
        topic=Topic.BILLS,
        english="the first payment is missing from the bill",
        chinese="账单少了第一笔",
    ),
    "bill_extra_row": Kind(
        topic=Topic.BILLS,
        english="the bill has a payment that nobody made",
        chinese="账单多出一笔没有人付过的",
    ),
    "bill_missing_when_empty": Kind(
        topic=Topic.BILLS,
        english="a day without transactions has no file (98)",
        chinese="没有交易的日子没有文件（98）",
        platforms=(UNIONPAY,),
    ),
    "bill_wrong_totals": Kind(
        topic=Topic.BILLS,
        english="the printed totals are a fen off the records",
        chinese="汇总与明细差一分",
        platforms=(UNIONPAY,),
    ),
}

_TERMINALS: dict[str, Kind] = {
    "checkin_lost": Kind(
        topic=Topic.TERMINALS,
        english='a check-in changes the key, its answer is lost ("504" or "drop"); two in a row cost the terminal',
        chinese="签到换了密钥，应答丢失（504 或 drop）；连续两次后终端失效",
        value={"mode": "504"},
        platforms=(SHOUQIANBA,),
    ),
    "key_revoked": Kind(
        topic=Topic.TERMINALS,
        english="the next call's terminal loses its keys until it is activated anew",
        chinese="下一次调用的终端失去密钥，要重新激活",
        platforms=(SHOUQIANBA,),
    ),
    "duplicate_device": Kind(
        topic=Topic.TERMINALS,
        english="a device that is activated again is refused",
        chinese="设备重复激活被拒",
        platforms=(SHOUQIANBA,),
    ),
}

KINDS: Final[dict[str, Kind]] = {
    **_ANSWERS,
    **_TRANSPORT,
    **_SIGNATURES,
    **_PAYING,
    **_REFUNDS,
    **_NOTICES,
    **_BILLS,
    **_TERMINALS,
}


def grouped(*, platform: str = "") -> list[tuple[Topic, list[tuple[str, Kind]]]]:
    """The faults that can happen at a platform (all, without one), topic by topic."""
    return [
        (topic, found)
        for topic in Topic
        if (
            found := [
                (key, kind)
                for key, kind in KINDS.items()
                if kind.topic is topic and kind.concerns(platform)
            ]
        )
    ]
