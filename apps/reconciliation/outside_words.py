"""Rules for outside money in words, and why a row stays a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.names import named
from apps.core.templatetags.portal import china_time
from apps.reconciliation.models import OutsideRule, RuleScope

#: Why a row that the portal does not know is not booked; see ``services.outside.LEFT``.
LEFT_WORDS: Final[Mapping[str, Promise]] = {
    "no_rule": _("no rule is about them"),
    "left": _("a rule leaves them as differences"),
    "amount": _("they have no amount"),
    "currency": _("another currency than CNY"),
    "fee": _("a fee below zero or above the amount"),
    "no_number": _("the bill gives no number"),
    "twice": _("the same number stands in the bill twice"),
    "known": _("they are in the books already"),
    "elsewhere": _("the number belongs to another of your accounts"),
    "no_day": _("every business day since is closed"),
    "no_payment": _("the refunded payment is in no bill so far"),
    "not_paid": _("the refunded payment is not paid in the books"),
    "maybe_ours": _("it may be a refund that was asked for here"),
    "too_much": _("more than is left of the payment"),
}


def outside_rule_words(rule: OutsideRule) -> str:
    """A rule for outside money as a sentence."""
    words = {"value": rule.value, "day": china_time(rule.valid_from)}
    which = {
        RuleScope.ACCOUNT: gettext("all rows that the portal does not know"),
        RuleScope.TERMINAL: gettext("unknown rows of terminal %(value)s") % words,
        RuleScope.STORE: gettext("unknown rows of store number %(value)s") % words,
        RuleScope.PRODUCT: gettext("unknown rows of product %(value)s") % words,
    }[RuleScope(rule.scope)]
    words["which"] = which
    if not rule.books:
        return (
            gettext("From %(day)s on, %(which)s stay differences for a person to look at.") % words
        )
    if rule.store is None:
        return (
            gettext("From %(day)s on, %(which)s are booked as outside money, without a store.")
            % words
        )
    words["store"] = named(rule.store)
    return gettext("From %(day)s on, %(which)s are booked as outside money of %(store)s.") % words
