"""Who writes the files of a closed day: higher rooms register their makers here, in the order of the files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from django.utils.functional import Promise

from apps.reconciliation.models import DayClose


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file's bytes in pieces, and its control figures: rows without the heading, and their sum in fen; None: none."""

    pieces: Iterable[bytes]
    rows: int | None
    amount_minor: int | None


class DayFileMaker(ABC):
    """One kind of file of a closed day. ``name`` is its fixed name, ``label`` what people call it."""

    name: ClassVar[str]
    label: str | Promise = ""
    #: How the file's name ends.
    ending: ClassVar[str]
    content_type: ClassVar[str]

    @abstractmethod
    def make(self, close: DayClose) -> MadeFile:
        """The file, of nothing but what is booked on the day and what the closing says: made twice it has the same bytes."""


_makers: dict[str, DayFileMaker] = {}


def register(maker: DayFileMaker) -> None:
    """Called once a kind, from ``AppConfig.ready``."""
    _makers[maker.name] = maker


def makers() -> Mapping[str, DayFileMaker]:
    """All kinds, by name, in the order in which they were registered."""
    return _makers


def label_of(name: str) -> str:
    """What people call a file; its bare name where nobody registered it."""
    return str(_makers[name].label) if name in _makers else name
