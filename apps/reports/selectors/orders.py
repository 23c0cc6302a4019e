"""One order with everything that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.models import AuditEvent
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState, Source
from apps.reconciliation.models import Match, ReconciliationRun
from apps.refunds.models import Refund, RefundState
from apps.refunds.services.timing import asked_back_again


@dataclass(frozen=True, slots=True)
class PaymentCard:
    """A payment and its refunds, oldest first."""

    payment: Payment
    refunds: list[Refund]

    @property
    def left_minor(self) -> int:
        """What may still be asked back, in fen: what is asked for or under way already does not count."""
        if self.payment.state != PaymentState.SUCCEEDED or not self.payment.is_known_there:
            return 0
        return self.payment.amount_minor - self.payment.refund_reserved_minor

    @property
    def automatic(self) -> Refund | None:
        """The latest refund that the portal made by itself, since the order had been paid before."""
        made = (refund for refund in self.refunds if refund.is_automatic)
        return max(made, key=lambda refund: refund.pk, default=None)

    @property
    def is_asked_back_again(self) -> bool:
        """Whether the platform refused the portal's own refund and the portal will ask once more."""
        made = [refund for refund in self.refunds if refund.is_automatic]
        refused = sum(refund.state == RefundState.FAILED for refund in made)
        return refused == len(made) and asked_back_again(refused) is not None

    @property
    def is_open(self) -> bool:
        """Whether the platform may still say something new."""
        return self.payment.state in OPEN_STATES

    @property
    def net_fee_minor(self) -> int:
        """The fee left after refunds, by the agreed rate."""
        return self.payment.fee_minor - sum(
            refund.fee_minor for refund in self.refunds if refund.state == "succeeded"
        )


@dataclass(frozen=True, slots=True)
class OrderStory:
    """An order, its payments with their refunds, and what happened to them, oldest first."""

    order: Order
    payments: list[PaymentCard]
    events: list[AuditEvent]

    @property
    def paid(self) -> PaymentCard | None:
        """The payment that paid the order: of several, one that the portal does not give back by itself."""
        return min(self._paid, key=lambda card: card.automatic is not None, default=None)

    @property
    def _paid(self) -> list[PaymentCard]:
        return [card for card in self.payments if card.payment.state == PaymentState.SUCCEEDED]

    @property
    def too_much(self) -> list[PaymentCard]:
        """The payments beyond the one that paid the order, unless so much went back that only one is left."""
        given_back = [card for card in self._paid if card.automatic is not None]
        return given_back or [card for card in self._paid if card.left_minor][1:]

    @property
    def _counted(self) -> list[PaymentCard]:
        """What was paid, without what the portal gives back by itself: that is not the shop's."""
        return [card for card in self._paid if card.automatic is None]

    @property
    def refunded_minor(self) -> int:
        """What went back to the customer so far, in fen, of what was not paid twice."""
        return sum(card.payment.refunded_minor for card in self._counted)

    @property
    def state(self) -> str:
        """The order's state, for a paid one how much of it went back, and UNKNOWN while a platform owes an answer."""
        if self.order.state == OrderState.OPEN and any(
            card.payment.state == PaymentState.UNKNOWN for card in self.payments
        ):
            # "Not paid yet" would be more than anybody knows.
            return str(PaymentState.UNKNOWN.value)
        paid = sum(card.payment.amount_minor for card in self._counted)
        if paid and self.refunded_minor >= paid:
            return "refunded"
        return "partly_refunded" if self.refunded_minor else self.order.state


def order_story(order_id: int) -> OrderStory | None:
    """An order of the stores in scope with all that belongs to it, or None. Four queries."""
    order = (
        Order.objects.visible()
        .select_related("store", "code__scenario", "terminal", "taken_by")
        .filter(pk=order_id)
        .first()
    )
    if order is None:
        return None
    payments = list(
        Payment.objects.filter(order_id=order_id).select_related("account").order_by("pk")
    )
    by_id = {payment.pk: payment for payment in payments}
    refunds: dict[int, list[Refund]] = {payment_id: [] for payment_id in by_id}
    for refund in (
        Refund.objects.filter(payment_id__in=refunds)
        .select_related("requested_by", "approval")
        .order_by("pk")
    ):
        # Its pages read the platform from its payment, which is here already.
        refund.payment = by_id[refund.payment_id]
        refunds[refund.payment_id].append(refund)
    events = AuditEvent.objects.filter(subject_kind="order", subject_id=order_id)
    return OrderStory(
        order,
        [PaymentCard(payment, refunds[payment.pk]) for payment in payments],
        list(events.order_by("at", "pk")),
    )


def booked_from(order: Order) -> ReconciliationRun | None:
    """The matching whose bill has what was taken outside the portal; None for orders that began here."""
    if order.source != Source.PLATFORM:
        return None
    pairs = Match.objects.filter(payment__order=order, run__is_current=True)
    pair = pairs.select_related("run").order_by("pk").first()
    return pair.run if pair is not None else None
