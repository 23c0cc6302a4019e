"""Platform codes in plain words: what happened, what it means for the money, what to do."""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apps.platforms.gateway import API_V3_KEY_WRONG, Platform, StatementUnreadable

#: Codes of ours, see ``PlatformUnavailable``.
_COMMON: dict[str, Promise] = {
    "timeout": _(
        "The platform did not answer in time. Whether it took effect is not known yet; the portal asks again by itself. Do not pay or refund a second time."
    ),
    "network": _(
        "The platform could not be reached. Nothing is lost; the portal tries again by itself. If it stays so, check this server's network connection."
    ),
    "bad_signature": _(
        "The platform's answer could not be verified and was not trusted. The result is asked for again. If it stays so, check the platform's public key under Platforms."
    ),
    "unknown_serial": _(
        "The platform signed with a key that is not stored here. Check the WeChat Pay public key ID, or add the new platform certificate."
    ),
    "signature_probe": _(
        "The platform sent a test with a wrong signature on purpose; it was refused as it should be and the call is repeated."
    ),
    "clock_skew": _(
        "This server's clock differs from the platform's by more than five minutes. Correct the clock; until then nothing can be verified."
    ),
    "bad_answer": _(
        "The platform's answer cannot be used: it is incomplete or about something else. The result is asked for again."
    ),
    "too_large": _(
        "The platform's answer is larger than expected and was dropped. Try again later."
    ),
    "bad_hash": _(
        "The bill file was damaged on its way: it does not match the platform's checksum. It is fetched again."
    ),
    "bad_file": _("The platform did not deliver a usable bill file. It is fetched again."),
    "bad_key": _(
        "The private key stored here cannot be used, so nothing was sent. Enter it again under Platforms."
    ),
    "payer_missing": _(
        "The payer is not known yet, so the payment was not opened. Open the code again inside the wallet."
    ),
    "client_ip_missing": _(
        "The payer's network address is not known, so the payment was not opened. Open the page again."
    ),
}

_WECHATPAY: dict[str, Promise] = {
    API_V3_KEY_WRONG: _(
        "APIv3 key wrong: a genuine notification of WeChat Pay does not open with the key stored here. Payments are still found, since the portal asks by itself, but later. Copy the key again, or set a new one on the merchant platform under Account center, API security, and store it here under Change."
    ),
    "PARAM_ERROR": _(
        "WeChat Pay did not accept one of the values sent. No money moved. Check the amount, the notification address and the settings."
    ),
    "INVALID_REQUEST": _(
        "WeChat Pay refuses this in the order's present state. No money moved by this call; look at the payment's state first."
    ),
    "APPID_MCHID_NOT_MATCH": _(
        "The AppID is not linked to the merchant number. Link it on the merchant platform under Product center, AppID account management."
    ),
    "APPID_NOT_EXIST": _(
        "The AppID is not linked to the merchant number. Link it on the merchant platform under Product center, AppID account management."
    ),
    "MCH_NOT_EXISTS": _("WeChat Pay does not know this merchant number. Check it under Platforms."),
    "ORDER_CLOSED": _(
        "The order is closed at WeChat Pay; nothing was charged. Open a new payment."
    ),
    "ORDERCLOSED": _("The order is closed at WeChat Pay; nothing was charged. Open a new payment."),
    "SIGN_ERROR": _(
        "WeChat Pay did not accept our signature. No money moved. Check the private key, the certificate's serial number and this server's clock."
    ),
    "NO_AUTH": _(
        "The merchant number may not use this product. Apply for it on the merchant platform under Product center, or check whether the account is restricted."
    ),
    "NOAUTH": _(
        "The merchant number may not use this product. Apply for it on the merchant platform under Product center, or check whether the account is restricted."
    ),
    "OUT_TRADE_NO_USED": _(
        "The order number was used before with other details. No second charge was made; open a new payment."
    ),
    "RULE_LIMIT": _(
        "A rule of WeChat Pay forbids this, often a limit on amounts or on what a merchant may do. No money moved; see the merchant platform."
    ),
    "TRADE_ERROR": _(
        "WeChat Pay could not carry this out in the trade's present state. Look at the payment's state before trying again."
    ),
    "TRADE_STATE_ERROR": _(
        "WeChat Pay could not carry this out in the trade's present state. Look at the payment's state before trying again."
    ),
    "ORDER_PAID": _(
        "The order is paid already and cannot be closed. The payment is booked as soon as the query confirms it."
    ),
    "ORDERPAID": _(
        "The order is paid already and cannot be closed. The payment is booked as soon as the query confirms it."
    ),
    "NOT_ENOUGH": _(
        "The balance at WeChat Pay is too low for this refund. No money moved. Top up on the merchant platform; the same refund is then sent again."
    ),
    "NOTENOUGH": _(
        "The balance at WeChat Pay is too low for this refund. No money moved. Top up on the merchant platform; the same refund is then sent again."
    ),
    "USER_ACCOUNT_ABNORMAL": _(
        "The payer's account is closed or blocked, so the refund cannot be returned there. Agree with the payer on another way."
    ),
    "ORDER_NOT_EXIST": _("WeChat Pay does not know this order: nothing was charged."),
    "ORDERNOTEXIST": _("WeChat Pay does not know this order: nothing was charged."),
    "RESOURCE_NOT_EXISTS": _(
        "WeChat Pay does not know this refund, or the order is not paid. No money moved; the same refund may be sent again."
    ),
    "FREQUENCY_LIMITED": _(
        "Too many requests in a short time. The result is not known yet; the portal asks again more slowly."
    ),
    "FREQUENCY_LIMIT_EXCEED": _(
        "Too many requests in a short time. The result is not known yet; the portal asks again more slowly."
    ),
    "RATELIMIT_EXCEEDED": _(
        "Too many requests in a short time. The result is not known yet; the portal asks again more slowly."
    ),
    "SYSTEM_ERROR": _(
        "WeChat Pay had an internal error. The result is not known yet; the portal asks again by itself."
    ),
    "SYSTEMERROR": _(
        "WeChat Pay had an internal error. The result is not known yet; the portal asks again by itself."
    ),
    "SERVICE_UNAVAILABLE": _(
        "WeChat Pay is not available at the moment. The portal tries again by itself."
    ),
    "NO_STATEMENT_EXIST": _("There is no bill for this day: WeChat Pay recorded no trade."),
    "STATEMENT_CREATING": _(
        "WeChat Pay is still preparing the bill. It is fetched again later; bills are ready after 10:00 of the next day (China time)."
    ),
    "TRADE_OVERDUE": _(
        "The payment is older than a year and can no longer be refunded through WeChat Pay. Agree with the payer on another way."
    ),
    "REFUND_FEE_MISMATCH": _(
        "The refund number was used before with another amount. No second refund was made; look at the earlier refund."
    ),
    "ABNORMAL": _(
        "The refund could not be returned: the payer's card is closed or blocked. On the merchant platform, under abnormal refunds, choose where the money goes."
    ),
    "NOTPAY": _("Not paid yet."),
    "USERPAYING": _("The payer is entering the password."),
    "PAYERROR": _("The payment failed; nothing was charged."),
    "REVOKED": _("The payment was reversed; nothing is left charged."),
    "CLOSED": _(
        "Closed at WeChat Pay. A closed payment was not charged; a closed refund returned no money and needs a new refund."
    ),
    "PROCESSING": _(
        "WeChat Pay has accepted the refund and returns the money: to a wallet within minutes, to a card within 1 to 3 working days."
    ),
    "40029": _(
        "The wallet's sign-in code is no longer valid. Nothing was charged; open the code again."
    ),
    "40163": _(
        "The wallet's sign-in code is no longer valid. Nothing was charged; open the code again."
    ),
    "41008": _(
        "The wallet's sign-in code is no longer valid. Nothing was charged; open the code again."
    ),
    "40125": _(
        "The AppSecret is wrong. Check it under Platforms; until then payment inside WeChat does not work."
    ),
    "40001": _(
        "The AppSecret is wrong. Check it under Platforms; until then payment inside WeChat does not work."
    ),
    "41004": _(
        "The AppSecret is wrong. Check it under Platforms; until then payment inside WeChat does not work."
    ),
    "40013": _("The AppID is wrong. Check it under Platforms."),
}

_ALIPAY: dict[str, Promise] = {
    "20000": _(
        "Alipay is not available at the moment, so the result is not known yet. The portal asks again by itself."
    ),
    "isp.unknow-error": _(
        "Alipay is not available at the moment, so the result is not known yet. The portal asks again by itself."
    ),
    "20001": _(
        "The wallet's sign-in is no longer valid. Nothing was charged; open the code again."
    ),
    "aop.invalid-auth-token": _(
        "The wallet's sign-in is no longer valid. Nothing was charged; open the code again."
    ),
    "isv.code-invalid": _(
        "The wallet's sign-in is no longer valid. Nothing was charged; open the code again."
    ),
    "40001": _(
        "Alipay misses something in the request. No money moved. Please report this with the payment's number."
    ),
    "40002": _(
        "Alipay did not accept one of the values sent. No money moved. Check the amount and the settings."
    ),
    "ACQ.INVALID_PARAMETER": _(
        "Alipay did not accept one of the values sent. No money moved. Check the amount and the settings."
    ),
    "isv.invalid-parameter": _(
        "Alipay did not accept one of the values sent. No money moved. Check the amount and the settings."
    ),
    "40003": _(
        "The application may not use this product. Sign it in the Alipay console and put the application online."
    ),
    "40006": _(
        "The application may not use this product. Sign it in the Alipay console and put the application online."
    ),
    "isv.insufficient-isv-permissions": _(
        "The application may not use this product. Sign it in the Alipay console and put the application online."
    ),
    "isv.insufficient-user-permissions": _(
        "The application may not use this product. Sign it in the Alipay console and put the application online."
    ),
    "ACQ.ACCESS_FORBIDDEN": _(
        "The application may not use this product. Sign it in the Alipay console and put the application online."
    ),
    "isv.invalid-signature": _(
        "Alipay did not accept our signature. No money moved. Check that the application public key in the console belongs to the private key stored here."
    ),
    "isv.missing-signature": _(
        "Alipay did not accept our signature. No money moved. Check that the application public key in the console belongs to the private key stored here."
    ),
    "isv.invalid-signature-type": _(
        "Alipay did not accept our signature. No money moved. Check that the application public key in the console belongs to the private key stored here."
    ),
    "isv.missing-signature-config": _(
        "Alipay did not accept our signature. No money moved. Check that the application public key in the console belongs to the private key stored here."
    ),
    "isv.invalid-app-id": _(
        "Alipay does not know this APPID, or the application is not online. Check it under Platforms."
    ),
    "isv.missing-app-id": _(
        "Alipay does not know this APPID, or the application is not online. Check it under Platforms."
    ),
    "isv.invalid-timestamp": _("This server's clock differs from Alipay's. Correct the clock."),
    "isv.app-call-limited": _(
        "Too many requests in a short time. The result is not known yet; the portal asks again more slowly."
    ),
    "isp.call-limited": _(
        "Too many requests in a short time. The result is not known yet; the portal asks again more slowly."
    ),
    "ACQ.SYSTEM_ERROR": _(
        "Alipay had an internal error. The result is not known yet; the portal asks again by itself."
    ),
    "AQC.SYSTEM_ERROR": _(
        "Alipay had an internal error. The result is not known yet; the portal asks again by itself."
    ),
    "ACQ.TRADE_NOT_EXIST": _(
        "Alipay has no such trade: the code was not scanned yet, and nothing was charged."
    ),
    "ACQ.TRADE_HAS_SUCCESS": _(
        "The trade is paid already; it is not charged again. The payment is booked as soon as the query confirms it."
    ),
    "ACQ.TRADE_HAS_CLOSE": _(
        "The trade is closed at Alipay; nothing was charged. Open a new payment."
    ),
    "ACQ.CONTEXT_INCONSISTENT": _(
        "The order number was used before with other details. No second charge was made; open a new payment."
    ),
    "ACQ.TRADE_BUYER_NOT_MATCH": _(
        "Another payer has begun this order. Nothing was charged to this one; open a new payment."
    ),
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": _(
        "The payer's balance is too low; nothing was charged. The payer may choose another way to pay."
    ),
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH": _(
        "The payer's balance is too low; nothing was charged. The payer may choose another way to pay."
    ),
    "ACQ.PAYMENT_FAIL": _(
        "Alipay refused the payment; nothing was charged. The payer may choose another way to pay."
    ),
    "ACQ.PAYMENT_REQUEST_HAS_RISK": _(
        "Alipay refused the payment; nothing was charged. The payer may choose another way to pay."
    ),
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE": _(
        "Alipay refused the payment; nothing was charged. The payer may choose another way to pay."
    ),
    "ACQ.PAYMENT_AUTH_CODE_INVALID": _(
        "The payer's code is no longer valid; nothing was charged. Scan a fresh code."
    ),
    "ACQ.TOTAL_FEE_EXCEED": _(
        "The amount is above the limit for this merchant; nothing was charged."
    ),
    "ACQ.EXIST_FORBIDDEN_WORD": _(
        "The description holds a word that Alipay forbids; nothing was charged. Change the description."
    ),
    "ACQ.PARTNER_ERROR": _(
        "Alipay does not accept the merchant's account for this application. Check PID and APPID under Platforms."
    ),
    "ACQ.BUYER_SELLER_EQUAL": _(
        "Payer and merchant are the same account; nothing was charged. Pay with another account."
    ),
    "ACQ.SELLER_BEEN_BLOCKED": _(
        "Alipay has blocked the merchant's account. Nothing was charged; contact Alipay."
    ),
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": _(
        "The merchant's balance at Alipay is too low for this refund. No money moved. Top up; the same refund is then sent again."
    ),
    "ACQ.DISCORDANT_REPEAT_REQUEST": _(
        "The refund number was used before with another amount. No second refund was made; look at the earlier refund."
    ),
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": _(
        "The refund's amount is not the trade's total. No money moved."
    ),
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": _(
        "The refund is more than what is left of the trade. No money moved; look at the refunds made so far."
    ),
    "ACQ.TRADE_HAS_FINISHED": _(
        "The time in which this trade can be refunded through Alipay is over. No money moved; agree with the payer on another way."
    ),
    "ACQ.TRADE_NOT_ALLOW_REFUND": _(
        "The time in which this trade can be refunded through Alipay is over. No money moved; agree with the payer on another way."
    ),
    "ACQ.TRADE_STATUS_ERROR": _(
        "Alipay refuses this in the trade's present state. Look at the payment's state before trying again."
    ),
    "ACQ.REASON_TRADE_STATUS_INVALID": _(
        "Alipay refuses this in the trade's present state. Look at the payment's state before trying again."
    ),
    "ACQ.REASON_ILLEGAL_STATUS": _(
        "Alipay refuses this in the trade's present state. Look at the payment's state before trying again."
    ),
    "ACQ.REASON_TRADE_BEEN_FREEZEN": _(
        "The trade is frozen at Alipay and cannot be refunded. Contact Alipay."
    ),
    "ACQ.TRADE_CANCEL_TIME_OUT": _("The trade can no longer be cancelled. Refund it instead."),
    "ACQ.CANCEL_NOT_ALLOWED": _("The trade can no longer be cancelled. Refund it instead."),
    "REFUND_NOT_EXIST": _(
        "Alipay has not made this refund. No money moved; the same refund may be sent again."
    ),
    "fund_change_n": _(
        "Alipay accepted the refund, but the money has not moved yet. The portal asks again by itself."
    ),
    "isp.bill_not_exist": _(
        "There is no bill for this day yet, or nothing happened on it. Bills are ready after 10:00 of the next day (China time)."
    ),
    "BILL_NOT_EXIST": _(
        "There is no bill for this day yet, or nothing happened on it. Bills are ready after 10:00 of the next day (China time)."
    ),
    "isv.bill_not_exist": _(
        "There is no bill for this day yet, or nothing happened on it. Bills are ready after 10:00 of the next day (China time)."
    ),
    "INVAILID_ARGUMENTS": _(
        "Alipay does not give a bill for this day: it is today or later, or too long ago."
    ),
    "INVALID_ARGUMENTS": _(
        "Alipay does not give a bill for this day: it is today or later, or too long ago."
    ),
    "UNKNOW_ERROR": _(
        "Alipay is not available at the moment, so the result is not known yet. The portal asks again by itself."
    ),
    "aop.unknow-error": _(
        "Alipay is not available at the moment, so the result is not known yet. The portal asks again by itself."
    ),
    "WAIT_BUYER_PAY": _("Not paid yet."),
    "TRADE_CLOSED": _("Closed at Alipay: not paid in time, closed, or refunded in full."),
    "TRADE_FINISHED": _("Paid; Alipay no longer refunds this trade."),
}

_TABLES: dict[Platform, dict[str, Promise]] = {
    Platform.WECHATPAY: _WECHATPAY,
    Platform.ALIPAY: _ALIPAY,
}

#: Reasons of ``StatementUnreadable``.
_STATEMENTS: dict[str, Promise] = {
    "other_day": _("This file is of another day. Choose the bill of the day you want to import."),
    "other_account": _(
        "This file belongs to another merchant account. Choose the account it belongs to."
    ),
    "other_format": _(
        "This file is not the bill that is expected here. Download the CSV or zip of the right kind from the platform, and do not open and save it in a spreadsheet."
    ),
    "truncated": _("The file is incomplete: its end is missing. Download it again."),
    "too_large": _("The file is too large."),
    "bad_row": _(
        "A row of the file cannot be read, so nothing was imported. Download the file again, and do not edit it."
    ),
    "totals": _(
        "The rows do not add up to the file's own totals, so nothing was imported. Download the file again, and do not edit it."
    ),
    "personal_bill": _(
        "This is the bill of a private wallet. The portal needs the merchant's bill from the merchant platform."
    ),
}

_SERVER_TROUBLE = _(
    "The platform's server is in trouble ({code}). The result is not known yet; the portal asks again by itself."
)
_UNKNOWN = _(
    "The platform answered with the code {code}. No state was changed by it here; look the code up on the merchant platform or ask the platform's service."
)
_AT_LINE = _("Line {line}: {words}")
_AT_CELL = _("Line {line}, column {column}: {words}")


def explain(platform: Platform | str, code: str, *, fallback: str = "") -> Promise | str:
    """Plain words for a platform's code (or one of ours), translated when shown.

    An unknown code gives ``fallback``, or a sentence that names the code. An empty code gives ``fallback``.
    """
    table = _TABLES.get(Platform(platform), {})
    for known in (table, _COMMON):
        if code in known:
            return known[code]
    if re.fullmatch(r"http_\d{3}", code):
        return format_lazy(_SERVER_TROUBLE, code=code.removeprefix("http_"))
    if fallback or not code:
        return fallback
    return format_lazy(_UNKNOWN, code=code)


def explain_statement(error: StatementUnreadable) -> Promise | str:
    """Plain words for a bill that cannot be read, with the place in the file where it is known."""
    words = _STATEMENTS.get(error.reason, _STATEMENTS["other_format"])
    if error.line is None:
        return words
    if error.column is None:
        return format_lazy(_AT_LINE, line=error.line, words=words)
    return format_lazy(_AT_CELL, line=error.line, column=error.column, words=words)


def known_codes(platform: Platform | str) -> frozenset[str]:
    """The codes that have words of their own."""
    return frozenset(_TABLES.get(Platform(platform), {})) | frozenset(_COMMON)
