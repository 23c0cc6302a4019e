"""Rules and alerts as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.core.money import Money
from apps.core.names import named
from apps.risk.models import RiskAlert
from apps.risk.rules import WATCHES, Doubt, Outcome, Rule, RuleKind, Rules, Subject
from apps.risk.services import TillVerdict

_SENTENCES: Final[Mapping[RuleKind, Promise]] = {
    RuleKind.CODE_VELOCITY: _(
        "A code takes %(count)s payments or more within %(minutes)s minutes."
    ),
    RuleKind.PAYER_VELOCITY: _(
        "One payer makes %(count)s payments or more within %(minutes)s minutes."
    ),
    RuleKind.CASHIER_VELOCITY: _(
        "One cashier takes %(count)s payments or more within %(minutes)s minutes."
    ),
    RuleKind.FAILED_ATTEMPTS: _(
        "%(count)s attempts or more by one code fail or are given up within %(minutes)s minutes."
    ),
    RuleKind.ODD_AMOUNT: _(
        "A payment of %(minor)s or more is at least %(times)s times the store's average of the 30 days before."
    ),
    RuleKind.STRUCTURING: _(
        "One payer pays %(count)s times or more within %(hours)s hours, each time up to %(percent)s %% below %(minor)s."
    ),
    RuleKind.NIGHT: _(
        "Between %(begins)s and %(ends)s a store takes %(count)s payments or more and %(minor)s or more."
    ),
    RuleKind.REFUND_RATE: _(
        "Within %(days)s days a store gives back %(percent)s %% or more of what it takes, in %(count)s refunds or more."
    ),
    RuleKind.CASHIER_REFUNDS: _(
        "One cashier asks for %(count)s refunds or more within %(hours)s hours."
    ),
    RuleKind.NEW_PLACE: _(
        "A code that took %(count)s payments or more over at least %(days)s days is paid in another store."
    ),
    RuleKind.PAYER_DAY: _("One payer pays more than %(minor)s by codes on one business day."),
    RuleKind.CODE_DAY: _("A code takes more than %(minor)s on one business day."),
}
#: Why one would want the rule.
REASONS: Final[Mapping[RuleKind, Promise]] = {
    RuleKind.CODE_VELOCITY: _(
        "A code that is suddenly very busy may have been photographed and shared."
    ),
    RuleKind.PAYER_VELOCITY: _("Many payments in a row may be somebody trying out accounts."),
    RuleKind.CASHIER_VELOCITY: _(
        "A cashier may be turning credit into cash or booking sales that were none."
    ),
    RuleKind.FAILED_ATTEMPTS: _(
        "Many attempts that fail may be somebody trying out cards, or a fault at the platform."
    ),
    RuleKind.ODD_AMOUNT: _("An amount far from the usual one may be a slip of the keyboard."),
    RuleKind.STRUCTURING: _(
        "Payments that stay just below a limit, again and again, may be meant to avoid a check."
    ),
    RuleKind.NIGHT: _("Takings outside the usual hours may not be the shop's own."),
    RuleKind.REFUND_RATE: _("Many refunds cost fees and may hide trouble with goods or staff."),
    RuleKind.CASHIER_REFUNDS: _("Refunds are where shops lose money to their own staff."),
    RuleKind.NEW_PLACE: _("A printed code that turns up elsewhere may have been moved or copied."),
    RuleKind.PAYER_DAY: _(
        "For static codes wallets let a customer pay ¥500 a day. Above it the payer is asked, held or only noted."
    ),
    RuleKind.CODE_DAY: _("What one code may take in a day, before somebody should look."),
}
OUTCOMES: Final[Mapping[Outcome, Promise]] = {
    Outcome.FLAG: _("An alert is raised; nobody is stopped."),
    Outcome.CONFIRM: _("The payer is asked to confirm before paying."),
    Outcome.HOLD: _("A member must release each such payment before it begins."),
    Outcome.FREEZE: _("The code is paused."),
}
#: What follows of rules that are judged at the till; the others go by ``OUTCOMES``.
_AT_TILL: Final[Mapping[Outcome, tuple[Promise, Promise]]] = {
    Outcome.CONFIRM: (
        _("Ask the cashier to confirm"),
        _("The till asks once more before it takes the payment."),
    ),
    Outcome.HOLD: (
        _("Only a manager may take it"),
        _("The till takes such a payment only from a member who may manage risk."),
    ),
}
_DOUBTS: Final[Mapping[Doubt, Promise]] = {
    Doubt.CODE_BEFORE_PAYER: _(
        "The code's daily limit is not above the payer's, so the payer's limit is reached by nobody."
    ),
    Doubt.CODE_FREEZES_SHOP: _(
        "Both daily limits freeze the code: one customer with a large bill stops it for everybody."
    ),
    Doubt.PAYER_ABOVE_CODE: _(
        "One payer would have to pay more often than the whole code may in the same time: the code's rule always speaks first."
    ),
    Doubt.NIGHT_IS_DAY: _(
        "These hours of the night are longer than twelve: most of the day counts as night."
    ),
}


def _clock(hour: int) -> str:
    return f"{hour:02d}:00"


def _shown(values: Mapping[str, int]) -> dict[str, str]:
    shown = {name: f"{value:,}" for name, value in values.items()}
    if "minor" in values:
        shown["minor"] = Money(values["minor"]).display()
    for name in ("begins", "ends"):
        if name in values:
            shown[name] = _clock(values[name])
    return shown


def rule_sentence(kind: RuleKind, values: Mapping[str, int]) -> str:
    """When the rule speaks."""
    return str(_SENTENCES[kind]) % _shown(values)


def rule_words(rule: Rule) -> str:
    """When the rule speaks and what follows, in one line; that it is off where it is."""
    if not rule.is_on:
        return gettext("Off")
    return f"{rule_sentence(rule.kind, rule.values)} → {outcome_label(rule.kind, rule.outcome)}"


def outcome_label(kind: RuleKind, outcome: Outcome) -> str:
    """What follows, in a few words."""
    if WATCHES[kind].at_till and outcome in _AT_TILL:
        return str(_AT_TILL[outcome][0])
    return str(outcome.label)


def outcome_words(kind: RuleKind, outcome: Outcome) -> str:
    """What follows, as a sentence."""
    if WATCHES[kind].at_till and outcome in _AT_TILL:
        return str(_AT_TILL[outcome][1])
    return str(OUTCOMES[outcome])


def till_words(verdict: TillVerdict, *, may_release: bool) -> tuple[str, str]:
    """Why the till took nothing, and what the member can do now."""
    rule = verdict.rule
    facts = {
        **_shown(rule.values),
        "amount": Money(verdict.amount_minor).display(),
        "usual": Money(verdict.base_minor).display(),
        "before": f"{verdict.count:,}",
        "sum": Money(verdict.minor).display(),
    }
    match rule.kind:
        case RuleKind.ODD_AMOUNT:
            why = gettext("%(amount)s is far above the usual here: a payment comes to %(usual)s.")
        case RuleKind.CASHIER_VELOCITY:
            why = gettext("You have taken %(before)s payments within %(minutes)s minutes.")
        case _:
            why = gettext(
                "It is late: since %(begins)s this store has taken %(before)s payments, %(sum)s together."
            )
    if rule.outcome is Outcome.CONFIRM or may_release:
        then = gettext(
            "Nothing was charged. If it is right, scan the customer's code once more; else correct the amount."
        )
    else:
        then = gettext(
            "Nothing was charged. By the shop's rules a manager takes such a payment: ask one to take it at the till."
        )
    return why % facts, then


def change_facts(before: Rules, after: Rules) -> list[tuple[str, str]]:
    """What changes between two books, rule by rule: its name, and how it would be."""
    return [
        (
            str(kind.label),
            gettext("%(after)s (until now: %(before)s)")
            % {"after": rule_words(after[kind]), "before": rule_words(before[kind])},
        )
        for kind in after
        if after[kind] != before[kind]
    ]


def doubt_words(doubt: Doubt) -> str:
    """Why rules that may be saved are worth another look."""
    return str(_DOUBTS[doubt])


def subject_words(alert: RiskAlert, names: Mapping[str, str]) -> str:
    """Whom an alert is about; ``names`` are the cashiers' by id."""
    if alert.subject_kind == Subject.CODE and alert.code is not None:
        return named(alert.code.scenario)
    if alert.subject_kind == Subject.MEMBER:
        return names.get(alert.subject, gettext("A former member"))
    if alert.subject_kind == Subject.STORE and alert.store is not None:
        return named(alert.store)
    # The start of the keyed hash tells payers apart and names nobody.
    return gettext("Payer %(mark)s") % {"mark": alert.subject[:8]}


def evidence_words(alert: RiskAlert) -> str:
    """What was found, in a sentence with its figures; and that the till stopped a payment, where it did."""
    words = _found_words(alert)
    stopped = alert.evidence.get("stopped_minor")
    if stopped is None:
        return words
    return gettext("%(found)s The till did not take %(amount)s at once.") % {
        "found": words,
        "amount": Money(stopped).display(),
    }


def _found_words(alert: RiskAlert) -> str:
    found = alert.evidence
    count, amount = found["count"], Money(found["minor"]).display()
    facts = {"count": f"{count:,}", "amount": amount}
    base = Money(found["base_minor"]).display()
    match RuleKind(alert.rule):
        case RuleKind.FAILED_ATTEMPTS:
            return (
                ngettext(
                    "%(count)s attempt came to nothing.",
                    "%(count)s attempts came to nothing.",
                    count,
                )
                % facts
            )
        case RuleKind.ODD_AMOUNT:
            return gettext("%(amount)s, while %(base)s is usual.") % {
                "amount": amount,
                "base": base,
            }
        case RuleKind.REFUND_RATE:
            return ngettext(
                "%(count)s refund of %(amount)s, while %(base)s was taken.",
                "%(count)s refunds of %(amount)s together, while %(base)s was taken.",
                count,
            ) % {**facts, "base": base}
        case RuleKind.CASHIER_REFUNDS:
            return (
                ngettext(
                    "%(count)s refund of %(amount)s.",
                    "%(count)s refunds of %(amount)s together.",
                    count,
                )
                % facts
            )
        case RuleKind.NEW_PLACE:
            return (
                ngettext(
                    "Paid in another store after %(count)s payment in the old one.",
                    "Paid in another store after %(count)s payments in the old one.",
                    count,
                )
                % facts
            )
        case RuleKind.PAYER_DAY | RuleKind.CODE_DAY if (
            found["shown"] and found["shown"][0]["kind"] == "begun"
        ):
            return gettext("%(amount)s was paid that day when a payment of %(next)s began.") % {
                "amount": amount,
                "next": Money(found["shown"][0]["minor"]).display(),
            }
        case _:
            return (
                ngettext(
                    "%(count)s payment of %(amount)s.",
                    "%(count)s payments of %(amount)s together.",
                    count,
                )
                % facts
            )


def alert_entry(alert: RiskAlert, names: Mapping[str, str]) -> dict[str, Any]:
    """An alert as its pages show it."""
    found = alert.evidence
    kinds = {
        "paid": gettext("Paid"),
        "failed": gettext("Failed or given up"),
        "refund": gettext("Refund"),
        "begun": gettext("Begun"),
    }
    return {
        "alert": alert,
        "about": subject_words(alert, names),
        "words": evidence_words(alert),
        "rule": rule_sentence(RuleKind(alert.rule), found["values"]),
        "then": outcome_label(RuleKind(alert.rule), Outcome(alert.outcome)),
        "shown": [
            {
                "order_id": one["order"],
                "at": datetime.fromisoformat(one["at"]),
                "minor": one["minor"],
                "kind": kinds[one["kind"]],
                "is_refund": one["kind"] == "refund",
            }
            for one in found["shown"]
        ],
        "first_at": datetime.fromisoformat(found["first_at"]),
        "last_at": datetime.fromisoformat(found["last_at"]),
    }


#: What a shop that takes payments by code should have thought about: what could happen, and what the portal does already.
SUGGESTIONS: Final = (
    (
        _("Somebody sticks a code of their own over ours."),
        _(
            "Members check the stickers when they open; the portal tells a photographed code from a forged one."
        ),
        2,
        3,
    ),
    (
        _("A printed code is photographed and used elsewhere."),
        _("Alerts on busy codes and new places; a code can be paused at once."),
        2,
        2,
    ),
    (
        _("A member refunds to an own account."),
        _(
            "Refunds above the threshold need a second member; alerts on many refunds by one cashier."
        ),
        2,
        3,
    ),
    (
        _("A customer shows a picture of a payment that never was."),
        _("The till and the counter go by what the portal says, never by the customer's screen."),
        3,
        2,
    ),
    (
        _("A platform freezes the account or pays out late."),
        _("Several platforms are connected; settlements that are late are shown."),
        1,
        3,
    ),
    (
        _("The keys of a platform account get into wrong hands."),
        _(
            "Keys are encrypted and never shown; they are changed once a year and when somebody leaves."
        ),
        1,
        3,
    ),
)


def holds_words(count: int) -> str:
    """How many customers wait for a member to let their payment begin."""
    return ngettext(
        "%(count)d customer waits for you to let a payment begin",
        "%(count)d customers wait for you to let a payment begin",
        count,
    ) % {"count": count}
