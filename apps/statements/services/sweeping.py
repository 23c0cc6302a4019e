"""Bills by asking: where a platform has none to download, it is asked about each payment and refund of ours of a day.

What it answers is applied like any other word of it and written down as a file of the usual form. Such a file shows what
the platform says of our numbers; it cannot show money that was taken past the portal.

A large day takes longer than one task may run. So each run asks a bounded share of the questions and keeps the answers
(``SweptAnswer``) until there are all and the file is written.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.core.money import Money
from apps.payments.models import Payment
from apps.payments.selectors import payment_ref
from apps.payments.services import ResultMismatch, apply_payment_result
from apps.platforms import messages, tables
from apps.platforms.gateway import (
    LineKind,
    Outcome,
    PaymentResult,
    PlatformGateway,
    RefundResult,
    StatementKind,
    StatementLine,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import Caller, gateways_of, pacing
from apps.platforms.services.asking import (
    LATE,
    Call,
    Conversation,
    Talk,
    Word,
    query_payment,
    query_refund,
    talk_all,
)
from apps.platforms.services.pacing import BREAKER, Tally
from apps.refunds.models import UNDER_WAY, Refund
from apps.refunds.selectors import refund_ref
from apps.refunds.services import apply_refund_result
from apps.statements.models import Statement, StatementDay, SweptAnswer
from apps.statements.selectors import bill_period
from apps.statements.services.importing import forget_answers, import_statement

#: Questions loaded at once.
BATCH = 200
#: How often one question is asked within a sweep before it counts as unanswered.
TRIES = 3
#: Slots of the account's pace are taken so far ahead.
_AHEAD = timedelta(seconds=10)
#: A payment begun so long before the day may still have been paid on it; a refund may have been under way for days.
_BEFORE = timedelta(days=1)
_REFUNDS_BEFORE = timedelta(days=7)
#: An answer that is not the last word is asked for again after this time: longer than a sweep of a very large day takes.
_FRESH: Final = timedelta(hours=6)
#: When a run is followed by the next that could not ask anything: others had the account's turns, or are sweeping the day.
_LATER: Final = timedelta(minutes=1)

#: What a platform does not take back.
_FINAL: Final = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CLOSED})

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run may ask at most: so many questions, for so many seconds. It may end half a minute later."""

    questions: int = 2_000
    seconds: float = 300


#: Of a worker, well within a task's time, and of a person who waits for the page.
SHARE: Final = Share()
SHARE_BY_HAND: Final = Share(questions=100, seconds=10)


class SweepIncomplete(Exception):
    """Not every question was answered, so nothing was imported. ``message`` is a sentence in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SweepGoesOn(Exception):
    """The share of one run is used up, and its answers are kept. ``again_at`` is when to go on.

    ``answered`` of ``questions`` are told; both are 0 where another worker is at it.
    """

    def __init__(self, *, answered: int, questions: int, again_at: datetime) -> None:
        super().__init__(f"{answered} of {questions}")
        self.answered = answered
        self.questions = questions
        self.again_at = again_at


@dataclass(slots=True)
class _Sweep:
    """One account's day while it is asked about."""

    expected: StatementDay
    now: datetime
    actor: Actor
    #: When the share's time is up, by the monotonic clock.
    ends_at: float
    #: Questions of the day in all, those that were answered, and those answered by this run.
    questions: int = 0
    answered: int = 0
    fresh: int = 0
    #: Whether questions were left over that nothing stands in the way of.
    left_over: bool = False
    #: Whether the account's breaker is open.
    shut: bool = False
    #: The first reason why a question was not: a code and words.
    code: str = ""
    trouble: str = ""

    @property
    def account(self) -> PlatformAccount:
        """Whose day it is."""
        account: PlatformAccount = self.expected.account
        return account

    @property
    def day(self) -> date:
        """The day asked about."""
        return self.expected.day

    @property
    def is_over(self) -> bool:
        """Whether the share's time is up."""
        return time.monotonic() >= self.ends_at

    def period(self) -> tuple[datetime, datetime]:
        """The platform's own day."""
        return bill_period(self.account.platform, self.day)

    def holds(self, at: datetime) -> bool:
        """Whether the day holds this moment."""
        from_at, until = self.period()
        return from_at <= at < until

    def miss(self, word: Word[R]) -> None:
        """One question brought no answer."""
        if not self.trouble:
            self.code, self.trouble = word.code, word.trouble


@dataclass(frozen=True)
class _Question(Generic[R]):
    caller: Caller
    call: Call[R]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a word on a payment or refund comes to; ``is_final`` and ``line`` as in ``SweptAnswer``."""

    subject_id: int
    line: StatementLine | None = None
    is_final: bool = False


def sweep(
    *, expected: StatementDay, actor: Actor, now: datetime, share: Share = SHARE
) -> Statement:
    """Ask about the payments and refunds of a day, apply the answers and, once all are there, import them as its bill.

    Where a file of the platform itself is here it stays, since it knows more, and is returned. Never inside a transaction:
    it calls the platform. Raises SweepGoesOn, SweepIncomplete, StatementRefused, encryption.CannotOpen.
    """
    with outbox.turn(task=f"statements.sweep/{expected.pk}", places=1) as mine:
        if not mine:
            raise SweepGoesOn(answered=0, questions=0, again_at=now + _LATER)
        work = _Sweep(expected, now, actor, ends_at=time.monotonic() + share.seconds)
        _ask_share(work, share)
        if work.answered < work.questions:
            raise _unfinished(work)
        statement = import_statement(
            account_id=expected.account_id,
            kind=StatementKind.TRADE,
            day=expected.day,
            filename=f"{expected.account.merchant_no}_{expected.day:%Y%m%d}_asked.csv",
            content=tables.write(_lines(work)),
            uploaded_by=None,
            actor=actor,
            now=now,
            asked=True,
        )
        forget_answers(expected)
        return statement


def _ask_share(work: _Sweep, share: Share) -> None:
    """Ask what is not answered yet, as much of it as one run may."""
    left = share.questions
    for kind, ids, ask in (
        (LineKind.PAYMENT, _payment_ids(work), _ask_payments),
        (LineKind.REFUND, _refund_ids(work), _ask_refunds),
    ):
        known = _known(work, kind)
        work.questions += len(ids)
        work.answered += len(known.intersection(ids))
        # From where the run before broke off: what brings no answer must not stand in the way of all behind it.
        last = max(known, default=0)
        wanted = sorted(set(ids) - known, key=lambda pk: (pk < last, pk))
        work.left_over |= len(wanted) > left
        for batch in _batches(wanted[:left]):
            if work.is_over:
                work.left_over = True
            if work.is_over or work.shut:
                break
            ask(work, batch)
        left -= min(left, len(wanted))


def _known(work: _Sweep, kind: LineKind) -> set[int]:
    """Which questions need not be asked again."""
    rows = SweptAnswer.objects.filter(day=work.expected, kind=kind.value)
    good = rows.filter(Q(is_final=True) | Q(answered_at__gt=work.now - _FRESH))
    return set(good.values_list("subject_id", flat=True))


def _keep(work: _Sweep, kind: LineKind, answers: Sequence[_Answer]) -> None:
    SweptAnswer.objects.bulk_create(
        [
            SweptAnswer(
                day=work.expected,
                kind=kind.value,
                subject_id=one.subject_id,
                line=_stored(one.line) if one.line is not None else None,
                is_final=one.is_final,
                answered_at=work.now,
            )
            for one in answers
        ],
        update_conflicts=True,
        unique_fields=["merchant_id", "day", "kind", "subject_id"],
        update_fields=["line", "is_final", "answered_at"],
    )
    work.answered += len(answers)
    work.fresh += len(answers)


def _stored(line: StatementLine) -> dict[str, Any]:
    """A line as JSON; what every line of a sweep has in common is left out."""
    return {
        "kind": line.kind.value,
        "order_no": line.order_no,
        "refund_no": line.refund_no,
        "platform_trade_no": line.platform_trade_no,
        "platform_refund_no": line.platform_refund_no,
        "amount": [line.amount.minor, line.amount.currency],
        "occurred_at": line.occurred_at.isoformat(),
        "status": line.status,
        "product": line.product,
    }


def _line(stored: dict[str, Any]) -> StatementLine:
    minor, currency = stored.pop("amount")
    return StatementLine(
        kind=LineKind(stored.pop("kind")),
        row=0,
        amount=Money(minor, currency),
        fee=Money(0),
        fee_known=False,
        occurred_at=datetime.fromisoformat(stored.pop("occurred_at")),
        **stored,
    )


def _lines(work: _Sweep) -> list[StatementLine]:
    """All rows of the bill."""
    rows = SweptAnswer.objects.filter(day=work.expected, line__isnull=False)
    lines = [_line(stored) for stored in rows.values_list("line", flat=True) if stored]
    return sorted(lines, key=lambda line: (line.occurred_at, line.order_no, line.refund_no))


def _payment_ids(work: _Sweep) -> list[int]:
    """The payments that the platform may have counted on this day, whatever state they are in here."""
    from_at, until = work.period()
    # Begun within the day or just before; not those of which it is known that they were paid before or after it.
    rows = Payment.objects.filter(
        Q(paid_at__gte=from_at, paid_at__lt=until)
        | Q(paid_at__isnull=True, payable_until__gte=from_at),
        account=work.account,
        created_at__gte=from_at - _BEFORE,
        created_at__lt=until,
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _refund_ids(work: _Sweep) -> list[int]:
    """The refunds that the platform may have accepted on this day, and those still under way."""
    from_at, until = work.period()
    rows = Refund.objects.filter(
        Q(accepted_at__gte=from_at, accepted_at__lt=until)
        | Q(sent_at__gte=from_at, sent_at__lt=until)
        | Q(state__in=UNDER_WAY, sent_at__gte=from_at - _REFUNDS_BEFORE, sent_at__lt=until),
        account=work.account,
        sent_at__isnull=False,
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _batches(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _ask_payments(work: _Sweep, ids: list[int]) -> None:
    rows = Payment.objects.select_related("account").filter(pk__in=ids)
    payments = list(rows.defer("handover").order_by("pk"))
    questions = [
        _Question(
            Caller(work.account, one.terminal_id, one.created_at), query_payment(payment_ref(one))
        )
        for one in payments
    ]
    answers: list[_Answer] = []
    for payment, word in zip(payments, _ask(work, questions), strict=True):
        if word is None:
            continue
        if word.missing:
            answers.append(_Answer(payment.pk))
        elif word.result is not None:
            line = _take_payment(work, payment, word.result)
            answers.append(_Answer(payment.pk, line, word.result.outcome in _FINAL))
    _keep(work, LineKind.PAYMENT, answers)


def _ask_refunds(work: _Sweep, ids: list[int]) -> None:
    rows = Refund.objects.select_related("payment", "account").filter(pk__in=ids)
    refunds = list(rows.defer("payment__handover").order_by("pk"))
    questions = [
        _Question(
            Caller(work.account, one.payment.terminal_id, one.payment.created_at),
            query_refund(refund_ref(one)),
        )
        for one in refunds
    ]
    answers: list[_Answer] = []
    for refund, word in zip(refunds, _ask(work, questions), strict=True):
        if word is None:
            continue
        if word.missing:
            answers.append(_Answer(refund.pk))
        elif word.result is not None:
            line = _take_refund(work, refund, word.result)
            answers.append(_Answer(refund.pk, line, word.result.outcome in _FINAL))
    _keep(work, LineKind.REFUND, answers)


def _once(call: Call[R]) -> Conversation[R]:
    word = yield call
    return word


def _ask(work: _Sweep, questions: Sequence[_Question[R]]) -> list[Word[R] | None]:
    """The answers to the questions, in their order; None where there is none. "Nothing is known of it" is one too.

    The account's pace is kept and its breaker heard, as by the pollers: a platform that answers nothing is left alone.
    """
    gateways = gateways_of([question.caller for question in questions])
    words: list[Word[R] | None] = [None] * len(questions)
    left = list(range(len(questions)))
    for _try in range(TRIES):
        left = _ask_some(work, questions, gateways, left, words)
        if not left:
            break
    for place, word in enumerate(words):
        if word is not None and not word.missing and word.result is None:
            work.miss(word)
            words[place] = None
    return words


def _ask_some(
    work: _Sweep,
    questions: Sequence[_Question[R]],
    gateways: Sequence[PlatformGateway],
    wanted: list[int],
    words: list[Word[R] | None],
) -> list[int]:
    """Ask these questions once, as fast as the account's pace allows; those to be asked again."""
    again: list[int] = []
    while wanted:
        if work.is_over:
            work.left_over = True
            return []
        now = clock.now()
        admission = pacing.take({work.account: len(wanted)}, now=now, horizon=_AHEAD)[
            work.account.pk
        ]
        if not admission.calls:
            # The breaker is open; or others hold the account's next turns, and may be let go first.
            work.shut |= admission.reason == BREAKER
            work.left_over |= not work.shut
            return []
        asked, wanted = wanted[: admission.calls], wanted[admission.calls :]
        talks = [
            Talk(
                account_id=work.account.pk,
                gateway=gateways[place],
                conversation=_once(questions[place].call),
                after=(admission.slot(number) - now).total_seconds(),
            )
            for number, place in enumerate(asked)
        ]
        tallies: defaultdict[int, Tally] = defaultdict(Tally)
        for place, word in zip(asked, talk_all(talks, tallies), strict=True):
            if isinstance(word, Word):
                words[place] = word
            elif word.error is not None:
                raise word.error
            else:
                work.left_over |= word.reason == LATE
            if not isinstance(word, Word) or not word.usable:
                again.append(place)
        pacing.report(tallies, now=clock.now())
    return again


def _take_payment(work: _Sweep, payment: Payment, answer: PaymentResult) -> StatementLine | None:
    """Apply an answer; the row that it puts on the day's bill."""
    # A mismatch changes nothing here; the file says what the platform says, so the matching shows the difference.
    with suppress(ResultMismatch):
        apply_payment_result(
            payment_id=payment.pk, result=answer, via="bill", now=work.now, actor=work.actor
        )
    if answer.outcome is not Outcome.SUCCEEDED:
        return None
    payment.refresh_from_db()
    # Ours first: of a payment that was refunded the platform tells when its order was opened, which may have been before
    # midnight. And it was ours that chose the day on which it is asked about; another moment would be on no bill at all.
    paid_at = payment.paid_at or answer.paid_at
    if paid_at is None or not work.holds(paid_at):
        return None
    return StatementLine(
        kind=LineKind.PAYMENT,
        row=0,
        order_no=payment.order_no,
        platform_trade_no=answer.platform_trade_no or payment.platform_trade_no,
        amount=answer.amount or Money(payment.amount_minor, payment.currency),
        fee=Money(0),
        fee_known=False,
        occurred_at=paid_at,
        product=answer.wallet or payment.wallet,
    )


def _take_refund(work: _Sweep, refund: Refund, answer: RefundResult) -> StatementLine | None:
    """Apply an answer; the row that it puts on the day's bill."""
    with suppress(ResultMismatch):
        apply_refund_result(
            refund_id=refund.pk, result=answer, via="bill", now=work.now, actor=work.actor
        )
    if answer.outcome not in {Outcome.SUCCEEDED, Outcome.PENDING}:
        return None
    refund.refresh_from_db()
    # A refund counts on the day it was accepted, as in the bills that platforms make.
    accepted_at = refund.accepted_at or answer.refunded_at
    if accepted_at is None or not work.holds(accepted_at):
        return None
    return StatementLine(
        kind=LineKind.REFUND,
        row=0,
        order_no=refund.payment.order_no,
        refund_no=refund.refund_no,
        platform_trade_no=refund.payment.platform_trade_no,
        platform_refund_no=answer.platform_refund_no or refund.platform_refund_no,
        amount=answer.amount or Money(refund.amount_minor, refund.currency),
        fee=Money(0),
        fee_known=False,
        occurred_at=accepted_at,
        status="成功" if answer.outcome is Outcome.SUCCEEDED else "已受理",
        product=refund.payment.wallet,
    )


def _unfinished(work: _Sweep) -> SweepGoesOn | SweepIncomplete:
    """Whether the rest only needs another run, or something is in its way."""
    if work.left_over and not work.shut and (work.fresh or not work.trouble):
        return SweepGoesOn(
            answered=work.answered,
            questions=work.questions,
            again_at=work.now if work.fresh else clock.now() + _LATER,
        )
    reason = messages.explain(work.account.platform, work.code, fallback=work.trouble)
    return SweepIncomplete(
        _("%(open)d of %(all)d payments and refunds could not be asked about. %(reason)s")
        % {"open": work.questions - work.answered, "all": work.questions, "reason": reason}
    )
