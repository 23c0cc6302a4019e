"""What can be put under four eyes: higher rooms register their kinds of subject here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.functional import Promise

from apps.approvals.models import Approval
from apps.core.audit import Actor


class NotNow(Exception):
    """It cannot be decided at this moment, though it can soon. ``words``: why and when, in the reader's language."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the approver is shown: everything that the digest covers, nothing hidden.

    ``facts`` are label and value, already in the reader's language; ``amount_minor`` in fen; ``url`` the page behind.
    """

    title: str
    amount_minor: int | None
    facts: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


class ApprovalSubject(ABC):
    """One kind of thing that waits for confirmation. ``label`` names it in lists."""

    label: str | Promise = ""

    @abstractmethod
    def describe(self, approval: Approval, *, slug: str) -> Description:
        """What is to be confirmed, as it is now."""

    @abstractmethod
    def digest(self, subject_id: int) -> bytes:
        """SHA-256 over what is to be confirmed, as it is now; unequal to the stored one means it was changed."""

    def hold(self, subject_id: int) -> None:  # noqa: B027  # most subjects need nothing held
        """Take the locks that must come before the approval's own row, so that everybody takes them in one order."""

    def lapsed(self, subject_id: int) -> str:
        """Why there is nothing to confirm any more though what was signed is the same: a code for ``void``, "" while there is.

        Asked when somebody confirms, with what ``hold`` holds. Raises NotNow where that is not known at the moment.
        """
        return ""

    def endings(self, approvals: Collection[Approval]) -> Mapping[int, str]:
        """Why each of these ended without a decision, in the reader's words, by id; left out where the state says it all."""
        return {}

    @abstractmethod
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        """Confirmed: do it, in the same transaction (what calls outside goes to the outbox)."""

    @abstractmethod
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        """Refused, expired or changed: undo what was reserved, in the same transaction."""


_subjects: dict[str, ApprovalSubject] = {}


def register(kind: str, subject: ApprovalSubject) -> None:
    """Called once a kind, from ``AppConfig.ready``."""
    _subjects[kind] = subject


def subject_for(kind: str) -> ApprovalSubject:
    """The registered subject. Raises KeyError."""
    return _subjects[kind]
