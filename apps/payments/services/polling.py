"""Asking the platforms about what is still open, since notifications get lost.

``plan`` decides what is said about one payment, ``_converse`` says it, ``settle`` applies what came. All three serve one
payment asked about here and now as well as the rounds (``rounds``) that ask about many at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.db import connection
from typing_extensions import override

from apps.core.audit import Actor
from apps.core.jitter import spread
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.payments.selectors import payment_ref
from apps.payments.services.applying import (
    TAKEN_BACK,
    ResultMismatch,
    apply_payment_result,
    settle_order,
    would_change,
)
from apps.payments.services.timing import (
    DOUBT_ENDS,
    LAST_LOOK,
    TOO_OFTEN_REST,
    end_delay,
    poll_delay,
)
from apps.platforms import registry
from apps.platforms.gateway import Outcome, PaymentResult, Platform, Product
from apps.platforms.services.asking import (
    Conversation,
    close_payment,
    query_payment,
    reverse_payment,
)
from apps.platforms.services.gateways import Caller
from apps.platforms.services.rounds import Heard, Note, Rest, Standing, Subject
from apps.platforms.terminal_keys import KEYLESS


class Ending(StrEnum):
    """How an attempt is ended at the platform. The value is the road in the timeline."""

    CLOSE = "close"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to say about one payment: a question, and where that does not settle it an ending."""

    ending: Ending | None = None
    #: Whether an ending comes without a question before it.
    at_once: bool = False
    #: The last question about a payment before it is reversed.
    last: bool = False


def plan(payment: Payment, *, now: datetime) -> Plan | Rest:
    """What to say about a payment now: nothing, nothing yet, a question, or an end to it.

    What is ended by giving back what may have been paid is asked about one last time, and that is noted; from then on only
    the ending's answer counts. A success from elsewhere is doubted then (``applying``): an ending whose answer was lost, or
    whose sender was killed, may have taken effect, and notices of what it undid may still be on their way.
    """
    by_code = payment.product == Product.BARCODE
    gives_back = by_code or registry.close_gives_back(payment.platform)
    if payment.state == PaymentState.CLOSED:
        if payment.code_text == TAKEN_BACK and payment.ending_at is None:
            # Only our books gave it up: nothing there may be reversed for that.
            return Plan()
        if by_code or payment.ending_at is not None:
            return Plan(Ending.REVERSE, at_once=True)
        look_at = payment.payable_until + LAST_LOOK
        early = payment.closed_at is not None and payment.closed_at < payment.payable_until
        return Rest(look_at) if early and now < look_at else Plan()
    if payment.state not in OPEN_STATES:
        return Rest()
    if payment.ending_at is not None:
        return Plan(Ending.REVERSE, at_once=True)
    if now < payment.expires_at and payment.order.state != OrderState.PAID:
        return Plan()
    if gives_back:
        return Plan(last=True)
    # What the platform was never heard to have taken needs no question. All else may have been paid in the last second:
    # it is asked about before it is closed, so that "closed" is never a guess.
    return Plan(Ending.CLOSE, at_once=payment.state == PaymentState.CREATED)


def _converse(payment: Payment, plan: Plan) -> Conversation[PaymentResult]:
    ref = payment_ref(payment)
    asked = None
    if not plan.at_once:
        asked = yield query_payment(ref)
        if plan.ending is None or asked.silent or _is_over(asked.result):
            return asked
    if plan.ending is Ending.REVERSE:
        ended = yield reverse_payment(ref)
        if ended.result is None and ended.usable and not ended.missing:
            # The platform will not reverse it (any more): then what it says of the payment holds.
            refused, ended = ended, (yield query_payment(ref))
            ended = replace(ended, trouble=ended.trouble or refused.trouble)
    else:
        ended = yield close_payment(ref)
    if ended.result is None and asked is not None:
        # The answer to the question stands; the owner reads why the end did not come.
        return replace(ended, result=asked.result)
    return replace(ended, step=str(plan.ending))


def _is_over(result: PaymentResult | None) -> bool:
    return result is not None and result.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}


#: All payments of a group at once. A row that somebody else is just changing is left out: a look that was not counted
#: harms nobody, while waiting for rows in whatever order could wait for one who waits for us. Only what is open still may be
#: ended: a success that was applied a moment ago stays.
_WRITE = """
WITH mine AS MATERIALIZED (
    SELECT payment.id, told.message, told.last FROM payments_payment AS payment
    JOIN unnest(%s::bigint[], %s::text[], %s::boolean[]) AS told (id, message, last) ON told.id = payment.id
    FOR NO KEY UPDATE OF payment SKIP LOCKED
)
UPDATE payments_payment AS payment SET last_polled_at = GREATEST(payment.last_polled_at, %s),
    poll_count = payment.poll_count + 1, message = COALESCE(mine.message, payment.message),
    ending_at = CASE WHEN mine.last AND payment.state IN ('created', 'pending', 'unknown')
                     THEN COALESCE(payment.ending_at, %s) ELSE payment.ending_at END
FROM mine WHERE payment.id = mine.id
RETURNING payment.id, payment.state, payment.expires_at
"""


def _noted(heard: Heard[Payment, Plan, PaymentResult]) -> bool:
    """Whether this was the last question, so that the payment may be ended.

    A payer's code waits for no answer, since somebody stands at the till. All else is not given back unasked.
    """
    if not heard.plan.last or heard.row.product == Product.BARCODE:
        return heard.plan.last
    open_ = heard.word.result is not None and not _is_over(heard.word.result)
    return open_ or heard.word.missing


class Payments(Subject[Payment, Plan, PaymentResult]):
    """Payments, as a subject of questions. ``via`` is the road that the timeline names."""

    def __init__(self, *, via: str = "poll") -> None:
        self._via = via

    @override
    def load(self, ids: Collection[int]) -> Sequence[Payment]:
        payments = Payment.objects.select_related("order").filter(pk__in=ids)
        return list(payments.defer("handover", "order__subject", "order__note"))

    @override
    def plan(self, row: Payment, *, now: datetime) -> Plan | Rest:
        return plan(row, now=now)

    @override
    def converse(self, row: Payment, plan: Plan) -> Conversation[PaymentResult]:
        return _converse(row, plan)

    @override
    def caller_of(self, row: Payment) -> Caller:
        return Caller(row.account, row.terminal_id, row.created_at)

    @override
    def apply(self, heard: Heard[Payment, Plan, PaymentResult], *, now: datetime) -> Note:
        payment, word = heard.row, heard.word
        trouble, result = word.trouble[:300], word.result
        changed = False
        if result is None and word.code in KEYLESS:
            # Only the terminal that began it is told of it, so no other one asks: that nobody knows is the truth.
            trouble = trouble or word.code
            result = PaymentResult(
                outcome=Outcome.UNKNOWN,
                order_no=payment.order_no,
                code=word.code,
                message=trouble,
            )
        echo = result is not None and result.outcome is Outcome.SUCCEEDED and not word.step
        if echo and payment.ending_at is not None:
            # It would be doubted, and its ending is due already: no need to say so at each look.
            return Note(trouble, trouble, last=_noted(heard))
        if result is not None and would_change(payment, result):
            try:
                changed = apply_payment_result(
                    payment_id=payment.pk,
                    result=result,
                    via=word.step or self._via,
                    now=now,
                    actor=Actor.system(self._via),
                )
            except ResultMismatch as error:
                trouble = str(error)[:300]
        # What a change has written is the platform's own word and stays.
        return Note(trouble, None if changed and not trouble else trouble, last=_noted(heard))

    @override
    def write(self, notes: Mapping[int, Note], *, now: datetime) -> Mapping[int, Standing]:
        with connection.cursor() as cursor:
            told = notes.values()
            words, last = [note.message for note in told], [note.last for note in told]
            cursor.execute(_WRITE, [list(notes), words, last, now, now])
            return {pk: Standing(state, ends_at) for pk, state, ends_at in cursor.fetchall()}

    @override
    def next_look(
        self,
        heard: Heard[Payment, Plan, PaymentResult],
        *,
        standing: Standing | None,
        trouble: str,
        now: datetime,
    ) -> datetime | None:
        payment, result = heard.row, heard.word.result
        state = standing.state if standing is not None else payment.state
        expires_at = (standing.ends_at if standing is not None else None) or payment.expires_at
        product = Product(payment.product)
        latest: datetime | None = None
        if state == PaymentState.CLOSED and payment.state == PaymentState.CLOSED:
            # The last look at what was closed early, or a doubted reversal: over once the platform is definite. Unpaid is
            # definite where nobody can pay any more, but no answer to a reversal.
            late = now - payment.payable_until
            reversing = heard.plan.ending is not None
            open_ends = {Outcome.UNKNOWN, Outcome.PENDING} if reversing else {Outcome.UNKNOWN}
            unsure = result is not None and result.outcome in open_ends
            # Where the platform itself is undecided for so long, its bill tells.
            too_late = late >= DOUBT_ENDS and (reversing or result is not None)
            if not (trouble or unsure) or too_late:
                return None
            wait = end_delay(product=product, late=late)
        elif state not in OPEN_STATES:
            return None
        elif _noted(heard):
            # It is ended in the next round.
            return now
        elif heard.plan.ending is not None or heard.plan.last:
            wait = end_delay(product=product, late=now - expires_at)
        else:
            age, latest = now - payment.created_at, expires_at
            wait = poll_delay(platform=Platform(payment.platform), product=product, age=age)
            if heard.word.too_often:
                wait = max(wait, TOO_OFTEN_REST)
        again_at = now + spread(wait, key=f"{payment.pk}/{payment.poll_count}")
        return again_at if latest is None else min(again_at, latest)


def refresh_payment(*, payment_id: int, now: datetime, via: str = "query") -> Payment:
    """Ask the platform now and apply what it says. A platform that does not answer leaves the payment as it was."""
    payment = Payment.objects.select_related("account", "order").get(pk=payment_id)
    if payment.state in OPEN_STATES:
        Payments(via=via).look(payment, Plan(), now=now)
        payment.refresh_from_db()
    return payment


def poll_payment(*, payment_id: int, now: datetime) -> datetime | None:
    """One look at an open payment; ends it when it is past its time or its order was paid otherwise.

    A payment that was closed early is asked about once more, after its time. What was asked about for the last time is
    ended in the same go; a payer's code waits for the next.
    Returns when to look again, None when there is nothing left to ask.
    """
    payment = Payment.objects.select_related("account", "order").filter(pk=payment_id).first()
    if payment is None:
        return None
    planned = plan(payment, now=now)
    if isinstance(planned, Rest):
        return planned.until
    again = Payments().look(payment, planned, now=now)
    if not planned.last or payment.product == Product.BARCODE:
        return again
    payment.refresh_from_db()
    planned = plan(payment, now=now)
    if isinstance(planned, Rest) or planned.last:
        return again
    return Payments().look(payment, planned, now=now)


def expire_order(*, order_id: int, now: datetime) -> datetime | None:
    """Close an order past its time once no attempt of it can still be paid; the attempts' own polls close them."""
    order = Order.objects.filter(pk=order_id, state=OrderState.OPEN).first()
    if order is None:
        return None
    if order.expires_at > now:
        return order.expires_at
    if settle_order(order_id=order_id, now=now):
        return None
    return now + end_delay(product=Product.DYNAMIC_QR, late=now - order.expires_at)
