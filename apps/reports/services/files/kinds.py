"""What a kind of file is, and the list of those there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time
from typing import Any, ClassVar, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file as it is asked for: a value that can be kept and asked for again.

    ``first`` and ``last`` are business days, both included; None where the kind allows no bound. ``narrowed`` holds what
    else is asked for, by names that the kind knows, as text. ``profile_id``: the saved way of writing it.
    """

    kind: str
    form: str = "csv"
    first: date | None = None
    last: date | None = None
    narrowed: Mapping[str, str] = field(default_factory=dict)
    headers: str = "zh"
    encoding: str = "utf-8-sig"
    profile_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON keeps it."""
        kept = asdict(self)
        for name in ("first", "last"):
            kept[name] = kept[name] and kept[name].isoformat()
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Wanted:
        """What ``to_json`` kept."""
        days = {
            name: date.fromisoformat(kept[name]) if kept.get(name) else None
            for name in ("first", "last")
        }
        return cls(**{**kept, **days})


class CannotMake(ValueError):
    """The file cannot be made as asked; the message says why and what to do, in the reader's language."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file about to be written: how many rows it will hold (None: not known beforehand), and its bytes.

    ``pieces`` enters the present scope again by itself when it is read, and its memory does not grow with the file.
    """

    name: str
    content_type: str
    rows: int | None
    pieces: Iterator[bytes]


class FileKind(ABC):
    """One kind of file. A subclass is registered once, where it is declared."""

    name: ClassVar[str]
    #: In which forms it can be had: "csv", "xlsx" and others by name.
    forms: ClassVar[tuple[str, ...]]
    #: All of them are needed, besides "exports.create".
    permissions: ClassVar[frozenset[str]]
    #: False where it holds what has no store: closed to members of some stores only.
    for_stores: ClassVar[bool] = True

    @abstractmethod
    def title(self) -> str:
        """What people call it."""

    @abstractmethod
    def open(
        self,
        wanted: Wanted,
        *,
        slug: str,
        day_starts_at: time,
        now: datetime,
        counted: bool = False,
    ) -> OpenFile:
        """The file; ``counted`` asks for the number of rows beforehand. Raises CannotMake before anything is written."""


KINDS: Final[dict[str, FileKind]] = {}


def register(kind: FileKind) -> FileKind:
    """Add a kind to the list. Raises ValueError for a name that is taken."""
    if kind.name in KINDS:
        raise ValueError(f"{kind.name} is taken")
    KINDS[kind.name] = kind
    return kind


def kind_of(name: str) -> FileKind:
    """The kind of this name. Raises CannotMake."""
    try:
        return KINDS[name]
    except KeyError:
        raise CannotMake(name) from None
