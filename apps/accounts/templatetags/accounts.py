"""What the pages around log-in need to know."""

from __future__ import annotations

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def has_mailbox() -> bool:
    """Whether mails are kept on this machine and shown at /dev/mailbox/ instead of being sent."""
    return bool(getattr(settings, "DEV_MAILBOX", False))
