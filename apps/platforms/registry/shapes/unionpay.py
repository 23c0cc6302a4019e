"""What can be wrong with the entries for UnionPay."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _

from apps.core import clock
from apps.platforms.connectors.unionpay import signing as unionpay
from apps.platforms.registry.shapes.words import certificate_words, ended_words


def unionpay_shape(values: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the entries, by field; also with those that are empty."""
    wrong: dict[str, str] = {}
    now = clock.now()
    if not re.fullmatch(r"[0-9A-Za-z]{15}", values["merchant_no"]):
        wrong["merchant_no"] = _("A merchant code has exactly 15 digits; this has %(count)d.") % {
            "count": len(values["merchant_no"])
        }
    try:
        signer = unionpay.load_signer(
            values.get("certificate", ""), values.get("certificate_password", "")
        )
    except unionpay.UnusableCertificate as error:
        field = "certificate_password" if error.reason == "password" else "certificate"
        wrong[field] = certificate_words(error.reason)
    else:
        if now > signer.valid_until:
            wrong["certificate"] = ended_words(signer.valid_until)
    for name in ("root_certificate", "middle_certificate"):
        try:
            held = unionpay.load_certificates(values.get(name, ""))
        except unionpay.UnusableCertificate as error:
            wrong[name] = certificate_words(error.reason)
        else:
            ends_at = max(one.not_valid_after_utc for one in held)
            if now > ends_at:
                wrong[name] = ended_words(ends_at)
    if not wrong.keys() & {"root_certificate", "middle_certificate"}:
        root, middle = values["root_certificate"], values["middle_certificate"]
        if not unionpay.holds_root(root):
            wrong["root_certificate"] = _(
                "This is no root certificate: somebody else has issued it. Have the two been mixed up?"
            )
        elif not unionpay.chained(middle, root):
            wrong["middle_certificate"] = _(
                "This was not issued under the root certificate above. Take both files from the same package: test and production do not fit each other."
            )
    return wrong
