"""Who must know what became of an adjustment: higher rooms register here for the subjects that they have adjustments settle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from apps.core.audit import Actor
from apps.ledger.models import Adjustment


class AdjustmentFollower(ABC):
    """Told in the same transaction, whoever caused it: its own room, an approver, or somebody on the ledger's pages."""

    @abstractmethod
    def moved(self, adjustment: Adjustment, *, actor: Actor, now: datetime) -> None:
        """An adjustment about this kind of subject was asked for, posted, refused or cancelled, as its state says.

        One that undoes another (``reverses_id``) is told of in the same way.
        """

    def hold(self, subject_id: int) -> None:  # noqa: B027  # most need nothing held
        """Hold what must stay as it is while an adjustment of this subject moves, before any row of it is locked."""

    def lapsed(self, adjustment: Adjustment) -> str:
        """Why a waiting adjustment settles nothing any more, as a code of its own for ``words``; "" while it does.

        Asked with what ``hold`` holds. Raises ``approvals.subjects.NotNow`` where that is not known at the moment.
        """
        return ""

    def words(self, code: str) -> str:
        """A code of ``lapsed`` as a sentence in the reader's language; "" for one that is not its own."""
        return ""


_followers: dict[str, AdjustmentFollower] = {}


def register(subject_kind: str, follower: AdjustmentFollower) -> None:
    """Called once a kind of subject, from ``AppConfig.ready``."""
    _followers[subject_kind] = follower


def hold(adjustment: Adjustment) -> None:
    """Hold what its follower needs, before a row of the adjustment is locked: everybody takes these locks in one order."""
    follower = _followers.get(adjustment.subject_kind)
    if follower is not None:
        follower.hold(adjustment.subject_id)


def lapsed(adjustment: Adjustment) -> str:
    """Why a waiting adjustment settles nothing any more, as a code; "" while it does. Raises NotNow."""
    follower = _followers.get(adjustment.subject_kind)
    return follower.lapsed(adjustment) if follower is not None else ""


def words(adjustment: Adjustment) -> str:
    """Its follower's sentence for the code in its message; "" where there is none."""
    follower = _followers.get(adjustment.subject_kind)
    return follower.words(adjustment.message) if follower is not None else ""


def tell(adjustment: Adjustment, *, actor: Actor, now: datetime) -> None:
    """Tell whoever follows this adjustment's subject; most have nobody."""
    follower = _followers.get(adjustment.subject_kind)
    if follower is not None:
        follower.moved(adjustment, actor=actor, now=now)
