"""The merchant's own reason codes, and which codes are offered."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.names import one_line
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import AdjustmentReason, ReasonCode
from apps.merchants.models import Merchant

#: What a code may be made of: it is typed, filtered by and read out.
CODE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,15}", re.ASCII)
#: Most codes of one merchant.
MOST_CODES: Final = 60


class ReasonRefused(ValueError):
    """``reason``: ``"code"`` (not one), ``"taken"``, ``"name"`` (none), ``"many"``, ``"unknown"``, ``"last"``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _hold() -> None:
    # One writer at a time a merchant: how many there are stays true.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())


def _record(row: ReasonCode, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action="reason.changed",
        subject_kind="reason",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={"code": row.code, "name": row.name, "offered": row.is_active},
    )


@transaction.atomic
def add_reason(
    *, code: str, name: str, member: User | None, actor: Actor, now: datetime
) -> ReasonCode:
    """A reason code of the merchant's own. Codes differ in more than capitals. Raises ReasonRefused."""
    name = one_line(name)[:60]
    if CODE.fullmatch(code) is None:
        raise ReasonRefused("code")
    if not name:
        raise ReasonRefused("name")
    _hold()
    taken = {row.lower() for row in ReasonCode.objects.values_list("code", flat=True)}
    if code.lower() in taken | {reason.value for reason in AdjustmentReason}:
        raise ReasonRefused("taken")
    if len(taken) >= MOST_CODES:
        raise ReasonRefused("many")
    row: ReasonCode = ReasonCode.objects.create(
        code=code, name=name, updated_by=member, updated_at=now
    )
    _record(row, actor=actor, now=now)
    return row


@transaction.atomic
def offer_reason(
    *, code: str, offered: bool, member: User | None, actor: Actor, now: datetime
) -> None:
    """Offer a code for new adjustments, or no more; what was booked by it keeps it. The same twice changes nothing.

    Raises ReasonRefused for an unknown code, and where none would be offered any more.
    """
    _hold()
    row = ReasonCode.objects.filter(code=code).first()
    if row is None and code not in AdjustmentReason:
        raise ReasonRefused("unknown")
    if (row.is_active if row is not None else True) == offered:
        return
    if not offered:
        off = set(ReasonCode.objects.filter(is_active=False).values_list("code", flat=True))
        own = set(ReasonCode.objects.filter(is_active=True).values_list("code", flat=True))
        if not ({reason.value for reason in AdjustmentReason} | own) - off - {code}:
            raise ReasonRefused("last")
    if row is None:
        row = ReasonCode(code=code)
    row.is_active, row.updated_by, row.updated_at = offered, member, now
    row.save()
    _record(row, actor=actor, now=now)


def known_reason(code: str) -> str:
    """The code, if it is one of every merchant's or of this one's. Raises ReasonRefused."""
    if code in AdjustmentReason or ReasonCode.objects.filter(code=code).exists():
        return str(code)
    raise ReasonRefused("unknown")
