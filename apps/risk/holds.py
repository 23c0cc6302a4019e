"""What higher rooms let this one hold: they register their kinds of thing here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.core.audit import Actor


@dataclass(frozen=True, slots=True)
class Held:
    """How a held thing is shown to those who answer: a few words and the page behind it ("" for none).

    ``is_open``: an answer can still change something.
    """

    title: str
    url: str = ""
    is_open: bool = True


class HeldThing(ABC):
    """One kind of thing that does not go on before somebody answered."""

    @abstractmethod
    def describe(self, subject_ids: Collection[int], *, slug: str) -> Mapping[int, Held]:
        """How each is shown, by id; what is gone is left out."""

    @abstractmethod
    def release(self, subject_id: int, *, actor: Actor, now: datetime) -> None:
        """It may go on: do what must follow, in the same transaction."""

    @abstractmethod
    def refuse(self, subject_id: int, *, actor: Actor, now: datetime) -> None:
        """It may not: undo what was begun, in the same transaction."""


_kinds: dict[str, HeldThing] = {}


def register(kind: str, thing: HeldThing) -> None:
    """Called once a kind, from ``AppConfig.ready``."""
    _kinds[kind] = thing


def thing_for(kind: str) -> HeldThing:
    """The registered kind. Raises KeyError."""
    return _kinds[kind]
