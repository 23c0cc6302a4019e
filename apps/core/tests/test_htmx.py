"""One template for a page and its fragments."""

from __future__ import annotations

import pytest
from django.test import RequestFactory, override_settings

from apps.core.htmx import render_page

PAGE = "before {% partialdef rows inline %}[{{ x }}]{% endpartialdef %} after"
LOADERS = [
    (
        "template_partials.loader.Loader",
        [("django.template.loaders.locmem.Loader", {"page.html": PAGE})],
    )
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": LOADERS, "builtins": ["template_partials.templatetags.partials"]},
    }
]


@override_settings(TEMPLATES=TEMPLATES)
@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "before [1] after"),
        ({"HX-Request": "true"}, "[1]"),
        ({"HX-Request": "true", "HX-Boosted": "true"}, "before [1] after"),
        ({"HX-Request": "true", "HX-History-Restore-Request": "true"}, "before [1] after"),
        ({"HX-Request": "false"}, "before [1] after"),
    ],
)
def test_fragment_only_where_htmx_asks_for_one(headers: dict[str, str], text: str) -> None:
    request = RequestFactory().get("/", headers=headers)
    response = render_page(request, "page.html", {"x": 1}, partial="rows")
    assert response.content.decode() == text
    assert "HX-Request" in response["Vary"]


@override_settings(TEMPLATES=TEMPLATES)
def test_without_a_partial_the_client_cannot_ask_for_one() -> None:
    request = RequestFactory().get("/", headers={"HX-Request": "true", "HX-Target": "rows"})
    assert render_page(request, "page.html", {"x": 1}).content == b"before [1] after"


@override_settings(TEMPLATES=TEMPLATES)
def test_status_is_kept() -> None:
    request = RequestFactory().post("/", headers={"HX-Request": "true"})
    response = render_page(request, "page.html", {"x": 2}, partial="rows", status=422)
    assert response.status_code == 422
    assert response.content == b"[2]"
