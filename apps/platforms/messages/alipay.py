"""The codes of Alipay, and ours where its words differ."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CODES: dict[str, Promise] = {
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
    "10003": _("The payer is entering the password."),
    "ACQ.SOUNDWAVE_PARSER_FAIL": _(
        "The payer's code is no longer valid; nothing was charged. Scan a fresh code."
    ),
    **dict.fromkeys(
        (
            "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
            "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
            "ACQ.ERROR_BALANCE_PAYMENT_DISABLE",
            "ACQ.BUYER_ENABLE_STATUS_FORBID",
        ),
        _(
            "A limit on the payer's account at Alipay forbids this payment; nothing was charged. The payer may choose another way to pay."
        ),
    ),
    **dict.fromkeys(
        (
            "ACQ.BEYOND_PAY_RESTRICTION",
            "ACQ.BEYOND_PER_RECEIPT_RESTRICTION",
            "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR",
        ),
        _("The amount is above the limit for this merchant; nothing was charged."),
    ),
    **dict.fromkeys(
        ("isv.missing-signature-type", "isv.missing-timestamp"),
        _(
            "Alipay misses something in the request. No money moved. Please report this with the payment's number."
        ),
    ),
    **dict.fromkeys(
        ("isv.app-cert-sn-not-matched", "isv.invalid-app-cert-sn", "isv.missing-app-cert-sn"),
        _(
            "Alipay does not accept the application certificate. No money moved. Download all three certificates anew in the Alipay console and enter them under Platforms."
        ),
    ),
    "bad_signature": _(
        "Alipay's answer could not be verified and was not trusted. The result is asked for again. If it stays so, check under Platforms the Alipay public key, or the Alipay certificate and the root certificate."
    ),
    **dict.fromkeys(
        (
            "certificate_empty",
            "certificate_garbled",
            "certificate_private",
            "certificate_public",
            "certificate_not_rsa",
        ),
        _("This certificate cannot be used. Enter the file again under Platforms."),
    ),
}
