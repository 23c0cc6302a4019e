"""Showing fen as yuan on the simulator's own pages."""

from django import template

register = template.Library()


@register.filter
def yuan(fen: int) -> str:
    """``¥1,234.50`` of 123450 fen."""
    sign = "-" if fen < 0 else ""
    return f"{sign}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
