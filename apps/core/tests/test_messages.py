"""The committed catalogues are complete, compiled and whole."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.conf import settings

CATALOGUES = sorted((settings.BASE_DIR / "locale").glob("*/LC_MESSAGES/*.po"))
NAMES = re.compile(r"%\((\w+)\)[sd]|\{(\w+)\}")


def texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def test_there_is_a_catalogue() -> None:
    assert CATALOGUES


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_compiled_catalogue_is_fresh(path: Path) -> None:
    assert path.with_suffix(".mo").read_bytes() == polib.pofile(str(path)).to_binary()


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_every_text_has_chinese(path: Path) -> None:
    missing = [entry.msgid for entry in polib.pofile(str(path)) if not all(texts(entry))]
    assert missing == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_translations_use_the_same_names(path: Path) -> None:
    wrong = []
    for entry in polib.pofile(str(path)):
        allowed = set(NAMES.findall(entry.msgid)) | set(NAMES.findall(entry.msgid_plural or ""))
        wrong += [entry.msgid for text in texts(entry) if set(NAMES.findall(text)) - allowed]
    assert wrong == []
