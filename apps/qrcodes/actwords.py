"""What is done to many codes at once, in words: what it does, did and left out, and whether it can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.qrcodes.models import ActKind, CodeAct, QRCode
from apps.qrcodes.services import FINAL

#: Codes left out that a page names; the rest are counted.
MOST_LEFT_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class ActWords:
    """An act's name on a button, its icon, and what it means for the codes."""

    name: Promise
    icon: str
    what: Promise


ACTS: Final[Mapping[str, ActWords]] = {
    ActKind.FOLDER: ActWords(
        gettext_lazy("Move to a folder"),
        "folder",
        gettext_lazy("Folders keep codes together in this list. Customers do not see them."),
    ),
    ActKind.LABEL: ActWords(
        gettext_lazy("Add labels"),
        "tags",
        gettext_lazy("Labels are for finding codes. Customers do not see them."),
    ),
    ActKind.UNLABEL: ActWords(
        gettext_lazy("Take labels off"),
        "tag-off",
        gettext_lazy("Labels are for finding codes. Customers do not see them."),
    ),
    ActKind.STORE: ActWords(
        gettext_lazy("Move to another store"),
        "building-store",
        gettext_lazy(
            "From now on their payments belong to that store. The printed codes stay as they are; the store's name on the placard does too."
        ),
    ),
    ActKind.PAUSE: ActWords(
        gettext_lazy("Pause"),
        "player-pause",
        gettext_lazy("They take no payments until they are resumed. Customers read a calm notice."),
    ),
    ActKind.RESUME: ActWords(
        gettext_lazy("Resume"), "player-play", gettext_lazy("They take payments again.")
    ),
    ActKind.RETIRE: ActWords(
        gettext_lazy("Retire"),
        "archive",
        gettext_lazy("They never take payments again. Take the placards down."),
    ),
}


def done_sentence(act: CodeAct) -> str:
    """What an act did, with its count."""
    count = act.count
    words = {"count": count, "words": act.words}
    match act.kind:
        case ActKind.FOLDER if act.words:
            text = ngettext(
                "%(count)d code moved to the folder %(words)s.",
                "%(count)d codes moved to the folder %(words)s.",
                count,
            )
        case ActKind.FOLDER:
            text = ngettext(
                "%(count)d code taken out of its folder.",
                "%(count)d codes taken out of their folders.",
                count,
            )
        case ActKind.LABEL:
            text = ngettext(
                "%(count)d code labelled %(words)s.", "%(count)d codes labelled %(words)s.", count
            )
        case ActKind.UNLABEL:
            text = ngettext(
                "%(words)s taken off %(count)d code.", "%(words)s taken off %(count)d codes.", count
            )
        case ActKind.STORE:
            text = ngettext(
                "%(count)d code moved to %(words)s.", "%(count)d codes moved to %(words)s.", count
            )
        case ActKind.PAUSE:
            text = ngettext("%(count)d code paused.", "%(count)d codes paused.", count)
        case ActKind.RESUME:
            text = ngettext("%(count)d code resumed.", "%(count)d codes resumed.", count)
        case _retired:
            text = ngettext("%(count)d code retired.", "%(count)d codes retired.", count)
    return text % words


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Codes that an act leaves as they are, for one reason: the sentence, the first of them, and how many more there are."""

    words: str
    codes: Sequence[QRCode]
    more: int


def left_out(act: CodeAct, named: Mapping[str, Sequence[QRCode]]) -> list[LeftOut]:
    """What an act left out; ``named``: the codes to be named, by the reason. Old acts only know how many they were."""
    return [
        LeftOut(_left_out(reason, count), codes, count - len(codes) if codes else 0)
        for reason, count in sorted(act.left_out.items())
        for codes in [named.get(reason, ())]
    ]


def to_be_left_out(stay: Mapping[str, Sequence[QRCode]]) -> list[LeftOut]:
    """What an act will leave out."""
    room = MOST_LEFT_SHOWN
    lines: list[LeftOut] = []
    for reason, codes in sorted(stay.items()):
        shown = codes[:room]
        room -= len(shown)
        lines.append(LeftOut(_left_out(reason, len(codes)), shown, len(codes) - len(shown)))
    return lines


def _left_out(reason: str, count: int) -> str:
    match reason:
        case "already":
            text = ngettext("%(count)d was so already.", "%(count)d were so already.", count)
        case "retired":
            text = ngettext(
                "%(count)d is retired, which is final.",
                "%(count)d are retired, which is final.",
                count,
            )
        case "planned":
            text = ngettext(
                "%(count)d has a planned change, which names its store. Withdraw it first.",
                "%(count)d have planned changes, which name their store. Withdraw them first.",
                count,
            )
        case "too_many":
            text = ngettext(
                "%(count)d would have more than ten labels.",
                "%(count)d would have more than ten labels.",
                count,
            )
        case _gone:
            text = ngettext(
                "%(count)d is not there any more.", "%(count)d are not there any more.", count
            )
    return text % {"count": count}


def is_final(act: CodeAct) -> bool:
    """Whether it cannot be undone."""
    return act.kind in FINAL


def act_state(act: CodeAct, still: int) -> str:
    """Whether an act can be undone, for a list; ``still``: of how many codes."""
    if act.undone_at is not None:
        return _("Undone")
    if is_final(act):
        return _("Final")
    if not act.count:
        return _("Nothing was changed")
    if not still:
        return _("All changed since")
    if still == act.count:
        return _("Can be undone")
    words = ngettext(
        "%(still)d of %(count)d can be undone", "%(still)d of %(count)d can be undone", act.count
    )
    return words % {"still": still, "count": act.count}
