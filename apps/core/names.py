"""Names of merchants, stores and places in the page's language, and texts that fit on a line."""

from __future__ import annotations

from typing import Protocol

from django.utils.translation import get_language


class Named(Protocol):
    """What has a name, and perhaps another in English (empty where there is none)."""

    name: str
    name_en: str


def one_line(text: object) -> str:
    """Text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def speaks_english() -> bool:
    """Whether the page names things in English: in every language but Chinese."""
    language = get_language()
    return bool(language) and not str(language).startswith("zh")


def named(thing: Named, *, english: bool | None = None) -> str:
    """The English name on a page that is not Chinese, where there is one; else the name.

    ``english`` decides in the page's stead. For showing only: what is stored keeps ``name``.
    """
    wanted = speaks_english() if english is None else english
    return (thing.name_en if wanted else "") or thing.name
