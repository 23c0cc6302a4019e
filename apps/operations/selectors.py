"""What the operations pages show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from apps.core import keyset
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import current_merchant_id
from apps.payments.models import Payment
from apps.platforms.models import AccountPace, AccountTerminal, PlatformAccount
from apps.platforms.selectors import list_accounts
from apps.platforms.services import pacing
from apps.refunds.models import Refund

PAGE_SIZE = 50
#: Dues about one payment, and about one refund: what ``waiting_page`` lists.
OF_PAYMENTS: Final = ("payments.poll", "refunds.refund_duplicate")
OF_REFUNDS: Final = ("refunds.send", "refunds.poll")
CHECK_IN: Final = "platforms.check_in"
#: Said twice, it would only double the list: an order is closed once no payment of it is under way.
_SHADOWS: Final = ("payments.expire_order",)
#: How many dues that are about no payment the page names, and how many one press brings forward.
OTHERS: Final = 20
PRESSED: Final = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """A due and what it is about: a payment or a refund, or neither if that is gone."""

    due: Due
    payment: Payment | None = None
    refund: Refund | None = None

    @property
    def account_id(self) -> int | None:
        """The account whose platform is asked."""
        about = self.refund or self.payment
        return about.account_id if about is not None else None

    @property
    def number(self) -> str:
        """Our number of the refund or payment, by which it is found elsewhere; empty if both are gone."""
        if self.refund is not None:
            return self.refund.refund_no
        return self.payment.order_no if self.payment is not None else ""

    @property
    def order_id(self) -> int | None:
        """The order that it belongs to."""
        payment = self.refund.payment if self.refund is not None else self.payment
        return payment.order_id if payment is not None else None


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Some dues of the merchant, newest first; ``newer`` and ``older`` as in ``keyset.Page``."""

    rows: list[Waiting] = field(default_factory=list)
    newer: str = ""
    older: str = ""


def audit_page(*, after: str = "", action: str = "") -> keyset.Page[AuditEvent]:
    """The merchant's audit trail, newest first, older than the place ``after``. Raises BadCursor."""
    rows = AuditEvent.objects.all()
    if action:
        rows = rows.filter(action__startswith=action)
    return keyset.page(rows, at="at", after=after, size=PAGE_SIZE)


def waiting_jobs(*, limit: int = 200) -> list[Due]:
    """Work of the merchant that is due or will be, soonest first."""
    rows = Due.objects.filter(merchant_id=current_merchant_id()).order_by("due_at", "pk")
    return list(rows[:limit])


def get_due(due_id: int) -> Due:
    """One due of the merchant. Raises Due.DoesNotExist."""
    return Due.objects.get(pk=due_id, merchant_id=current_merchant_id())


def waiting_page(
    *, after: int | None = None, before: int | None = None, size: int = PAGE_SIZE
) -> WaitingPage:
    """Payments and refunds under way: those older than the due ``after``, or newer than ``before``, or the newest.

    Three statements, whatever waits.
    """
    dues = Due.objects.filter(
        merchant_id=current_merchant_id(), task__in=(*OF_PAYMENTS, *OF_REFUNDS)
    )
    if before is not None:
        found = list(dues.filter(pk__gt=before).order_by("pk")[: size + 1])
    else:
        dues = dues if after is None else dues.filter(pk__lt=after)
        found = list(dues.order_by("-pk")[: size + 1])
    more, found = len(found) > size, found[:size]
    if before is not None:
        found.reverse()
    if not found:
        return WaitingPage()
    has_newer = more if before is not None else after is not None
    has_older = before is not None or more
    return WaitingPage(
        _with_their_things(found),
        newer=str(found[0].pk) if has_newer else "",
        older=str(found[-1].pk) if has_older else "",
    )


def _with_their_things(dues: Iterable[Due]) -> list[Waiting]:
    dues = list(dues)
    payments = Payment.objects.select_related("order", "store", "account").in_bulk(
        [due.subject_id for due in dues if due.task in OF_PAYMENTS]
    )
    refunds = Refund.objects.select_related("payment", "store", "account").in_bulk(
        [due.subject_id for due in dues if due.task in OF_REFUNDS]
    )
    return [
        Waiting(due, refund=refunds.get(due.subject_id))
        if due.task in OF_REFUNDS
        else Waiting(due, payment=payments.get(due.subject_id))
        for due in dues
    ]


def other_dues() -> list[Due]:
    """What else the portal will do for the merchant, soonest first: at most ``OTHERS``, and one more if there are more."""
    return list(
        Due.objects.filter(merchant_id=current_merchant_id())
        .exclude(task__in=(*OF_PAYMENTS, *OF_REFUNDS, *_SHADOWS))
        .order_by("due_at", "pk")[: OTHERS + 1]
    )


def terminals_checked_in(dues: Iterable[Due]) -> dict[int, AccountTerminal]:
    """The terminals whose key of the day is fetched by one of these dues, by the dues' ids."""
    wanted = {due.pk: due.subject_id for due in dues if due.task == CHECK_IN}
    if not wanted:
        return {}
    rows = AccountTerminal.objects.select_related("terminal__store", "account").in_bulk(
        wanted.values()
    )
    return {pk: rows[subject] for pk, subject in wanted.items() if subject in rows}


def accounts_with_pace() -> list[tuple[PlatformAccount, AccountPace | None]]:
    """The merchant's accounts in their order, and where each stands with its platform."""
    paces = {pace.account_id: pace for pace in AccountPace.objects.all()}
    return [(account, paces.get(account.pk)) for account in list_accounts()]


def held_by_breaker(account: PlatformAccount) -> list[int]:
    """The ids of dues that wait because the account's platform is not asked: at most ``PRESSED``, the oldest."""
    dues = list(
        Due.objects.filter(
            merchant_id=current_merchant_id(),
            task__in=(*OF_PAYMENTS, *OF_REFUNDS),
            last_error=pacing.BREAKER,
        ).order_by("pk")[: 4 * PRESSED]
    )
    payments = Payment.objects.filter(
        account=account, pk__in=[due.subject_id for due in dues if due.task in OF_PAYMENTS]
    )
    refunds = Refund.objects.filter(
        account=account, pk__in=[due.subject_id for due in dues if due.task in OF_REFUNDS]
    )
    of_payments = set(payments.values_list("pk", flat=True))
    of_refunds = set(refunds.values_list("pk", flat=True))
    return [
        due.pk
        for due in dues
        if due.subject_id in (of_refunds if due.task in OF_REFUNDS else of_payments)
    ][:PRESSED]
