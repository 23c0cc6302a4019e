"""What this room's pages show: a code and its order to the payer, a charge to the cashier, terminals to their shop."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast

from django.db.models import Q

from apps.accounts.models import User
from apps.checkout.models import CONFIRM_OVER, CheckoutSettings
from apps.checkout.ways import Taker
from apps.core.models import AuditEvent, Door, Due, door_hash
from apps.core.money import Money
from apps.core.names import speaks_english
from apps.merchants.models import Terminal
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.payments.selectors import has_handover, leads_on
from apps.platforms.gateway import Capability, Platform, Product
from apps.platforms.models import AccountStore, AccountTerminal, PlatformAccount, TerminalState
from apps.platforms.registry import capabilities_of, not_taken
from apps.platforms.selectors import PREFERENCE, accounts_serving
from apps.platforms.services import Caller, terminal_of
from apps.qrcodes.models import CodeVersion, Pricing, QRCode
from apps.qrcodes.services import Opened
from apps.refunds.models import Refund, RefundState

#: How long a cashier waits for a clear answer before the next customer is offered.
UNKNOWN_FOR_LONG = timedelta(seconds=15)
#: How long the till reminds its cashier of what is not settled.
_REMINDED = timedelta(days=1)
#: The kind of door that leads from a form's nonce to the order it opened.
FORM_DOOR = "form"


@dataclass(frozen=True, slots=True)
class OpenedCode:
    """A scanned code, what it says now (with its store), and the accounts that serve the store, in order of preference."""

    code: QRCode
    version: CodeVersion
    takers: list[Taker]

    @property
    def prices(self) -> list[Price]:
        """What can be chosen from a list of prices, in its order."""
        if self.version.pricing != Pricing.LIST:
            return []
        return [
            Price(
                key=f"{place}-{one['minor']}",
                money=Money(one["minor"], self.version.currency),
                name=(one.get("name_en", "") if speaks_english() else "") or one["name"],
            )
            for place, one in enumerate(self.version.choices)
        ]

    @property
    def fixed(self) -> Money | None:
        """The price that nobody can change, or None."""
        if self.version.pricing != Pricing.FIXED or self.version.amount_minor is None:
            return None
        return Money(self.version.amount_minor, self.version.currency)


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a list. ``key`` holds its place and its fen, so that a changed list is noticed."""

    key: str
    money: Money
    name: str


class Standing(StrEnum):
    """Where an order stands for the payer. ASKING: past its time, but an attempt may have been paid at the last moment."""

    OPEN = "open"
    ASKING = "asking"
    PAID = "paid"
    CLOSED = "closed"


def opened_code(opened: Opened) -> OpenedCode:
    """A code as its page sees it."""
    return OpenedCode(
        code=opened.version.code,
        version=opened.version,
        takers=[_taker(one.id, one.platform, one.takes_h5) for one in opened.accounts],
    )


def confirm_over() -> int | None:
    """Above how many fen the payer confirms shop and amount; None: never."""
    row = CheckoutSettings.objects.only("confirm_over_minor").first()
    return CONFIRM_OVER if row is None else row.confirm_over_minor


def takers_serving(*, store_id: int | None) -> list[Taker]:
    """The accounts that take a store's money, in the merchant's order of preference."""
    return [
        _taker(account.pk, account.platform, account.takes_h5)
        for account in accounts_serving(store_id=store_id)
    ]


def _taker(account_id: int, platform: str, takes_h5: bool) -> Taker:
    return Taker(
        account_id=account_id,
        platform=Platform(platform),
        capabilities=capabilities_of(platform),
        takes_h5=takes_h5,
        refuses=not_taken(platform),
    )


def payments_of(order: Order) -> list[Payment]:
    """All attempts to pay an order, oldest first."""
    return list(Payment.objects.filter(order_id=order.pk).order_by("pk"))


def order_of_form(*, key: str, merchant_id: int) -> Order | None:
    """The order that a form with this key has opened already, or None."""
    door = Door.objects.filter(
        kind=FORM_DOOR, token_hash=door_hash(key), merchant_id=merchant_id
    ).first()
    return None if door is None else Order.objects.filter(pk=door.subject_id).first()


def open_order_by_token(*, token: str, code_id: int, now: datetime) -> Order | None:
    """The order of this code that can still be paid, or None."""
    orders = Order.objects.filter(token=token, code_id=code_id)
    return orders.filter(state=OrderState.OPEN, expires_at__gt=now).first()


def standing(order: Order, payments: list[Payment], *, now: datetime) -> Standing:
    """Where an order stands at ``now``. Closed is said only when no attempt can still be paid."""
    if order.state == OrderState.PAID:
        return Standing.PAID
    if order.state == OrderState.OPEN:
        if now < order.expires_at:
            return Standing.OPEN
        if any(payment.state in OPEN_STATES for payment in payments):
            return Standing.ASKING
    return Standing.CLOSED


def mark(order: Order, payments: list[Payment], *, now: datetime) -> str:
    """A short text that changes whenever the order's page would look different."""
    attempts = "".join(
        f"-{payment.pk}{payment.state}{'.' if ran_out(payment, now=now) else ''}"
        for payment in payments
    )
    return f"{standing(order, payments, now=now)}{attempts}"


def wallet_of(payment: Payment) -> str:
    """Who pays an attempt; one from before wallets were kept is paid by its platform's own."""
    return payment.wallet or payment.platform


def paying(payments: list[Payment], wallet: str = "", *, now: datetime) -> Payment | None:
    """The latest attempt under way that the payer was handed over with, of ``wallet`` if one is named."""
    for payment in reversed(payments):
        under_way = payment.state in OPEN_STATES and leads_on(payment, now=now)
        if under_way and wallet in {"", wallet_of(payment)}:
            return payment
    return None


def ran_out(payment: Payment, *, now: datetime) -> bool:
    """Whether the code or address of an attempt is no longer good, though nothing was paid by it."""
    closed = payment.state == PaymentState.CLOSED
    late = payment.state in OPEN_STATES and payment.expires_at <= now
    return has_handover(payment) and (closed or late)


def refused_by(payments: Iterable[Payment]) -> set[tuple[int, str]]:
    """The accounts, each with the wallet, that refused to take an order."""
    return {
        (payment.account_id, wallet_of(payment))
        for payment in payments
        if payment.state == PaymentState.FAILED and not has_handover(payment)
    }


class Stage(StrEnum):
    """Where a payment by the payer's code stands for the cashier.

    ASKING: the platform has not answered yet. CONFIRMING: the payer types a password. UNKNOWN: it gave no clear answer.
    REVERSING: its time is over or it was given up, and the platform is told to undo it.
    """

    ASKING = "asking"
    CONFIRMING = "confirming"
    UNKNOWN = "unknown"
    REVERSING = "reversing"
    PAID = "paid"
    REFUSED = "refused"
    REVERSED = "reversed"


_STAGES = {
    PaymentState.CREATED: Stage.ASKING,
    PaymentState.PENDING: Stage.CONFIRMING,
    PaymentState.UNKNOWN: Stage.UNKNOWN,
    PaymentState.SUCCEEDED: Stage.PAID,
    PaymentState.FAILED: Stage.REFUSED,
    PaymentState.CLOSED: Stage.REVERSED,
}


@dataclass(frozen=True, slots=True)
class Charge:
    """A payment taken at the till, with its order, store and terminal."""

    payment: Payment
    order: Order

    def stage(self, *, now: datetime) -> Stage:
        """Where it stands at ``now``."""
        if self.payment.state in OPEN_STATES and now >= self.payment.expires_at:
            return Stage.REVERSING
        return _STAGES[PaymentState(self.payment.state)]

    @property
    def nobody_answers(self) -> bool:
        """Whether nobody can be told now what became of it: the terminal that began it has lost its key.

        Two queries at a platform that is called by terminals, none elsewhere.
        """
        payment = self.payment
        if payment.state not in OPEN_STATES or Capability.TERMINALS not in capabilities_of(
            payment.platform
        ):
            return False
        row = terminal_of(Caller(payment.account, payment.terminal_id, payment.created_at))
        return row is not None and row.state == TerminalState.LOST

    def may_go_on(self, *, now: datetime) -> bool:
        """Whether the next customer may be served: it is over, or the cashier can do nothing more about it."""
        match self.stage(now=now):
            case Stage.ASKING | Stage.CONFIRMING:
                return False
            case Stage.UNKNOWN:
                waited = now - self.payment.created_at
                return waited >= UNKNOWN_FOR_LONG or self.nobody_answers
            case _:
                return True


def get_charge(order_id: int, *, taken_by: User | None) -> Charge | None:
    """What was taken at the till of one of the stores in scope, or None; ``taken_by`` None: by whomever."""
    payments = Payment.objects.visible().filter(
        order_id=order_id, product=Product.BARCODE, order__taken_by__isnull=False
    )
    if taken_by is not None:
        payments = payments.filter(order__taken_by=taken_by)
    payment: Payment | None = payments.select_related("order", "store", "terminal").first()
    return None if payment is None else Charge(payment, payment.order)


def unsettled(member: User, *, now: datetime) -> list[Payment]:
    """What this cashier took within a day and of which nobody knows yet whether it was paid, latest first."""
    payments = Payment.objects.visible().filter(
        product=Product.BARCODE,
        state__in=OPEN_STATES,
        order__taken_by=member,
        created_at__gte=now - _REMINDED,
    )
    return list(payments.order_by("-created_at", "-pk")[:5])


def takes_barcodes() -> bool:
    """Whether any connected account of the merchant takes payers' codes."""
    accounts = PlatformAccount.objects.filter(is_active=True, takes_barcodes=True)
    platforms = accounts.values_list("platform", flat=True).distinct()
    return any(Capability.BARCODE in capabilities_of(platform) for platform in platforms)


class Returning(StrEnum):
    """Where a second payment of an order stands for the payer. OPEN: whether it goes back is for the shop to say."""

    DECIDING = "deciding"
    RETURNING = "returning"
    RETURNED = "returned"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Again:
    """A payment beyond the one that paid the order."""

    payment: Payment
    wallet: str
    standing: Returning


@dataclass(frozen=True, slots=True)
class Paid:
    """The attempt that paid an order, and what was paid beyond it."""

    payment: Payment | None
    again: list[Again]


def paid(order: Order, payments: list[Payment]) -> Paid:
    """Who paid an order. Two queries more where it was paid more than once."""
    done = [payment for payment in payments if payment.state == PaymentState.SUCCEEDED]
    if len(done) < 2:
        return Paid(done[0] if done else None, [])
    due = Due.objects.filter(
        task="refunds.refund_duplicate", subject_id__in=[payment.pk for payment in done]
    )
    # In this order: a worker makes the refund before it takes the due row away, so that one of the two is seen.
    deciding = set(due.values_list("subject_id", flat=True))
    refunds = Refund.objects.filter(payment__in=done, is_automatic=True).order_by("pk")
    back = {refund.payment_id: refund for refund in refunds}
    # The order keeps the time of the success that was heard of first; a platform's late word may name an earlier one.
    first = min(
        done,
        key=lambda payment: (
            payment.pk in back,
            payment.paid_at != order.paid_at,
            cast("datetime", payment.paid_at),
        ),
    )
    again = [
        Again(
            payment,
            wallet_of(payment),
            _returning(back.get(payment.pk), deciding=payment.pk in deciding),
        )
        for payment in done
        if payment.pk != first.pk
    ]
    return Paid(first, again)


def _returning(refund: Refund | None, *, deciding: bool) -> Returning:
    if refund is None:
        return Returning.DECIDING if deciding else Returning.OPEN
    if refund.state == RefundState.SUCCEEDED:
        return Returning.RETURNED
    if refund.state == RefundState.FAILED and deciding:
        # It is asked back once more.
        return Returning.RETURNING
    settled = {RefundState.FAILED, RefundState.ABNORMAL}
    return Returning.OPEN if refund.state in settled else Returning.RETURNING


@dataclass(frozen=True, slots=True)
class AccountUse:
    """An account that serves a terminal's store. ``row`` is the terminal as that account's platform knows it, if at all."""

    account: PlatformAccount
    #: Whether the platform must know the terminal before it may call; without, the portal's own terminal calls.
    has_terminals: bool
    row: AccountTerminal | None

    @property
    def activated(self) -> bool:
        """Whether the terminal itself calls at this account."""
        return self.row is not None and self.row.state == TerminalState.ACTIVE


def uses_of(terminals: Collection[Terminal]) -> dict[int, list[AccountUse]]:
    """For each terminal the active accounts that serve its store, in the order of preference. Three queries."""
    served: dict[int, set[int]] = {}
    for account_id, store_id in AccountStore.objects.values_list("account_id", "store_id"):
        served.setdefault(account_id, set()).add(store_id)
    accounts = list(PlatformAccount.objects.filter(is_active=True).order_by(*PREFERENCE))
    rows = {
        (row.terminal_id, row.account_id): row
        # Of several at one account the last one counts: it replaced those before.
        for row in AccountTerminal.objects.filter(terminal__in=terminals)
        .defer("keys_sealed")
        .order_by("pk")
    }
    return {
        terminal.pk: [
            AccountUse(
                account,
                Capability.TERMINALS in capabilities_of(account.platform),
                rows.get((terminal.pk, account.pk)),
            )
            for account in accounts
            if account.all_stores or terminal.store_id in served.get(account.pk, ())
        ]
        for terminal in terminals
    }


def latest_payments(terminal: Terminal, *, limit: int = 10) -> list[Payment]:
    """What was last begun with a terminal or a code of it, newest first."""
    payments = Payment.objects.visible().filter(terminal=terminal).select_related("order")
    return list(payments.order_by("-created_at", "-pk")[:limit])


def history_of_terminal(terminal: Terminal, *, limit: int = 20) -> list[AuditEvent]:
    """What was done with a terminal, also at the accounts that know it, latest first."""
    accounts = AccountTerminal.objects.filter(terminal=terminal).values("account_id")
    events = AuditEvent.objects.filter(
        Q(subject_kind="terminal", subject_id=terminal.pk)
        | Q(subject_kind="account", subject_id__in=accounts, data__terminal_id=terminal.pk)
    )
    return list(events.order_by("-at", "-pk")[:limit])
