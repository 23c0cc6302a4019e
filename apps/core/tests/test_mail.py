"""Mail in every language of the portal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils.translation import get_language, gettext
from pytest_django import Settings

from apps.core.mail import Letter, send_in_every_language, send_letter


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


def test_a_letter_is_text_and_escaped_html_in_the_readers_language(
    template: str, tmp_path: Path
) -> None:
    (tmp_path / "letter.html").write_text("<p>{{ name }}</p>", encoding="utf-8")
    frame = "<title>{{ subject }}</title>{% for part in parts %}{{ part }}{% endfor %}"
    (tmp_path / "letter_frame.html").write_text(frame, encoding="utf-8")
    for languages, subject in (
        (["en"], "Tea Cancel"),
        (["zh-hans", "en"], "Tea 取消 / Tea Cancel"),
    ):
        mail.outbox.clear()
        send_letter(
            to="a@example.com",
            languages=languages,
            letter=lambda: Letter(subject=f"Tea\n{gettext('Cancel')}", context={"name": "<b>"}),
            template="letter",
            message_id="<1@example.com>",
            headers={"Auto-Submitted": "auto-generated"},
        )
        (message,) = mail.outbox
        assert isinstance(message, EmailMultiAlternatives)
        assert message.subject == subject
        assert ("取消" in str(message.body), "Cancel" in str(message.body)) == (
            len(languages) > 1,
            True,
        )
        ((html, kind),) = message.alternatives
        assert kind == "text/html"
        assert str(html).count("<p>&lt;b&gt;</p>") == len(languages)
        assert message.message()["Message-ID"] == "<1@example.com>"
