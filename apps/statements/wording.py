"""What stands in the way of a bill: kept as codes, put in words when somebody reads it, in the reader's language."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from apps.platforms import messages
from apps.platforms.gateway import StatementUnreadable
from apps.platforms.models import PlatformChoice
from apps.platforms.wording import own_words

#: Kept with a bill that the platform calls empty although the books hold payments of the day.
DOUBTED: Final = "doubted_empty|"
#: A reason of ``StatementRefused`` that is not about a file's content.
NO_SUCH_KIND: Final = "no_such_kind"
#: A reason of a refused upload: the key that sealed it is gone.
LOCKED: Final = "locked"
#: How what is kept begins where it is not a platform's own code.
_UNREADABLE: Final = "unreadable:"
_UNASKED: Final = "unasked:"


def kept(code: str, said: str) -> str:
    """A platform's refusal as it is kept with a bill: its code decides the words when somebody reads it."""
    return f"{code}|{said}"


def kept_unreadable(reason: str, *, line: int | None = None, column: str | None = None) -> str:
    """A refused file, as ``kept``: why, and where in it."""
    return f"{_UNREADABLE}{reason}:{'' if line is None else line}|{column or ''}"


def kept_unasked(*, unanswered: int, questions: int, code: str, said: str) -> str:
    """A sweep to which not all was answered, as ``kept``: how much is open, and the platform's first refusal."""
    return f"{_UNASKED}{unanswered}:{questions}:{code}|{said}"


def detail_words(platform: str, detail: str) -> str:
    """What is kept with a bill in words; sentences of former versions stay as they are."""
    if detail == DOUBTED:
        return _(
            "The platform says that nothing happened on this day, but there were payments: its bill is late."
        )
    head, bar, said = detail.partition("|")
    if not bar or any(letter.isspace() for letter in head):
        return detail
    if head.startswith(_UNREADABLE):
        reason, _colon, line = head.removeprefix(_UNREADABLE).partition(":")
        place = int(line) if line.isdecimal() else None
        return unreadable_words(platform, reason, line=place, column=said or None)
    if head.startswith(_UNASKED):
        unanswered, questions, code = head.removeprefix(_UNASKED).split(":", 2)
        return unasked_words(
            platform, unanswered=int(unanswered), questions=int(questions), code=code, said=said
        )
    return _answer_words(platform, head, said)


def reason_of(detail: str) -> str:
    """The reason of a refused file that is kept, as in StatementUnreadable; "" where it is of another sort."""
    head = detail.partition("|")[0]
    return head.removeprefix(_UNREADABLE).partition(":")[0] if head.startswith(_UNREADABLE) else ""


def place_of(detail: str) -> int | None:
    """The line at fault in a refused file that is kept, if it is known."""
    line = detail.partition("|")[0].rpartition(":")[2]
    return int(line) if detail.startswith(_UNREADABLE) and line.isdecimal() else None


def unreadable_words(
    platform: str, reason: str, *, line: int | None = None, column: str | None = None
) -> str:
    """Why a bill was refused."""
    if reason == NO_SUCH_KIND:
        return _("%(platform)s has no bill of this kind.") % {
            "platform": PlatformChoice(platform).label
        }
    if reason == LOCKED:
        return _("This file cannot be decrypted: the key that sealed it is not in use any more.")
    error = StatementUnreadable(reason, "", line=line, column=column)
    return str(messages.explain_statement(error))


def unasked_words(platform: str, *, unanswered: int, questions: int, code: str, said: str) -> str:
    """Why there is no bill of a platform that is asked."""
    words = _("%(open)d of %(all)d payments and refunds could not be asked about. %(reason)s") % {
        "open": unanswered,
        "all": questions,
        "reason": _answer_words(platform, code, said),
    }
    return words.strip()


def _answer_words(platform: str, code: str, said: str) -> str:
    """A platform's refusal: the words for its code, or that it has none, and then what the platform says itself."""
    words = str(messages.explain(platform, code))
    if said and code not in messages.known_codes(platform) and not code.startswith("http_"):
        words = f"{words} {own_words(said)}".strip()
    return words
