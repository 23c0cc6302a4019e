"""Mail to people whose language is unknown: everything is said in each language of the portal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation

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
