"""What can happen with every platform: codes of ours, see ``PlatformUnavailable``."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CODES: dict[str, Promise] = {
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
