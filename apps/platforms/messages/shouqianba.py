"""The codes of Shouqianba, and ours where its words differ."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CODES: dict[str, Promise] = {
    "no_terminal": _(
        "The portal has no terminal at Shouqianba, so nothing was sent. Enter an activation code for this account under Platforms, Change."
    ),
    "terminal_lost": _(
        "Shouqianba no longer accepts any key of this terminal: two check-ins in a row got no answer, or the terminal was activated elsewhere. Nothing was sent. Make an activation code in Shouqianba's console and activate the terminal anew with it; the portal's own under Platforms, Change."
    ),
    "terminal_replaced": _(
        "Shouqianba no longer accepts any key of the terminal that began this, and tells no other terminal what became of it. The portal tries that terminal again every hour. Until then look in Shouqianba's console, and change nothing here by guess."
    ),
    "key_refused": _(
        "Shouqianba no longer accepts the terminal's key (ILLEGAL_SIGN), so the code was not looked at and nothing was charged. Scan a fresh code: where the terminal's key is lost, the portal's own terminal takes it. The terminal must be activated anew."
    ),
    "terminal_off": _(
        "The terminal is switched off or not activated at Shouqianba (UPAY_TERMINAL_STATUS_ABNORMAL), so nothing was charged. Switch it on in the console, or take the payment without this terminal."
    ),
    "terminal_unknown": _(
        "Shouqianba does not know this terminal any more, so nothing was charged. Take the payment without this terminal, and look in Shouqianba's console whether it was deleted; then activate a new one."
    ),
    "check_in_unanswered": _(
        "Shouqianba gave no answer to the terminal's daily check-in. The portal tries again by itself within a minute."
    ),
    "code_lost": _(
        "Shouqianba had opened this code before, but its answer was lost. That code is closed by itself. Please try again."
    ),
    "wallet_missing": _(
        "Which wallet pays is not known yet, so the payment was not opened. Open the code again inside the wallet."
    ),
    "amount_out_of_range": _("Shouqianba takes at most ¥99,999,999.99 at once; nothing was sent."),
    "address_too_long": _(
        "This portal's public address is too long for Shouqianba, which takes 128 characters. Nothing was sent. Use a shorter host name."
    ),
    "not_supported": _(
        "Shouqianba cannot take this wallet by this way. Nothing was charged; pay with another wallet."
    ),
    "refund_not_shown": _("Shouqianba does not show this refund; it is sent again."),
    "ILLEGAL_SIGN": _(
        "Shouqianba does not accept the terminal's key at the moment, so it did not look at what was asked. The portal checks the terminal in anew and asks again by itself."
    ),
    **dict.fromkeys(
        ("INVALID_TERMINAL", "UPAY_TERMINAL_NOT_EXISTS"),
        _(
            "Shouqianba does not know this terminal any more. Look in its console whether the terminal was deleted; then activate a new one."
        ),
    ),
    "UPAY_TERMINAL_STATUS_ABNORMAL": _(
        "The terminal is switched off or not activated at Shouqianba. Switch it on in the console."
    ),
    "INVALID_PARAMS": _(
        "Shouqianba did not accept one of the values sent. No money moved. Check the amount and the settings."
    ),
    "UNKNOWN_SYSTEM_ERROR": _(
        "Shouqianba had an internal error. The result is not known yet; the portal asks again by itself."
    ),
    "EXTERNAL_SERVICE_EXCEPTION": _(
        "The wallet behind Shouqianba did not answer. The result is not known yet; the portal asks again by itself."
    ),
    "CLIENT_SN_CONFLICT": _(
        "Shouqianba knows this number already. The result is not known yet; the portal asks again by itself."
    ),
    "INVALID_BARCODE": _(
        "This is no payment code that Shouqianba takes; nothing was charged. Ask the customer for the payment code and scan again."
    ),
    "EXPIRED_BARCODE": _(
        "The customer's code is no longer valid; nothing was charged. Scan a fresh code."
    ),
    "INSUFFICIENT_FUND": _(
        "The customer's balance is too low; nothing was charged. The customer may choose another way to pay."
    ),
    **dict.fromkeys(
        ("BUYER_OVER_DAILY_LIMIT", "BUYER_OVER_TRANSACTION_LIMIT"),
        _(
            "The amount is above the customer's limit at the wallet; nothing was charged. The customer may choose another way to pay."
        ),
    ),
    **dict.fromkeys(
        ("SELLER_OVER_DAILY_LIMIT", "UPAY_STORE_OVER_DAILY_LIMIT"),
        _(
            "The shop's limit for today is reached at Shouqianba; nothing was charged. Ask Shouqianba to raise it."
        ),
    ),
    **dict.fromkeys(
        ("UPAY_ORDER_NOT_EXISTS", "UPAY_ORDER_NOT_EXIST", "TRADE_NOT_EXIST"),
        _("Shouqianba does not know this order: nothing was charged."),
    ),
    "TRADE_HAS_SUCCESS": _(
        "The order is paid already; it is not charged again. The payment is booked as soon as the query confirms it."
    ),
    "TRADE_FAILED": _("The payment failed; nothing was charged. Begin anew."),
    "TRADE_TIMEOUT": _(
        "The customer took too long, and Shouqianba has undone the payment; nothing is left charged. Begin anew."
    ),
    "UNEXPECTED_PROVIDER_ERROR": _(
        "The wallet behind Shouqianba refused; nothing is left charged. Begin anew or take another wallet."
    ),
    **dict.fromkeys(
        ("SELLER_BALANCE_NOT_ENOUGH", "ACCOUNT_BALANCE_NOT_ENOUGH"),
        _(
            "The balance at Shouqianba is too low for this refund. No money moved. The same refund is sent again by itself; take more payments or top up."
        ),
    ),
    **dict.fromkeys(
        ("REFUNDABLE_AMOUNT_NOT_ENOUGH", "REFUND_AMT_NOT_EQUAL_TOTAL"),
        _(
            "More would go back than is left of this payment. No money moved; look at its earlier refunds, also in Shouqianba's console."
        ),
    ),
    "UPAY_REFUND_INVALID_ORDER_STATE": _(
        "Shouqianba does not refund this order in its present state. Look at its earlier refunds, also in Shouqianba's console; refunds are taken for three months."
    ),
    "UPAY_REFUND_ORDER_NOOP": _("This refund was made before; nothing is refunded twice."),
    "UPAY_CANCEL_ORDER_NOOP": _("The order was cancelled before; nothing is left charged."),
    "UPAY_CANCEL_INVALID_ORDER_STATE": _(
        "Shouqianba cannot cancel this order any more; only an order of the same day without a refund can be. Refund it instead."
    ),
    "UPAY_TCP_ORDER_NOT_REFUNDABLE": _(
        "The order took part in a promotion and cannot be cancelled. Settle it with Shouqianba's service."
    ),
    "CREATED": _("Not paid yet."),
    "IN_QUEUE": _("Not paid yet."),
    "PAY_IN_PROGRESS": _("The payer is entering the password."),
    **dict.fromkeys(
        ("PAY_CANCELED", "CANCELED", "CANCEL_SUCCESS", "CANCEL_ABORT_SUCCESS"),
        _("Cancelled at Shouqianba; nothing is left charged."),
    ),
    **dict.fromkeys(
        (
            "PAY_ERROR",
            "PAY_FAIL_ERROR",
            "PAY_FAIL_IN_PROGRESS",
            "PRECREATE_FAIL_ERROR",
            "PRECREATE_FAIL_IN_PROGRESS",
            "CANCEL_ERROR",
            "CANCEL_ABORT_ERROR",
            "CANCEL_IN_PROGRESS",
            "CANCEL_ABORT_IN_PROGRESS",
            "CANCEL_INPROGRESS",
            "INVALID_STATUS_CODE",
        ),
        _(
            "Shouqianba is not sure yet whether the payer was charged. Do not hand over goods; the portal asks until it is settled."
        ),
    ),
    **dict.fromkeys(
        ("REFUND_ERROR", "REFUND_IN_PROGRESS"),
        _(
            "Shouqianba is not sure yet whether the refund was made. The portal asks again by itself."
        ),
    ),
    **dict.fromkeys(
        ("FAIL", "PAY_FAIL", "PRECREATE_FAIL"),
        _("Shouqianba refused; nothing was charged. Begin anew."),
    ),
    "REFUND_FAIL": _("Shouqianba refused the refund; no money moved."),
    "bad_signature": _(
        "The notification does not bear Shouqianba's signature. Check the Shouqianba public key under Platforms."
    ),
    "empty": _("Enter the Shouqianba public key."),
    **dict.fromkeys(
        ("garbled", "private", "certificate", "not_rsa", "encrypted"),
        _("The Shouqianba public key cannot be read. Enter it again under Platforms."),
    ),
}
