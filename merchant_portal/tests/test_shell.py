"""The frame around the pages leads only to pages that exist."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.urls import reverse

FRAME = [
    settings.BASE_DIR / "templates" / name
    for name in ("base.html", "base_public.html", "landing.html")
] + sorted((settings.BASE_DIR / "templates" / "components").glob("*.html"))
LINK = re.compile(r"""{% (?:nav_)?url ['"]([\w:-]+)['"]([^%]*)%}""")
LINKS = sorted({match for path in FRAME for match in LINK.findall(path.read_text("utf-8"))})


@pytest.mark.parametrize(("name", "argument"), LINKS, ids=[name for name, _ in LINKS])
def test_link_leads_somewhere(name: str, argument: str) -> None:
    assert reverse(name, args=["some-shop"] if "slug" in argument else [])
