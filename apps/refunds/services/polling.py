"""Asking the platforms about refunds under way: one here and now, or many in a round."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from typing_extensions import override

from apps.core.audit import Actor
from apps.core.jitter import spread
from apps.payments.services import ResultMismatch
from apps.platforms.gateway import REFUND_NOT_SHOWN, Platform, RefundResult
from apps.platforms.services.asking import Conversation, Word, query_refund
from apps.platforms.services.gateways import Caller
from apps.platforms.services.rounds import Heard, Note, Rest, Standing, Subject
from apps.refunds.models import UNDER_WAY, Refund, RefundState
from apps.refunds.selectors import refund_ref
from apps.refunds.services.applying import apply_refund_result, would_change
from apps.refunds.services.requesting import enqueue_send
from apps.refunds.services.timing import QUEUE_WAIT, refund_delay

#: States in which the platform may never have heard of it.
_MAYBE_NOT_SENT = (RefundState.READY, RefundState.UNKNOWN, RefundState.QUEUED)
_ACCEPTED = (RefundState.PROCESSING, RefundState.ABNORMAL)


@dataclass(frozen=True, slots=True)
class Question:
    """What is said about a refund: only ever "where does it stand?"."""


def plan(refund: Refund) -> Question | Rest:
    """What to say about a refund now."""
    return Question() if refund.state in UNDER_WAY else Rest()


def converse(refund: Refund) -> Conversation[RefundResult]:
    """Ask where it stands."""
    return (yield query_refund(refund_ref(refund)))


def is_to_send(refund: Refund, word: Word[RefundResult]) -> bool:
    """Whether it must be sent, once more, to hear of it: it was never accepted, or another one is shown in its place."""
    if word.missing and refund.state == RefundState.PROCESSING:
        return word.code == REFUND_NOT_SHOWN
    return word.missing and refund.state in _MAYBE_NOT_SENT


#: As for payments: all of a group at once, leaving out what somebody else is just changing.
_WRITE = """
WITH mine AS MATERIALIZED (
    SELECT refund.id, told.message FROM refunds_refund AS refund
    JOIN unnest(%s::bigint[], %s::text[]) AS told (id, message) ON told.id = refund.id
    FOR NO KEY UPDATE OF refund SKIP LOCKED
)
UPDATE refunds_refund AS refund SET poll_count = refund.poll_count + 1,
    message = COALESCE(mine.message, refund.message)
FROM mine WHERE refund.id = mine.id
RETURNING refund.id, refund.state
"""


class Refunds(Subject[Refund, Question, RefundResult]):
    """Refunds, as a subject of questions. ``via`` is the road that the timeline names."""

    def __init__(self, *, via: str = "poll") -> None:
        self._via = via

    @override
    def load(self, ids: Collection[int]) -> Sequence[Refund]:
        refunds = Refund.objects.select_related("payment__order").filter(pk__in=ids)
        return list(refunds.defer("payment__handover"))

    @override
    def plan(self, row: Refund, *, now: datetime) -> Question | Rest:
        return plan(row)

    @override
    def converse(self, row: Refund, plan: Question) -> Conversation[RefundResult]:
        return converse(row)

    @override
    def caller_of(self, row: Refund) -> Caller:
        payment = row.payment
        return Caller(row.account, payment.terminal_id, payment.created_at)

    @override
    def apply(self, heard: Heard[Refund, Question, RefundResult], *, now: datetime) -> Note:
        refund, word = heard.row, heard.word
        trouble = word.trouble
        if is_to_send(refund, word):
            # Sending again under the same number cannot pay twice.
            wait = QUEUE_WAIT if refund.state == RefundState.QUEUED else timedelta(0)
            enqueue_send(refund, due_at=now + wait)
        if word.result is not None and would_change(refund, word.result):
            try:
                apply_refund_result(
                    refund_id=refund.pk,
                    result=word.result,
                    via=self._via,
                    now=now,
                    actor=Actor.system(self._via),
                )
            except ResultMismatch as error:
                trouble = str(error)
        return Note(trouble, trouble[:300] or None)

    @override
    def write(self, notes: Mapping[int, Note], *, now: datetime) -> Mapping[int, Standing]:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [list(notes), [note.message for note in notes.values()]])
            return {pk: Standing(state) for pk, state in cursor.fetchall()}

    @override
    def next_look(
        self,
        heard: Heard[Refund, Question, RefundResult],
        *,
        standing: Standing | None,
        trouble: str,
        now: datetime,
    ) -> datetime | None:
        refund = heard.row
        state = standing.state if standing is not None else refund.state
        if state not in UNDER_WAY:
            return None
        wait = next_wait(refund, state=state, now=now)
        return now + spread(wait, key=f"{refund.pk}/{refund.poll_count}")


def next_wait(refund: Refund, *, state: str, now: datetime) -> timedelta:
    """How long to wait until the next look at a refund that stands like this."""
    accepted = state in _ACCEPTED
    since = (refund.accepted_at if accepted else None) or refund.sent_at or now
    platform = Platform(refund.payment.platform)
    return refund_delay(platform=platform, accepted=accepted, age=now - since)


def poll_refund(*, refund_id: int, now: datetime) -> datetime | None:
    """One look at a refund under way; returns when to look again, None when it is final."""
    refund = Refund.objects.select_related("payment__order", "account").filter(pk=refund_id).first()
    if refund is None:
        return None
    planned = plan(refund)
    return planned.until if isinstance(planned, Rest) else Refunds().look(refund, planned, now=now)


def refresh_refund(*, refund_id: int, now: datetime) -> Refund:
    """Ask the platform about a refund under way now."""
    refund = Refund.objects.select_related("payment__order", "account").get(pk=refund_id)
    planned = plan(refund)
    if isinstance(planned, Question) and refund.sent_at is not None:
        Refunds(via="query").look(refund, planned, now=now)
        refund.refresh_from_db()
    return refund
