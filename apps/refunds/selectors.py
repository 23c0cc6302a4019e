"""The rule in force and refunds to look at."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from apps.core.money import Money
from apps.core.tenancy import ScopedQuerySet
from apps.refunds.models import Refund, RefundRule

#: What holds until a merchant writes its own rule: ¥200.00, one confirmation.
DEFAULT_THRESHOLD: Final = Money(20_000)


def current_rule() -> RefundRule:
    """The rule in force: the latest version, or the unsaved default (version 0)."""
    latest = RefundRule.objects.order_by("-version").first()
    return latest or RefundRule(version=0, threshold_minor=DEFAULT_THRESHOLD.minor, confirmations=1)


def rule_sentence(rule: RefundRule, amount: Money) -> str:
    """What the rule says about a refund of this amount, as a sentence in the reader's language."""
    threshold = f"¥{Money(rule.threshold_minor, amount.currency).to_yuan()}"
    if amount.minor <= rule.threshold_minor:
        return _("Up to %(threshold)s: sent at once.") % {"threshold": threshold}
    if rule.confirmations == 1:
        return _("Over %(threshold)s: another authorised member must confirm.") % {
            "threshold": threshold
        }
    return _("Over %(threshold)s: %(count)s other authorised members must confirm.") % {
        "threshold": threshold,
        "count": rule.confirmations,
    }


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
    return visible_refunds().filter(pk=refund_id).first()
