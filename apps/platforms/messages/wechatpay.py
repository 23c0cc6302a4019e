"""The codes of WeChat Pay, and ours where its words differ."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.platforms.gateway import API_V3_KEY_WRONG

CODES: dict[str, Promise] = {
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
    "PAYERROR": _(
        "WeChat Pay could not take the money: usually the payer's balance or card does not suffice, or a limit is reached. Nothing was charged. The payer may choose another card or another way to pay."
    ),
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
    **dict.fromkeys(
        (
            "AUTHCODEEXPIRE",
            "AUTH_CODE_EXPIRE",
            "AUTH_CODE_EXPIRED",
            "AUTH_CODE_ERROR",
            "AUTH_CODE_INVALID",
        ),
        _("The payer's code is no longer valid; nothing was charged. Scan a fresh code."),
    ),
    "payer_balance": _(
        "The payer's balance is too low; nothing was charged. The payer may choose another way to pay."
    ),
    **dict.fromkeys(
        ("NOTSUPORTCARD", "NOT_SUPPORT_CARD"),
        _(
            "The payer's card is not taken by WeChat Pay for this; nothing was charged. The payer may choose another card."
        ),
    ),
    "ACCOUNT_ERROR": _(
        "WeChat Pay does not let this payer pay at the moment; nothing was charged. The payer may choose another way to pay."
    ),
    "BUYER_MISMATCH": _(
        "Another payer has begun this order. Nothing was charged to this one; open a new payment."
    ),
    "USER_PAYING": _("The payer is entering the password."),
    **dict.fromkeys(
        ("ORDERREVERSED", "ORDER_REVERSED"),
        _("The payment was reversed; nothing is left charged."),
    ),
    "card_missing": _(
        "Bank, card number and holder are needed to return the money to the payer's other card. Nothing was sent."
    ),
    "no_platform_key": _(
        "The card's details can only be sent encrypted, and no key of WeChat Pay that is valid now is stored. Nothing was sent. Enter the WeChat Pay public key under Platforms."
    ),
    "certificate_expired": _(
        "WeChat Pay signed with a platform certificate that is not valid at this time, so its word was not trusted. Check this server's clock; the portal fetches new certificates by itself."
    ),
}
_PAYER_SHORT = _(
    "The payer's balance is too low; nothing was charged. The payer may choose another way to pay."
)
#: Where a code of both says another thing of a payment.
OF_PAYMENTS: dict[str, Promise] = dict.fromkeys(("NOTENOUGH", "NOT_ENOUGH"), _PAYER_SHORT)
