"""A rehearsal: one fen is paid and given back at the simulator, by every road that real money takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.outbox import PutOff
from apps.ledger.models import JournalEntry
from apps.merchants.models import Store
from apps.operations.demo.control import SimulatorControl, SimulatorRefused
from apps.operations.doctor import live
from apps.payments import services as payments
from apps.payments.models import Payment, PaymentState
from apps.platforms.gateway import Platform, PlatformUnavailable, Product
from apps.platforms.models import Notification, PlatformAccount, Verdict
from apps.platforms.registry import capabilities_of
from apps.platforms.selectors import accounts_serving
from apps.platforms.wallets import wallets_of
from apps.refunds import services as refunds
from apps.refunds.models import Refund, RefundState

#: Fen.
AMOUNT: Final = Money(1)
#: Seconds to wait for the notification before the platform is asked, and for the refund to be made.
NOTICE_SECONDS: Final = 10.0
REFUND_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.2


class RehearsalRefused(Exception):
    """There is nothing to rehearse with: the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was done or could not be done, in words, and how long it took."""

    title: str
    seconds: float
    done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The steps made, in order; the last may have failed. ``order_id`` is 0 if none was opened."""

    order_id: int
    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        """Whether all went well."""
        return all(step.done for step in self.steps)


def may_rehearse(account: PlatformAccount) -> bool:
    """Whether the account's platform is the simulator; nothing is ever rehearsed with real money."""
    return live.is_simulated(account.platform)


def rehearse(account: PlatformAccount, *, actor: Actor, member: User | None = None) -> Rehearsal:
    """Pay one fen through the account and give it back; leaves an order called "Rehearsal" behind.

    In the merchant's scope and outside every transaction. ``member`` asks for the refund. Raises RehearsalRefused.
    """
    if not may_rehearse(account):
        raise RehearsalRefused(
            _("A rehearsal needs the simulator; it is not made with real money.")
        )
    return _Rehearsing(account, _store_of(account), actor=actor, member=member).run()


def _store_of(account: PlatformAccount) -> Store:
    for store in Store.objects.filter(is_active=True).order_by("pk"):
        if any(serving.pk == account.pk for serving in accounts_serving(store_id=store.pk)):
            return store
    raise RehearsalRefused(_("The account is paused, or serves no open store."))


class _Failed(Exception):
    """A step failed; the text says how."""


class _Rehearsing:
    """One rehearsal under way."""

    def __init__(
        self, account: PlatformAccount, store: Store, *, actor: Actor, member: User | None
    ) -> None:
        self._account, self._store = account, store
        self._actor, self._member = actor, member
        self._control = SimulatorControl(settings.SIMULATOR_URL)
        self._steps: list[Step] = []
        self._order_id = 0

    def run(self) -> Rehearsal:
        began = time.monotonic()
        try:
            payment = self._timed(self._opened)
            self._timed(lambda: self._paid(payment))
            refund = self._timed(lambda: self._refunded(payment))
            self._timed(lambda: self._booked(payment, refund))
        except _Failed as failure:
            taken = time.monotonic() - began - sum(step.seconds for step in self._steps)
            self._steps.append(Step(str(failure), round(max(taken, 0.0), 1), done=False))
        finally:
            self._control.close()
        return Rehearsal(order_id=self._order_id, steps=tuple(self._steps))

    def _timed(self, step: Callable[[], tuple[str, Any]]) -> Any:
        began = time.monotonic()
        title, made = step()
        self._steps.append(Step(title, round(time.monotonic() - began, 1)))
        return made

    def _opened(self) -> tuple[str, Payment]:
        now = clock.now()
        order = payments.open_order(
            store_id=self._store.pk,
            code_id=None,
            amount=AMOUNT,
            subject="Rehearsal",
            now=now,
            actor=self._actor,
        )
        self._order_id = order.pk
        platform = Platform(self._account.platform)
        try:
            payment = payments.start_payment(
                order_id=order.pk,
                account_id=self._account.pk,
                product=Product.DYNAMIC_QR,
                wallet=wallets_of(platform, capabilities_of(platform))[0].value,
                now=now,
                actor=self._actor,
            )
        except (payments.HandoverFailed, payments.OrderNotPayable) as error:
            words = getattr(error, "message", str(error))
            raise _Failed(
                _("The platform did not take the order: %(words)s") % {"words": words}
            ) from error
        return _("An order of ¥0.01 was opened at the platform."), payment

    def _paid(self, payment: Payment) -> tuple[str, None]:
        try:
            self._control.pay(
                platform=self._account.platform,
                merchant_no=self._account.merchant_no,
                order_no=payment.order_no,
                code=str(payment.handover.get("qr_content", "")),
            )
        except (SimulatorRefused, PlatformUnavailable) as error:
            raise _Failed(_("The simulated wallet could not pay.")) from error
        if self._waited(lambda: self._is_paid(payment), NOTICE_SECONDS):
            told = Notification.objects.filter(
                account_id=self._account.pk, order_no=payment.order_no, verdict=Verdict.GOOD
            )
            if told.exists():
                return _("It was paid, and the notification came."), None
            return _("It was paid, and the portal found out by asking."), None
        payments.refresh_payment(payment_id=payment.pk, now=clock.now())
        if not self._is_paid(payment):
            raise _Failed(_("It was paid, but the portal did not hear of it."))
        return _(
            "It was paid. No notification came in time, so the portal asked: examine the account."
        ), None

    def _is_paid(self, payment: Payment) -> bool:
        return Payment.objects.filter(pk=payment.pk, state=PaymentState.SUCCEEDED).exists()

    def _refunded(self, payment: Payment) -> tuple[str, Refund]:
        try:
            refund = refunds.request_refund(
                payment_id=payment.pk,
                amount=AMOUNT,
                reason="Rehearsal",
                member=self._member,
                actor=self._actor,
                now=clock.now(),
            )
        except (refunds.NotRefundable, refunds.OverRefund) as error:
            raise _Failed(_("The refund rules do not let this refund be asked for.")) from error
        if refund.state == RefundState.REJECTED:
            raise _Failed(_("The refund rules do not let this refund be asked for."))
        if refund.state == RefundState.WAITING:
            raise _Failed(
                _(
                    "The refund rules want a confirmation even for ¥0.01: confirm it, and it goes out."
                )
            )
        try:
            # A worker may be quicker: the number is the same, so it is made once.
            refunds.send_refund(refund_id=refund.pk, now=clock.now())
        except PutOff as wait:
            raise _Failed(
                _("The portal is not asking this platform at the moment: examine the account.")
            ) from wait

        def is_made() -> bool:
            looked = refunds.refresh_refund(refund_id=refund.pk, now=clock.now())
            return looked.state == RefundState.SUCCEEDED

        if not self._waited(is_made, REFUND_SECONDS, every=1.0):
            raise _Failed(_("The refund was sent, but is not made yet; it is followed by itself."))
        refund.refresh_from_db()
        return _("It was refunded."), refund

    def _booked(self, payment: Payment, refund: Refund) -> tuple[str, None]:
        for kind, subject in (("payment", payment.pk), ("refund", refund.pk)):
            entries = JournalEntry.objects.filter(
                kind=kind, subject_kind=kind, subject_id=subject
            ).count()
            if entries != 1:
                raise _Failed(_("The ledger does not hold what was paid and refunded."))
        return _("Both stand in the ledger, once each."), None

    @staticmethod
    def _waited(is_so: Callable[[], bool], seconds: float, every: float = _LOOK_SECONDS) -> bool:
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() >= end:
                return False
            time.sleep(every)
        return True
