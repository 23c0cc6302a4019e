"""Mail in every language of the portal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils.translation import get_language, gettext
from pytest_django import Settings

from apps.core.mail import send_in_every_language


@pytest.fixture
def template(tmp_path: Path, settings: Settings) -> str:
    engine: dict[str, Any] = settings.TEMPLATES[0]
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path, *engine["DIRS"]]}]
    text = "{% load i18n %}{% translate 'Cancel' %} {{ name }}\n\n"
    (tmp_path / "letter.txt").write_text(text, encoding="utf-8")
    return "letter.txt"


def test_each_gets_a_mail_that_says_it_in_both_languages(template: str) -> None:
    before = get_language()
    sent = send_in_every_language(
        to=["a@example.com", "b@example.com"],
        subject=lambda: f"Tea\nhouse: {gettext('Cancel')}",
        template=template,
        context={"name": "N"},
    )
    assert sent == 2
    assert [message.to for message in mail.outbox] == [["a@example.com"], ["b@example.com"]]
    assert {message.subject for message in mail.outbox} == {"Tea house: 取消 / Tea house: Cancel"}
    assert {message.body for message in mail.outbox} == {"取消 N\n\n----\n\nCancel N\n"}
    assert get_language() == before


def test_what_reads_the_same_is_said_once_and_nobody_gets_nothing(template: str) -> None:
    given: dict[str, Any] = {"subject": lambda: "Tea", "template": template, "context": {}}
    assert send_in_every_language(to=[], **given) == 0
    assert mail.outbox == []
    assert send_in_every_language(to=["a@example.com"], **given) == 1
    assert [message.subject for message in mail.outbox] == ["Tea"]
