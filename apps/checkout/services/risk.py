"""Having payments judged by the risk rules: one that is about to begin, and all of them afterwards."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Final

from apps.checkout.facts import (
    facts_of_member,
    facts_of_store,
    facts_of_today,
    facts_since,
)
from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.core.encryption import keyed_hash
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.payments.models import Order, Payment
from apps.qrcodes.services import CodeRetired, pause_code
from apps.refunds.models import Refund
from apps.risk.counting import find
from apps.risk.rules import Outcome, lookback_days
from apps.risk.selectors import book_on
from apps.risk.services import (
    Raised,
    TillVerdict,
    Verdict,
    assess,
    assess_taking,
    raise_alerts,
)

ORDER: Final = "order"
RISK: Final = Actor.system("risk")
#: A merchant that took nothing for so long has nothing new to count.
_QUIET: Final = timedelta(hours=2)


class PaymentHeld(Exception):
    """The payment does not begin: the payer or a member must answer first, a member refused it, or its code is frozen."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict.outcome or "refused"))
        self.verdict = verdict


def judge(*, order: Order, payer_id: str = "", now: datetime) -> None:
    """Let the rules judge an order of a code whose payment is about to begin; other orders pass. At most three statements.

    A code that a rule freezes is paused here. Raises PaymentHeld.
    """
    if order.code_id is None:
        return
    payer = keyed_hash(payer_id, merchant_id=order.merchant_id, purpose="payer") if payer_id else ""
    verdict = assess(
        kind=ORDER,
        subject_id=order.pk,
        code_id=order.code_id,
        store_id=order.store_id,
        payer=payer,
        amount_minor=order.amount_minor,
        facts=facts_of_today(code_id=order.code_id, payer=payer, now=now),
        until=order.expires_at,
        now=now,
    )
    if verdict.pause and verdict.rule is not None:
        with contextlib.suppress(CodeRetired):
            pause_code(code_id=order.code_id, actor=RISK, now=now, reason=str(verdict.rule.label))
    if not verdict.goes_on:
        raise PaymentHeld(verdict)


class TillHeld(Exception):
    """The till does not take the payment without being told once more, or not by this member (``verdict.rule.outcome``)."""

    def __init__(self, verdict: TillVerdict) -> None:
        super().__init__(str(verdict.rule.outcome))
        self.verdict = verdict


def judge_taking(
    *,
    store_id: int,
    member_id: int,
    amount_minor: int,
    sure_minor: int | None,
    may_release: bool,
    now: datetime,
) -> None:
    """Let the rules judge what a cashier is about to take, before anything is begun. At most three statements.

    ``sure_minor``: the amount that the cashier was asked about and takes all the same; where a member must release it, that
    counts only with ``may_release``. Raises TillHeld.
    """
    sure = sure_minor == amount_minor
    verdict = assess_taking(
        store_id=store_id,
        member_id=member_id,
        amount_minor=amount_minor,
        of_member=facts_of_member(member_id, now=now),
        of_store=facts_of_store(store_id, now=now),
        now=now,
        # Told also where the cashier was sure beforehand: the answer stands in the page and could be sent with a first question.
        tell=True,
    )
    if verdict is None:
        return
    if sure and (may_release or verdict.rule.outcome is Outcome.CONFIRM):
        return
    raise TillHeld(verdict)


def expect_count(*, now: datetime) -> None:
    """Have the merchant's payments counted soon, in its scope, unless nothing happened lately."""
    lately = now - _QUIET
    if (
        Payment.objects.filter(created_at__gte=lately).exists()
        or Refund.objects.filter(created_at__gte=lately).exists()
    ):
        merchant_id = current_merchant_id()
        outbox.enqueue(
            task="checkout.count_risk", merchant_id=merchant_id, subject_id=merchant_id, due_at=now
        )


def count_risk(*, now: datetime) -> Raised:
    """Count yesterday and today under the rules in force and raise what they find. Safe to repeat."""
    merchant = Merchant.objects.get(pk=current_merchant_id())
    today = clock.business_date(now, merchant.day_starts_at)
    book = book_on(today)
    since = today - timedelta(days=1)
    findings = find(
        facts_since(since - timedelta(days=lookback_days([book.rules])), now=now),
        book.rules,
        since=since,
        day_starts_at=merchant.day_starts_at,
    )
    return raise_alerts(findings, book=book, actor=RISK, now=now)
