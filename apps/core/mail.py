"""Mail in the reader's language; where that is unknown, everything is said in each language of the portal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import mark_safe

#: Between the languages of a body.
_RULE = "\n\n----\n\n"


def send_in_every_language(
    *,
    to: Iterable[str],
    subject: Callable[[], str],
    template: str,
    context: Mapping[str, Any],
) -> int:
    """Send one mail each to the addresses ``to``, so that nobody sees the others; returns how many left.

    ``subject`` is asked, and ``template`` rendered with ``context``, once in each language; what reads the same in two is
    said once. Network call: to be called outside a transaction. Raises what the mail server's client raises.
    """
    subjects, bodies = [], []
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            subjects.append(subject())
            bodies.append(render_to_string(template, dict(context)).strip())
    sent = 0
    for address in to:
        EmailMessage(
            # A line break in a name would be refused as a second header.
            subject=" ".join(" / ".join(dict.fromkeys(subjects)).split()),
            body=_RULE.join(dict.fromkeys(bodies)) + "\n",
            to=[address],
        ).send()
        sent += 1
    return sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What one mail says in the language that is active when it is asked for."""

    subject: str
    context: Mapping[str, Any]


def send_letter(
    *,
    to: str,
    languages: Sequence[str],
    letter: Callable[[], Letter],
    template: str,
    message_id: str,
    headers: Mapping[str, str],
) -> None:
    """Send one mail as plain text and as HTML, said once in each of ``languages``.

    ``template`` names ``….txt`` and ``….html`` without their ends, and ``…_frame.html``, the page around the parts. With the
    same ``message_id`` a mail that goes out twice, since nobody knows whether it went, is one mail to its reader's program.
    Network call: to be called outside a transaction. Raises what the mail server's client raises.
    """
    subjects, texts, pages = [], [], []
    for language in languages:
        with translation.override(language):
            said = letter()
            subjects.append(said.subject)
            texts.append(render_to_string(f"{template}.txt", dict(said.context)).strip())
            pages.append(render_to_string(f"{template}.html", dict(said.context)).strip())
    with translation.override(languages[0]):
        parts = [mark_safe(page) for page in pages]  # noqa: S308  # rendered by templates that escape
        page = render_to_string(
            f"{template}_frame.html",
            {"parts": parts, "subject": subjects[0], "language": languages[0]},
        )
    mail = EmailMultiAlternatives(
        subject=" ".join(" / ".join(dict.fromkeys(subjects)).split()),
        body=_RULE.join(dict.fromkeys(texts)) + "\n",
        to=[to],
        headers={**headers, "Message-ID": message_id},
    )
    mail.attach_alternative(page, "text/html")
    mail.send()
