"""A refund is followed until it is final, whatever breaks on the way, and never paid twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tasks import drain
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.gateway import (
    OrderNotFound,
    Outcome,
    PlatformRejected,
    PlatformUnavailable,
    RefundRef,
    RefundRequest,
    RefundResult,
)
from apps.platforms.services import rounds
from apps.refunds import services
from apps.refunds.models import Refund, RefundState
from apps.refunds.services import sending

DESK = Actor("desk")


class Platform:
    """The port's refund half: knows what it accepted; each call's fate is scripted."""

    def __init__(self) -> None:
        self.accepted: dict[str, Money] = {}
        self.refund_fates: list[str] = []
        self.query_fates: list[str] = []
        self.sent = 0

    def refund(self, request: RefundRequest) -> RefundResult:
        self.sent += 1
        fate = self.refund_fates.pop(0) if self.refund_fates else "ok"
        if fate == "poor":
            raise PlatformRejected("余额不足", code="NOT_ENOUGH", retry_same=True)
        if fate == "refused":
            raise PlatformRejected("no", code="INVALID_REQUEST")
        if fate != "lost_before":
            self.accepted.setdefault(request.refund_no, request.amount)
        if fate.startswith("lost"):
            raise PlatformUnavailable("no answer", code="timeout")
        return self._word(request.refund_no, Outcome.PENDING)

    def query_refund(self, ref: RefundRef) -> RefundResult:
        refund_no = ref.refund_no
        if self.query_fates and self.query_fates.pop(0) == "silent":
            raise PlatformUnavailable("no answer", code="timeout")
        if refund_no not in self.accepted:
            raise OrderNotFound("unknown", code="RESOURCE_NOT_EXISTS")
        return self._word(refund_no, Outcome.SUCCEEDED)

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        return self.query_refund(ref)

    def _word(self, refund_no: str, outcome: Outcome) -> RefundResult:
        return RefundResult(
            outcome=outcome,
            order_no="",
            refund_no=refund_no,
            amount=self.accepted[refund_no],
            refunded_at=NOW if outcome is Outcome.SUCCEEDED else None,
        )


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    platform = Platform()
    monkeypatch.setattr(sending, "gateway_of", lambda _account, **_caller: platform)
    monkeypatch.setattr(rounds, "gateways_of", lambda callers: [platform] * len(callers))
    return platform


@pytest.fixture
def refund(shop: Shop) -> Refund:
    payment = make_paid(shop, make_account(shop), minor=10_000)
    return services.request_refund(
        payment_id=payment.pk,
        amount=Money(4_000),
        reason="x",
        member=shop["cashier"],
        actor=DESK,
        now=NOW,
    )


def run(refund: Refund, *, hours: float = 3.0) -> str:
    """Let the dues of the next hours come and go; the refund's state then."""
    end = NOW + timedelta(hours=hours)
    now: datetime = NOW
    while now <= end:
        drain(now=now)
        due = Due.objects.filter(task__startswith="refunds.").order_by("due_at").first()
        if due is None:
            break
        now = max(due.due_at, now + timedelta(seconds=1))
    refund.refresh_from_db()
    return str(refund.state)


def settled(refund: Refund) -> tuple[int, int]:
    payment = Payment.objects.get(pk=refund.payment_id)
    return payment.refund_reserved_minor, payment.refunded_minor


@pytest.mark.parametrize(
    ("refund_fates", "query_fates"),
    [
        ([], []),
        (["lost_after"], []),
        (["lost_before"], []),
        (["lost_before", "lost_after"], ["silent", "silent"]),
        (["poor", "poor"], []),
        (["poor", "lost_before"], ["silent"]),
    ],
)
def test_it_ends_refunded_once(
    platform: Platform, refund: Refund, refund_fates: list[str], query_fates: list[str]
) -> None:
    platform.refund_fates, platform.query_fates = refund_fates, query_fates
    assert run(refund) == RefundState.SUCCEEDED
    assert settled(refund) == (4_000, 4_000)
    assert len(platform.accepted) == 1
    assert not Due.objects.filter(task__startswith="refunds.").exists()


def test_a_refusal_after_a_lost_answer_is_not_believed_before_asking(
    platform: Platform, refund: Refund
) -> None:
    """The first call worked and its answer was lost; taken for final, the second's refusal would free the amount."""
    platform.refund_fates = ["lost_after", "refused", "refused"]
    assert run(refund) == RefundState.SUCCEEDED
    assert platform.sent == 1


def test_a_plain_refusal_gives_the_amount_back(platform: Platform, refund: Refund) -> None:
    platform.refund_fates = ["refused"]
    assert run(refund) == RefundState.FAILED
    assert settled(refund) == (0, 0)


def test_a_process_that_dies_after_sending_leaves_the_refund_followed(
    platform: Platform, refund: Refund, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(**_what: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sending, "apply_refund_result", die)
        with pytest.raises(Killed):
            services.send_refund(refund_id=refund.pk, now=NOW)
    # The send's own due is gone with the process's claim; the poll was asked for before the call.
    Due.objects.filter(task="refunds.send").delete()
    assert run(refund) == RefundState.SUCCEEDED
