"""Whose a photographed code is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.conf import settings

from apps.core.doors import DoorNotFound, find_door
from apps.core.tenancy import current_merchant_id
from apps.qrcodes.models import CodeVersion, QRCode
from apps.qrcodes.proof.stickers import Kind, judge_content
from apps.qrcodes.selectors.codes import Unusable, usable, version_in_force


class Verdict(StrEnum):
    """What a sticker is to the merchant in scope.

    OURS takes payments. STOPPED is paused, outside its time or hours, or its store is closed; RETIRED is for good. ELSEWHERE is a
    code of this merchant in a store that the member does not reach. HARMLESS takes no money: Wi-Fi, a card, words. The others are foreign:
    another merchant's of this portal, a token nobody has, our link with something added or without its lock, a look-alike, a
    wallet's own code, another link, or something else that opens.
    """

    OURS = "ours"
    STOPPED = "stopped"
    RETIRED = "retired"
    ELSEWHERE = "elsewhere"
    OTHER_MERCHANT = "other_merchant"
    UNKNOWN = "unknown"
    ALTERED = "altered"
    INSECURE = "insecure"
    LOOK_ALIKE = "look_alike"
    WALLET = "wallet"
    OTHER_LINK = "other_link"
    OTHER = "other"
    HARMLESS = "harmless"

    @property
    def is_foreign(self) -> bool:
        """Whether this merchant did not put it up, and money may go astray by it."""
        return self not in _NOT_FOREIGN


_NOT_FOREIGN = frozenset(
    {Verdict.OURS, Verdict.STOPPED, Verdict.RETIRED, Verdict.ELSEWHERE, Verdict.HARMLESS}
)


@dataclass(frozen=True, slots=True)
class Identity:
    """One sticker. ``code`` is the merchant's own, where it is in reach, with its ``version`` in force and ``why`` it takes no
    payment; ``host`` whom a foreign link belongs to."""

    verdict: Verdict
    code: QRCode | None = None
    version: CodeVersion | None = None
    why: Unusable | None = None
    host: str = ""


_FOREIGN = {
    Kind.ALTERED: Verdict.ALTERED,
    Kind.INSECURE: Verdict.INSECURE,
    Kind.LOOK_ALIKE: Verdict.LOOK_ALIKE,
    Kind.WALLET: Verdict.WALLET,
    Kind.OTHER_LINK: Verdict.OTHER_LINK,
    Kind.OTHER: Verdict.OTHER,
    Kind.HARMLESS: Verdict.HARMLESS,
}


def identify(content: str, *, now: datetime) -> Identity:
    """Whose code holds ``content``, for the merchant in scope. Of another merchant nothing is told but that it is another's.

    A copy of a valid code is that code: nobody can tell them apart.
    """
    judged = judge_content(content, public_url=settings.PUBLIC_URL)
    if judged.kind is not Kind.OURS:
        return Identity(_FOREIGN[judged.kind], host=judged.host)
    try:
        door = find_door(kind="qrcode", token=judged.token)
    except DoorNotFound:
        return Identity(Verdict.UNKNOWN)
    if door.merchant_id != current_merchant_id():
        return Identity(Verdict.OTHER_MERCHANT)
    codes = QRCode.objects.visible().select_related("scenario", "store", "terminal")
    code: QRCode | None = codes.filter(pk=door.subject_id).first()
    if code is None:
        return Identity(Verdict.ELSEWHERE)
    version = version_in_force(code_id=code.pk, now=now)
    match usable(code, now, version=version):
        case None:
            return Identity(Verdict.OURS, code, version)
        case Unusable.RETIRED:
            return Identity(Verdict.RETIRED, code, version, Unusable.RETIRED)
        case why:
            return Identity(Verdict.STOPPED, code, version, why)
