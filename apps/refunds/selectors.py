"""The rule in force and refunds to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from apps.core import keyset
from apps.core.money import Money
from apps.core.tenancy import ScopedQuerySet
from apps.payments.models import Payment
from apps.platforms import messages
from apps.platforms.gateway import RefundRef
from apps.platforms.wording import own_words
from apps.refunds.models import Refund, RefundRule, RefundState

#: What holds until a merchant writes its own rule: ¥200.00, one confirmation.
DEFAULT_THRESHOLD: Final = Money(20_000)

#: What the list's state filter offers, and the states behind each word.
STATE_GROUPS: Final[Mapping[str, tuple[RefundState, ...]]] = {
    "waiting": (RefundState.WAITING,),
    "under_way": (
        RefundState.READY,
        RefundState.PROCESSING,
        RefundState.UNKNOWN,
        RefundState.QUEUED,
    ),
    "abnormal": (RefundState.ABNORMAL,),
    "succeeded": (RefundState.SUCCEEDED,),
    "failed": (RefundState.FAILED,),
    "stopped": (RefundState.REJECTED, RefundState.CANCELLED),
}
PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class RefundFilters:
    """What narrows the list: a word of ``STATE_GROUPS`` and a store; empty means all."""

    state: str = ""
    store_id: int | None = None


def default_rule() -> RefundRule:
    """What holds until a merchant writes its own rule: version 0, never stored."""
    return RefundRule(version=0, threshold_minor=DEFAULT_THRESHOLD.minor, confirmations=1)


def current_rule() -> RefundRule:
    """The rule in force: the latest version, or the unsaved default (version 0)."""
    latest = RefundRule.objects.order_by("-version").first()
    return latest or default_rule()


def weighed(payment: Payment, amount: Money) -> Money:
    """What the rule weighs: the amount and all that was asked for of the same payment before, so that splitting a refund
    does not get around the threshold."""
    return Money(payment.refund_reserved_minor + amount.minor, payment.currency)


def must_wait(rule: RefundRule, total: Money) -> bool:
    """Whether another member must confirm; ``total`` is what ``weighed`` gives."""
    return total.minor > rule.threshold_minor


def rule_sentence(rule: RefundRule, total: Money) -> str:
    """What the rule says about refunds of one payment that come to ``total``, in the reader's language."""
    words = {
        "threshold": Money(rule.threshold_minor, total.currency).display(),
        "count": rule.confirmations,
    }
    if not must_wait(rule, total):
        return _("Up to %(threshold)s in all for one payment: sent at once.") % words
    if rule.confirmations == 1:
        return (
            _("Over %(threshold)s in all for one payment: another authorised member must confirm.")
            % words
        )
    return (
        _(
            "Over %(threshold)s in all for one payment: %(count)s other authorised members must confirm."
        )
        % words
    )


def refund_by_no(*, refund_no: str, account_id: int) -> Refund | None:
    """The refund that carries this number of ours at this account, or None."""
    return Refund.objects.filter(refund_no=refund_no, account_id=account_id).first()


def visible_refunds() -> ScopedQuerySet[Refund]:
    """Refunds of the stores in scope, with what a page shows of them."""
    return Refund.objects.visible().select_related(
        "payment__order", "store", "account", "requested_by"
    )


def get_refund(refund_id: int) -> Refund | None:
    """One refund of the stores in scope, or None."""
    return visible_refunds().select_related("approval").filter(pk=refund_id).first()


def page_refunds(
    filters: RefundFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> keyset.Page[Refund]:
    """One page of the refunds in scope, newest first. Raises BadCursor."""
    refunds = visible_refunds()
    if filters.state:
        refunds = refunds.filter(state__in=STATE_GROUPS[filters.state])
    if filters.store_id is not None:
        refunds = refunds.filter(store_id=filters.store_id)
    return keyset.page(refunds, at="created_at", after=after, before=before, size=size)


def has_refunds() -> bool:
    """Whether the stores in scope have any refund."""
    return bool(Refund.objects.visible().exists())


def refunds_of(payment: Payment) -> list[Refund]:
    """All refunds out of one payment, oldest first."""
    return list(Refund.objects.visible().filter(payment=payment).order_by("created_at", "pk"))


def left_to_refund(payment: Payment) -> Money:
    """What is neither refunded nor reserved."""
    return Money(payment.amount_minor - payment.refund_reserved_minor, payment.currency)


def rule_history() -> list[RefundRule]:
    """All versions of the rule that the merchant wrote, newest first."""
    return list(RefundRule.objects.select_related("created_by").order_by("-version"))


def rules_of(refunds: Iterable[Refund]) -> dict[int, str]:
    """What the rule of its day said about each refund, by its id, in the reader's language; "" for one that began elsewhere."""
    refunds = list(refunds)
    versions = {refund.rule_version for refund in refunds if refund.rule_version}
    known = {rule.version: rule for rule in RefundRule.objects.filter(version__in=versions)}
    return {
        refund.pk: ""
        if refund.rule_version is None
        else rule_sentence(
            known.get(refund.rule_version) or default_rule(),
            Money(refund.weighed_minor, refund.currency),
        )
        for refund in refunds
    }


def rule_of(refund: Refund) -> str:
    """``rules_of`` one refund."""
    return rules_of([refund])[refund.pk]


def answer_of(refund: Refund) -> Promise | str:
    """What the platform said, in plain words; "" where it said nothing worth reading."""
    if refund.state in {
        RefundState.WAITING,
        RefundState.SUCCEEDED,
        RefundState.REJECTED,
        RefundState.CANCELLED,
    }:
        return ""
    code, platform = refund.code_text, refund.payment.platform
    if code not in messages.known_codes(platform):
        # Words like "accepted" carry a code too; only what has a sentence is shown.
        return own_words(refund.message)
    return messages.explain(platform, code, fallback=refund.message, about=messages.About.REFUND)


def refund_ref(refund: Refund) -> RefundRef:
    """How a gateway is told which refund is meant; it must have been sent, or be about to be."""
    return RefundRef(
        order_no=refund.payment.order_no,
        refund_no=refund.refund_no,
        began_at=refund.sent_at or refund.created_at,
        platform_trade_no=refund.payment.platform_trade_no,
        amount=Money(refund.amount_minor, refund.currency),
        refunded_before=refunded_before(refund),
    )


def refunded_before(refund: Refund) -> Money | None:
    """What the payment's other refunds have given back, for a refund under way; None while another one may be under way."""
    payment = refund.payment
    open_minor = payment.refund_reserved_minor - payment.refunded_minor
    if open_minor != refund.amount_minor:
        return None
    return Money(payment.refunded_minor, payment.currency)
