"""What higher rooms hand over to be judged: a queryset with these columns, in this order, and nothing else.

This room never reads payments or refunds itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

#: ``kind`` as below; ``at`` when it happened; ``amount_minor`` in fen; ``order_id`` the order whose page shows it;
#: ``store_id``, ``code_id`` and ``member_id`` (who took or asked for it) may be NULL; ``payer`` is a keyed hash, "" where unknown.
COLUMNS: Final = (
    "kind",
    "at",
    "amount_minor",
    "order_id",
    "store_id",
    "code_id",
    "payer",
    "member_id",
)


class FactKind(StrEnum):
    """What happened."""

    PAID = "paid"
    FAILED = "failed"
    REFUND = "refund"


class WrongColumns(TypeError):
    """A queryset that does not have the columns of facts."""


#: A queryset of rows with ``COLUMNS``, made by ``values_list`` (or several by ``union``).
Facts = QuerySet[Any, Any]
#: Facts of one subject from a moment on, until now.
FactsSince = Callable[[datetime], Facts]


def facts_sql(facts: Facts) -> tuple[str, tuple[Any, ...]]:
    """The queryset as text and values, to be used as a table. Raises WrongColumns."""
    if tuple(facts.query.selected or ()) != COLUMNS:
        raise WrongColumns(", ".join(facts.query.selected or ()))
    text, values = facts.query.get_compiler(connection=connection).as_sql()
    return text, tuple(values)
