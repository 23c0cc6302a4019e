"""The column map of an account's console exports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.platforms import messages, tables
from apps.platforms.gateway import StatementLine, StatementUnreadable
from apps.platforms.models import PlatformAccount
from apps.statements.models import ColumnMap


class ColumnsRefused(Exception):
    """These columns cannot be used. ``field`` is the one of ours at fault, if it can be told; ``message`` is a sentence."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def _check(mapping: Mapping[str, str]) -> None:
    missing = next((field for field in tables.FIELDS if field in tables.REQUIRED and not mapping.get(field)), "")  # fmt: skip
    if missing:
        raise ColumnsRefused(missing, _("Choose the column that holds this."))
    if not any(mapping.get(field) for field in tables.NUMBERS):
        raise ColumnsRefused(
            "order_no", _("Choose a column with a number: without one, no row can be matched.")
        )
    seen: dict[str, str] = {}
    for field in tables.FIELDS:
        heading = mapping.get(field)
        if heading and heading in seen:
            raise ColumnsRefused(field, _("This column is chosen for something else already."))
        if heading:
            seen[heading] = field


def try_columns(*, sample: tables.Sample, mapping: Mapping[str, str]) -> list[StatementLine]:
    """The first rows of a file as these columns read them. Raises ColumnsRefused with the line and column at fault."""
    _check(mapping)
    try:
        return tables.read_rows(sample, mapping)
    except StatementUnreadable as error:
        field = next((field for field, name in mapping.items() if name == error.column), "")
        raise ColumnsRefused(field, str(messages.explain_statement(error))) from error


@transaction.atomic
def set_columns(
    *, account_id: int, mapping: Mapping[str, str], member: User, actor: Actor, now: datetime
) -> ColumnMap:
    """Read the account's console exports by these columns from now on. Raises ColumnsRefused, PlatformAccount.DoesNotExist."""
    _check(mapping)
    account = PlatformAccount.objects.get(pk=account_id)
    kept = {field: mapping[field] for field in tables.FIELDS if mapping.get(field)}
    chosen, _made = ColumnMap.objects.update_or_create(
        account_id=account.pk,
        merchant_id=current_merchant_id(),
        defaults={"mapping": kept, "updated_at": now, "updated_by": member},
    )
    audit.record(
        action="columns.changed",
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={"account": account.label, "columns": kept},
    )
    return chosen
