"""Entries: the list, newest first, and one of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from django.db.models import Q

from apps.ledger.models import JournalEntry, Posting
from apps.ledger.selectors.balances import Period
from apps.ledger.selectors.places import decode, encode

PAGE_SIZE: Final = 25


@dataclass(frozen=True, slots=True)
class JournalFilters:
    """What the list is narrowed to; "" narrows nothing."""

    period: Period = field(default_factory=Period)
    subject_kind: str = ""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry with its postings, debits first, and what it moves, in fen."""

    entry: JournalEntry
    postings: list[Posting]

    @property
    def amount_minor(self) -> int:
        """The sum of its debits."""
        return sum(row.amount_minor for row in self.postings if row.amount_minor > 0)

    @property
    def over(self) -> int:
        """Zero, unless the books are broken."""
        return sum(row.amount_minor for row in self.postings)


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Some entries, newest first; ``newer`` and ``older`` are the places of the neighbouring pages, "" where none is."""

    rows: list[EntryRow] = field(default_factory=list)
    newer: str = ""
    older: str = ""


def has_entries() -> bool:
    """Whether anything was ever booked."""
    return JournalEntry.objects.exists()


def _with_postings(entries: list[JournalEntry]) -> list[EntryRow]:
    postings: dict[int, list[Posting]] = defaultdict(list)
    found = Posting.objects.filter(entry_id__in=[entry.pk for entry in entries])
    for posting in found.select_related("account").order_by("pk"):
        postings[posting.entry_id].append(posting)
    return [
        EntryRow(entry, sorted(postings[entry.pk], key=lambda row: row.amount_minor < 0))
        for entry in entries
    ]


def get_entry(entry_id: int) -> EntryRow:
    """One entry with its postings. Raises JournalEntry.DoesNotExist."""
    entry: JournalEntry = JournalEntry.objects.get(pk=entry_id)
    return _with_postings([entry])[0]


def page_entries(
    filters: JournalFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> JournalPage:
    """One page of the journal, by booked day and id, newest first. Two queries. Raises BadCursor."""
    entries = JournalEntry.objects.all()
    if filters.period.first is not None:
        entries = entries.filter(booked_date__gte=filters.period.first)
    if filters.period.last is not None:
        entries = entries.filter(booked_date__lte=filters.period.last)
    if filters.subject_kind:
        entries = entries.filter(subject_kind=filters.subject_kind)
    backwards = bool(before)
    place = decode(before or after)
    if place is not None:
        day, key = place
        side = "gt" if backwards else "lt"
        # Written so that the first condition can use an index; the second cuts the ties.
        entries = entries.filter(**{f"booked_date__{side}e": day}).filter(
            Q(**{f"booked_date__{side}": day}) | Q(**{f"pk__{side}": key})
        )
    order = ("booked_date", "pk") if backwards else ("-booked_date", "-pk")
    found = list(entries.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return JournalPage()
    has_newer = more if backwards else bool(after)
    has_older = backwards or more
    return JournalPage(
        rows=_with_postings(found),
        newer=encode((found[0].booked_date, found[0].pk)) if has_newer else "",
        older=encode((found[-1].booked_date, found[-1].pk)) if has_older else "",
    )
