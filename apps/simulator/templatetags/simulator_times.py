"""Showing instants on the simulator's own pages."""

from datetime import datetime

from django import template

from apps.simulator import clock

register = template.Library()


@register.filter
def beijing(at: datetime | None) -> str:
    """``2026-05-01 10:21:33`` in Beijing time; "" for None."""
    return clock.beijing_text(at) if at else ""
