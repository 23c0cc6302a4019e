"""Taking money at the till."""

from __future__ import annotations

from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from apps.accounts.models import User
from apps.checkout.selectors import Stage, get_charge
from apps.checkout.services.risk import judge_taking
from apps.core.audit import Actor
from apps.core.money import Money
from apps.payments.models import Payment
from apps.payments.services import charge_barcode


class PaidAfterAll(Exception):
    """The code before was paid while another one was scanned, so nothing more was taken. ``order_id`` is its order."""

    def __init__(self, order_id: int) -> None:
        super().__init__(f"order {order_id} is paid")
        self.order_id = order_id


@sensitive_variables("auth_code")
def take_at_till(
    *,
    store_id: int,
    amount: Money,
    subject: str,
    note: str,
    auth_code: str,
    nonce: str,
    terminal_id: int | None,
    after: int | None,
    member: User,
    now: datetime,
    actor: Actor,
    sure_minor: int | None = None,
    may_release: bool = False,
) -> Payment:
    """As ``payments.services.charge_barcode``, also where this is another try because a first code did not work.

    ``after`` is the order of that first try. A platform may call it paid a moment later; the same amount is then not
    taken again. The shop's risk rules judge it before the platform sees the code; ``sure_minor`` and ``may_release`` as in
    ``judge_taking``. Never inside a transaction. Raises PaidAfterAll, BarcodeRefused, AmountOutOfRange, TillHeld; then nothing
    was begun.
    """
    before = None if after is None else get_charge(after, taken_by=member)
    if (
        before is not None
        and before.order.amount_minor == amount.minor
        and before.stage(now=now) is Stage.PAID
    ):
        raise PaidAfterAll(before.order.pk)

    def before_it_begins() -> None:
        judge_taking(
            store_id=store_id,
            member_id=member.pk,
            amount_minor=amount.minor,
            sure_minor=sure_minor,
            may_release=may_release,
            now=now,
        )

    return charge_barcode(
        store_id=store_id,
        amount=amount,
        subject=subject,
        note=note,
        auth_code=auth_code,
        nonce=nonce,
        terminal_id=terminal_id,
        member=member,
        now=now,
        actor=actor,
        before=before_it_begins,
    )
