"""What entries are about, and whose accounts are meant: higher rooms register their kinds and names here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from django.utils.functional import Promise

from apps.ledger.models import Purpose


@dataclass(frozen=True, slots=True)
class Link:
    """What one subject is called, and its page."""

    text: str
    url: str


class EntrySubject(ABC):
    """One kind of thing that entries are about. ``label`` names the kind; ``table`` holds its rows, by ``id``."""

    label: str | Promise = ""
    table: ClassVar[str]

    @abstractmethod
    def links(self, ids: Collection[int], *, slug: str) -> Mapping[int, Link]:
        """The links of these subjects, by id; one query. What is not there is left out."""


_subjects: dict[str, EntrySubject] = {}
_owners: dict[Purpose, Callable[[], Mapping[int, str]]] = {}


def register(kind: str, subject: EntrySubject) -> None:
    """Called once a kind, from ``AppConfig.ready``."""
    _subjects[kind] = subject


def subjects() -> Mapping[str, EntrySubject]:
    """All kinds, by their name in ``JournalEntry.subject_kind``."""
    return _subjects


def register_owners(purpose: Purpose, names: Callable[[], Mapping[int, str]]) -> None:
    """``names()``: whose the accounts of this purpose are, in the reader's words, by ``Account.subject_id``."""
    _owners[purpose] = names


def owner_names(purposes: Iterable[str]) -> dict[tuple[str, int], str]:
    """Whose accounts of these purposes are, by purpose and subject; a query for each purpose that has owners."""
    return {
        (purpose, subject_id): name
        for purpose in sorted(set(purposes))
        if purpose in _owners
        for subject_id, name in _owners[Purpose(purpose)]().items()
    }


def kind_words(kind: str) -> str:
    """What a kind of subject is called; the bare kind where nobody registered it."""
    return str(_subjects[kind].label) if kind in _subjects else kind


def links_of(wanted: Iterable[tuple[str, int]], *, slug: str) -> dict[tuple[str, int], Link]:
    """The links of these subjects (kind and id); one query a kind."""
    ids: dict[str, set[int]] = {}
    for kind, subject_id in wanted:
        ids.setdefault(kind, set()).add(subject_id)
    return {
        (kind, subject_id): link
        for kind, members in ids.items()
        if kind in _subjects
        for subject_id, link in _subjects[kind].links(members, slug=slug).items()
    }
