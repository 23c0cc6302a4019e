"""Refunds of many payments at once: asked for, confirmed as a whole, paused, stopped, tried again.

``batch_running`` makes the refunds. The batch's row is locked before its rows, and a payment's row after them.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import end_approval, request_approval
from apps.core import audit, live, outbox, sql
from apps.core.audit import Actor
from apps.payments.models import Payment
from apps.payments.services.ordering import new_number
from apps.refunds.models import (
    BatchRowState,
    BatchState,
    Refund,
    RefundBatch,
    RefundBatchRow,
    RefundState,
)
from apps.refunds.selectors import BatchWish, Choice
from apps.refunds.selectors.choosing import chosen_table, read_choice
from apps.refunds.selectors.choosing_sql import TABLE
from apps.refunds.services.requesting import record_step

TASK = "refunds.batch"
#: The message of a refund that was made and then kept from being sent; pages say it in words.
STOPPED = "batch_stopped"

_WRITE = f"""
INSERT INTO refunds_refundbatchrow (merchant_id, batch_id, payment_id, amount_minor, refund_no, outcome, state, problem, tries)
SELECT %(merchant)s, %(batch)s, c.payment_id, c.amount, n.refund_no, (%(outcomes)s::text[])[c.rule + 1], 'planned', '', 1
FROM (SELECT t.*, row_number() OVER (ORDER BY t.place) AS nth FROM {TABLE} t WHERE t.why = '') c
JOIN unnest(%(numbers)s::text[]) WITH ORDINALITY AS n (refund_no, nth) ON n.nth = c.nth
ORDER BY c.place
"""  # noqa: S608  # our own text
_LISTED = """
SELECT encode(sha256(convert_to(COALESCE(string_agg(p.order_no || ' ' || b.amount_minor, E'\\n' ORDER BY b.id), ''), 'UTF8')), 'hex'),
    count(*), COALESCE(sum(b.amount_minor), 0)::bigint
FROM refunds_refundbatchrow b JOIN payments_payment p ON p.merchant_id = b.merchant_id AND p.id = b.payment_id
WHERE b.merchant_id = %s AND b.batch_id = %s
"""
#: What failed gets a number of its own: under the old one the platform would answer with the old refund. A payment that
#: another batch has still to do with is left alone. The row keeps the refund that failed until its next is made: should the
#: platform pay it out after all before that, it is the row's refund and there is no other.
_AGAIN = """
WITH failed AS (
    SELECT b.id, b.payment_id, row_number() OVER (ORDER BY b.id) AS nth FROM refunds_refundbatchrow b
    LEFT JOIN refunds_refund r ON r.merchant_id = b.merchant_id AND r.id = b.refund_id
    WHERE b.merchant_id = %(merchant)s AND b.batch_id = %(batch)s
      AND (b.state = 'refused' OR (b.state = 'made' AND r.state IN ('failed', 'rejected')))
      AND NOT EXISTS (SELECT FROM refunds_refundbatchrow o WHERE o.merchant_id = b.merchant_id
                      AND o.payment_id = b.payment_id AND o.state = 'planned')
)
UPDATE refunds_refundbatchrow b SET state = 'planned', problem = '', tries = b.tries + 1, refund_no = n.refund_no
FROM failed JOIN unnest(%(numbers)s::text[]) WITH ORDINALITY AS n (refund_no, nth) ON n.nth = failed.nth
WHERE b.merchant_id = %(merchant)s AND b.id = failed.id
"""


class BatchChanged(Exception):
    """What would be done is no longer what was shown: ``choice`` is what it is now."""

    def __init__(self, choice: Choice | None) -> None:
        super().__init__("the choice has changed")
        self.choice = choice


class NothingChosen(Exception):
    """No payment is left that the batch could refund."""


class NotNow(Exception):
    """The batch does not stand where this can be done; ``state`` is where it stands."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def batch_digest(batch: RefundBatch) -> bytes:
    """SHA-256 over what an approver confirms: each payment with its amount, how many, the sum, and the reason."""
    row = sql.first(_LISTED, [batch.merchant_id, batch.pk])
    listed, count, minor = row or ("", 0, 0)
    signed = {
        "rows": listed,
        "count": count,
        "minor": int(minor),
        "total_count": batch.total_count,
        "total_minor": batch.total_minor,
        "reason": batch.reason,
        "reason_code": batch.reason_code,
    }
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).digest()


def record_batch(
    batch: RefundBatch, action: str, *, actor: Actor, now: datetime, **data: str | int
) -> None:
    """One step of a batch, in the audit trail and on open pages."""
    audit.record(
        action=action,
        subject_kind="refund_batch",
        subject_id=batch.pk,
        actor=actor,
        at=now,
        data={"count": batch.total_count, "amount_minor": batch.total_minor, **data},
    )
    live.publish(
        kind="refund_batch",
        subject_id=batch.pk,
        store_id=None,
        member_id=batch.requested_by_id,
    )


def start_batch(
    *,
    wish: BatchWish,
    seal: str,
    cover: tuple[int, str],
    nonce: str,
    member: User,
    actor: Actor,
    now: datetime,
) -> RefundBatch:
    """Write down what was shown, and run it, or put all of it under four eyes where the rules ask for that.

    ``seal`` and ``cover`` (confirmations, by whom) are those of the choice which was shown; with a ``nonce`` used before it finds the batch of then.
    Raises BatchChanged, NothingChosen, and leaves nothing behind then.
    """
    try:
        with transaction.atomic():
            return _start(
                wish=wish,
                seal=seal,
                cover=cover,
                nonce=nonce,
                member=member,
                actor=actor,
                now=now,
            )
    except IntegrityError as error:
        # Another page was a moment faster: with the same nonce, or with another batch of the same payments.
        earlier = RefundBatch.objects.filter(nonce=nonce).first()
        if earlier is None:
            raise BatchChanged(None) from error
        return earlier


def _start(
    *,
    wish: BatchWish,
    seal: str,
    cover: tuple[int, str],
    nonce: str,
    member: User,
    actor: Actor,
    now: datetime,
) -> RefundBatch:
    earlier: RefundBatch | None = RefundBatch.objects.filter(nonce=nonce).first()
    if earlier is not None:
        return earlier
    with chosen_table(wish, member_id=member.pk, now=now) as (number, book):
        choice = read_choice(number, book)
        shown = (seal, *cover) == (choice.seal, choice.confirmations, choice.permission)
        if choice.is_too_many or not shown:
            raise BatchChanged(choice)
        whole = choice.whole
        if not whole.count:
            raise NothingChosen
        batch: RefundBatch = RefundBatch.objects.create(
            nonce=nonce,
            wish=wish.as_json(),
            share_kind=wish.share_kind,
            share_value=wish.share_value,
            reason=wish.reason,
            reason_code=wish.reason_code,
            state=BatchState.WAITING if choice.confirmations else BatchState.RUNNING,
            total_count=whole.count,
            total_minor=whole.minor,
            left_out={why: [part.count, part.paid_minor] for why, part in choice.left_out.items()},
            store_ids=list(choice.store_ids),
            confirmations=choice.confirmations,
            permission=choice.permission,
            book_number=choice.book_number,
            requested_by=member,
            created_at=now,
        )
        codes = [book.outcome_of(rule) for rule in range(len(book.rules) + 1)]
        with connection.cursor() as cursor:
            cursor.execute(
                _WRITE,
                {
                    "merchant": batch.merchant_id,
                    "batch": batch.pk,
                    "outcomes": codes,
                    "numbers": _numbers(whole.count, now),
                },
            )
    record_batch(batch, "refund_batch.requested", actor=actor, now=now, reason=batch.reason)
    if choice.confirmations:
        batch.approval = request_approval(
            subject_kind="refund_batch",
            subject_id=batch.pk,
            store_id=choice.store_id,
            summary={
                "amount_minor": batch.total_minor,
                "count": batch.total_count,
                "reason": batch.reason,
            },
            digest=batch_digest(batch),
            permission=choice.permission,
            needed=choice.confirmations,
            requested_by=member,
            now=now,
        )
        batch.save(update_fields=["approval"])
    else:
        _go_on(batch, now=now)
    return batch


def _numbers(count: int, now: datetime) -> list[str]:
    """So many refund numbers, no two the same."""
    found: set[str] = set()
    while len(found) < count:
        found.add(new_number("R", now))
    return sorted(found)


def _go_on(batch: RefundBatch, *, now: datetime) -> None:
    outbox.enqueue(task=TASK, merchant_id=batch.merchant_id, subject_id=batch.pk, due_at=now)


def hold_batch(batch_id: int) -> RefundBatch:
    """The batch with its row locked. Raises RefundBatch.DoesNotExist."""
    held: RefundBatch = RefundBatch.objects.select_for_update(of=("self",)).get(pk=batch_id)
    return held


def release_batch(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: let it run, in the approval's transaction."""
    batch = hold_batch(approval.subject_id)
    if batch.state == BatchState.WAITING and batch.approval_id == approval.pk:
        move_batch(batch, BatchState.RUNNING)
        _go_on(batch, now=now)
        record_batch(batch, "refund_batch.confirmed", actor=actor, now=now)


def void_batch(*, approval: Approval, reason: str, actor: Actor, now: datetime) -> None:
    """Refused, withdrawn, changed or expired: nothing of it is done, in the approval's transaction."""
    batch = hold_batch(approval.subject_id)
    if batch.state != BatchState.WAITING or batch.approval_id != approval.pk:
        return
    refused = approval.state == ApprovalState.REJECTED
    move_batch(batch, BatchState.REFUSED if refused else BatchState.CANCELLED, now=now)
    _stop_rows(batch)
    action = "refund_batch.refused" if refused else "refund_batch.cancelled"
    record_batch(batch, action, actor=actor, now=now, reason=reason)


def move_batch(batch: RefundBatch, state: BatchState, *, now: datetime | None = None) -> None:
    """Another state of a batch whose row is locked; with ``now`` it has ended."""
    batch.state, batch.finished_at = state, now
    batch.save(update_fields=["state", "finished_at"])


def _stop_rows(batch: RefundBatch) -> int:
    rows = RefundBatchRow.objects.filter(batch=batch, state=BatchRowState.PLANNED)
    return int(rows.update(state=BatchRowState.CANCELLED))


@transaction.atomic
def pause_batch(*, batch_id: int, actor: Actor, now: datetime) -> RefundBatch:
    """Make no more refunds for the present; those made go their way. Raises NotNow."""
    batch = hold_batch(batch_id)
    if batch.state != BatchState.RUNNING:
        raise NotNow(batch.state)
    move_batch(batch, BatchState.PAUSED)
    outbox.forget(task=TASK, merchant_id=batch.merchant_id, subject_id=batch.pk)
    record_batch(batch, "refund_batch.paused", actor=actor, now=now)
    return batch


@transaction.atomic
def resume_batch(*, batch_id: int, actor: Actor, now: datetime) -> RefundBatch:
    """Go on with a paused batch. Raises NotNow."""
    batch = hold_batch(batch_id)
    if batch.state != BatchState.PAUSED:
        raise NotNow(batch.state)
    move_batch(batch, BatchState.RUNNING)
    _go_on(batch, now=now)
    record_batch(batch, "refund_batch.resumed", actor=actor, now=now)
    return batch


def cancel_batch(*, batch_id: int, actor: Actor, now: datetime) -> RefundBatch:
    """Do no more of it: what is not made is not made, what is made and not sent is taken back. Raises NotNow.

    What the platform has heard of goes its way.
    """
    found = RefundBatch.objects.only("approval_id", "state").get(pk=batch_id)
    if found.state == BatchState.WAITING and found.approval_id is not None:
        end_approval(
            approval_id=found.approval_id,
            state=ApprovalState.VOIDED,
            reason="withdrawn",
            actor=actor,
            now=now,
        )
        ended: RefundBatch = RefundBatch.objects.get(pk=batch_id)
        if ended.state == BatchState.WAITING:
            raise NotNow(ended.state)
        return ended
    return _cancel(batch_id, actor=actor, now=now)


@transaction.atomic
def _cancel(batch_id: int, *, actor: Actor, now: datetime) -> RefundBatch:
    batch = hold_batch(batch_id)
    if batch.state not in {BatchState.RUNNING, BatchState.PAUSED}:
        raise NotNow(batch.state)
    stopped = _stop_rows(batch)
    taken_back = _take_back_unsent(batch, actor=actor, now=now)
    move_batch(batch, BatchState.CANCELLED, now=now)
    outbox.forget(task=TASK, merchant_id=batch.merchant_id, subject_id=batch.pk)
    record_batch(
        batch,
        "refund_batch.cancelled",
        actor=actor,
        now=now,
        stopped=stopped,
        taken_back=taken_back,
    )
    return batch


def _take_back_unsent(batch: RefundBatch, *, actor: Actor, now: datetime) -> int:
    """The batch's refunds that no worker has sent: cancelled, their amounts free again. A portion at most."""
    unsent = Refund.objects.filter(
        pk__in=RefundBatchRow.objects.filter(batch=batch, state=BatchRowState.MADE).values(
            "refund"
        ),
        state=RefundState.READY,
        tried_at__isnull=True,
        sent_at__isnull=True,
    )
    payments = list(unsent.values_list("payment_id", flat=True))
    # The payments' rows first, as where refunds are sent: whoever sends one of these has either done so by now, or sees it gone.
    list(Payment.objects.select_for_update(of=("self",)).filter(pk__in=payments).order_by("pk"))
    refunds = list(unsent.select_related("payment").order_by("pk"))
    Refund.objects.filter(pk__in=[refund.pk for refund in refunds]).update(
        state=RefundState.CANCELLED, message=STOPPED
    )
    for refund in refunds:
        Payment.objects.filter(pk=refund.payment_id).update(
            refund_reserved_minor=F("refund_reserved_minor") - refund.amount_minor
        )
        outbox.forget(task="refunds.send", merchant_id=refund.merchant_id, subject_id=refund.pk)
        record_step(
            refund, "refund.cancelled", actor=actor, now=now, reason=STOPPED, batch=batch.pk
        )
    return len(refunds)


@transaction.atomic
def retry_batch(*, batch_id: int, actor: Actor, now: datetime) -> RefundBatch:
    """Try again what failed, each under a new number. Raises NotNow where it is not finished or nothing failed.

    Nothing new is to be confirmed: each payment is on the confirmed list with its amount, and of what failed nothing went back.
    """
    batch = hold_batch(batch_id)
    if batch.state != BatchState.DONE:
        raise NotNow(batch.state)
    rows = RefundBatchRow.objects.filter(batch=batch).count()
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute(
                    _AGAIN,
                    {
                        "merchant": batch.merchant_id,
                        "batch": batch.pk,
                        "numbers": _numbers(rows, now),
                    },
                )
                again = cursor.rowcount
        except IntegrityError as error:
            # Another batch with one of these payments was tried again at the same moment.
            raise NotNow(batch.state) from error
    if not again:
        raise NotNow(batch.state)
    move_batch(batch, BatchState.RUNNING)
    _go_on(batch, now=now)
    record_batch(batch, "refund_batch.retried", actor=actor, now=now, again=again)
    return batch
