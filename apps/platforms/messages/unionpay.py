"""The codes of UnionPay, and ours where its words differ."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_REFUSED = _(
    "UnionPay or the payer's bank refused the payment; nothing was charged. The payer may choose another card or another way to pay."
)
_UNDECIDED = _(
    "UnionPay does not know the result yet. The portal asks again by itself; if it never becomes final, the daily bill decides. Do not take or give the money a second time."
)
_CARD = _("The payer's card cannot be used for this; nothing was charged. Another card may work.")
CODES: dict[str, Promise] = {
    "00": _("Done."),
    "A6": _(
        "Paid, but UnionPay marks the payment as not complete in every part. It counts as paid; the daily bill confirms it."
    ),
    "01": _REFUSED,
    "02": _("UnionPay is closed for the moment. Nothing is lost; the portal asks again by itself."),
    "03": _UNDECIDED,
    "04": _UNDECIDED,
    "05": _(
        "UnionPay is still working on it, or waits for the payer. The portal asks again by itself."
    ),
    **dict.fromkeys(
        ("10", "14", "40", "41"),
        _(
            "UnionPay did not accept one of the values sent. No money moved. Check the amount and the settings."
        ),
    ),
    "11": _(
        "UnionPay did not accept our signature. No money moved. Check under Platforms that the merchant certificate is the one registered for this merchant code, and that neither belongs to the test environment."
    ),
    "12": _(
        "UnionPay has had this number before and does not answer it a second time. What became of the first is being asked. To pay, begin anew or choose another way."
    ),
    "13": _("A value that UnionPay needs was missing. No money moved. Check the settings."),
    "31": _(
        "UnionPay does not accept this merchant number. Check the merchant number first; if it is right, the account is closed, blocked or not open yet: contact UnionPay or your acquirer. No money moved."
    ),
    "32": _(
        "UnionPay has not opened this kind of transaction for the merchant. No money moved; have it opened by UnionPay or your acquirer."
    ),
    "33": _("The amount is above or below a limit at UnionPay. Nothing was charged."),
    "34": _(
        "UnionPay does not know this number, or not yet. That does not prove that nothing happened: the portal asks again, and the daily bill decides."
    ),
    "35": _(
        "UnionPay does not find the original payment, or its state does not allow this. Look at the payment's state before trying again."
    ),
    "36": _(
        "What was sent differs from the original payment, or is more than what is left of it. No money moved; look at the refunds made so far."
    ),
    "37": _("UnionPay was asked too often. The portal asks again by itself, more slowly."),
    "38": _(
        "UnionPay stopped the payment to be on the safe side; nothing was charged. The payer may choose another way to pay."
    ),
    "39": _("UnionPay does not take this kind of transaction at this hour. No money moved."),
    "42": _(
        "The bank has debited the payer, but too late for UnionPay. The portal asks again; the daily bill decides. Do not take the money a second time."
    ),
    "60": _REFUSED,
    **dict.fromkeys(("30", "61", "62", "63", "68"), _CARD),
    **dict.fromkeys(("72", "73", "74", "75", "76", "77", "78", "79", "80"), _CARD),
    "64": _(
        "The balance is too low, so no money moved. For a payment another card may do; for a refund the merchant's balance at UnionPay must grow first."
    ),
    "65": _(
        "Password, expiry date or check number were wrong; nothing was charged. The payer may try again."
    ),
    "66": _(
        "Name, identity number or phone do not fit the card; nothing was charged. Another card may work."
    ),
    "67": _("The password was wrong too often; nothing was charged. Another card may work."),
    "69": _("The payer took too long; nothing was charged. Begin anew."),
    **dict.fromkeys(
        ("70", "71"),
        _("The payer has been led on and has not finished yet. The portal asks again by itself."),
    ),
    "98": _(
        "UnionPay has no bill file for this day, or not yet. That does not say that nothing happened on it: the portal goes on asking for a week. Files are usually ready at nine o'clock of the next day (China time)."
    ),
    "99": _(
        "UnionPay reports an error without saying which, so the result is not known yet. The portal asks again by itself."
    ),
    "bill_too_old": _(
        "UnionPay finds bills by day and month only, so one from so long ago cannot be fetched. Upload its file instead."
    ),
    "number_too_old": _(
        "This refund did not reach UnionPay within a day and is no longer taken under its number. No money moved; ask for the refund anew."
    ),
    "bad_signature": _(
        "UnionPay's answer could not be verified and was not trusted. The result is asked for again. If it stays so, check the root and middle certificates under Platforms."
    ),
    "answer_altered": _(
        "The answer does not bear UnionPay's signature, so it was not trusted. If a proxy stands between this server and UnionPay, it must not change anything."
    ),
    "own_certificate_expired": _(
        "The merchant certificate has expired or is not valid yet. Have it renewed, or check this server's clock."
    ),
    "certificate_password": _("The merchant certificate does not open with its password."),
    "certificate_chain": _(
        "UnionPay's answers are signed with a certificate that was not issued under the root and middle certificates stored here. Take both from UnionPay's current development package; test and production do not fit each other."
    ),
    "certificate_owner": _(
        "The answer was signed with a certificate that is not UnionPay's. It was not trusted. If the environment is right, somebody stands between this server and UnionPay."
    ),
    "certificate_expired": _(
        "UnionPay's certificate has expired, or this server's clock is wrong. Check the clock; then take the current certificates from UnionPay's development package."
    ),
    **dict.fromkeys(
        (
            "certificate_empty",
            "certificate_garbled",
            "certificate_private",
            "certificate_no_key",
            "certificate_not_rsa",
            "certificate_weak",
        ),
        _("This certificate cannot be used. Enter the file again under Platforms."),
    ),
}
#: Where a code of both says another thing of a payment.
OF_PAYMENTS: dict[str, Promise] = {
    "64": _(
        "The balance on the payer's card is too low; nothing was charged. The payer may choose another card or another way to pay."
    ),
}
#: And of a refund.
OF_REFUNDS: dict[str, Promise] = {
    "64": _(
        "The merchant's balance at UnionPay is too low for this refund, so no money moved. It must grow first; ask for the refund again then."
    ),
}
