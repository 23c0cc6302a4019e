"""The rule book in force, its versions and draft; what it weighs of a refund, and what it said about earlier ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.core import sql
from apps.core.clock import CHINA
from apps.core.money import Money
from apps.core.names import named
from apps.core.rules import Book, Choice, Problem, check, decide
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Store
from apps.payments.models import Payment
from apps.refunds import rulewords
from apps.refunds.models import (
    RESERVING,
    DraftState,
    ReasonCode,
    Refund,
    RefundDecision,
    RefundRuleBook,
    RefundRuleDraft,
)
from apps.refunds.rulefacts import (
    COUNTED,
    DEFAULT_CONTENT,
    FACTS,
    MOST_AGE,
    OUTCOMES,
    SCHEMA,
    WHOLE,
    Outcome,
    refund_book,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a book says about one refund: the rule that decides, what follows, and all that was weighed."""

    book_number: int
    book: Book
    rule_number: int
    facts: Mapping[str, int | str]
    payer: str

    @property
    def code(self) -> str:
        """The outcome, a key of ``rulefacts.OUTCOMES``."""
        return self.book.outcome_of(self.rule_number)

    @property
    def outcome(self) -> Outcome:
        """What follows."""
        return OUTCOMES[self.code]

    @property
    def waits(self) -> bool:
        """Whether other members must confirm."""
        return self.outcome.confirmations > 0


def default_book() -> RefundRuleBook:
    """What holds until a merchant writes its own rules: number 0, never stored."""
    return RefundRuleBook(number=0, content=DEFAULT_CONTENT)


def book_in_force(now: datetime) -> RefundRuleBook:
    """The version by which refunds are decided now; the portal's own where none has come into force."""
    begun = RefundRuleBook.objects.filter(effective_at__lte=now)
    return begun.order_by("-number").first() or default_book()


def planned_book(now: datetime) -> RefundRuleBook | None:
    """The next version to come into force, if one is planned: the others planned before it never will."""
    newest = RefundRuleBook.objects.order_by("-number").first()
    return newest if newest is not None and newest.effective_at > now else None


def book_numbered(number: int) -> RefundRuleBook | None:
    """One version, or None; 0 is the portal's own."""
    if number == 0:
        return default_book()
    found: RefundRuleBook | None = (
        RefundRuleBook.objects.select_related("made_by").filter(number=number).first()
    )
    return found


def book_history() -> list[RefundRuleBook]:
    """All versions, newest first."""
    return list(RefundRuleBook.objects.select_related("made_by").order_by("-number"))


def current_draft() -> RefundRuleDraft | None:
    """The draft that is being written or waits for confirmation."""
    found: RefundRuleDraft | None = (
        RefundRuleDraft.objects.select_related("changed_by", "approval")
        .filter(state__in=[DraftState.OPEN, DraftState.WAITING])
        .first()
    )
    return found


def store_names() -> dict[str, str]:
    """The stores' names by their ids as rules name them, in the reader's language."""
    return {str(store.pk): named(store) for store in Store.objects.order_by("pk")}


def problems_of(book: Book, stores: Mapping[str, str]) -> list[Problem]:
    """What never decides in a book."""
    words = {
        name: frozenset(rulewords.word_choices(name, stores))
        for name, kind in FACTS.items()
        if isinstance(kind, Choice)
    }
    return check(book, SCHEMA, words)


def weighed(payment: Payment, amount: Money) -> Money:
    """What a threshold goes by: the amount and all that was asked for of the same payment before, so that splitting a refund
    does not get around it."""
    return Money(payment.refund_reserved_minor + amount.minor, payment.currency)


#: Of earlier decisions, what others have a part in. The refunds' present states tell whether they still count.
_EARLIER: Final = """
SELECT count(*) FILTER (WHERE d.decided_at >= %(now)s - interval '1 day'),
       count(*) FILTER (WHERE d.decided_at >= %(now)s - interval '7 days'), count(*),
       COALESCE(sum(d.amount) FILTER (WHERE d.decided_at >= %(now)s - interval '1 day'), 0)::bigint,
       COALESCE(sum(d.amount) FILTER (WHERE d.decided_at >= %(now)s - interval '7 days'), 0)::bigint,
       COALESCE(sum(d.amount), 0)::bigint
FROM refunds_refunddecision d JOIN refunds_refund r ON r.merchant_id = d.merchant_id AND r.id = d.refund_id
WHERE d.merchant_id = %(merchant)s AND {who} AND d.decided_at >= %(now)s - interval '30 days' AND r.state = ANY(%(held)s)
"""
_WEIGH: Final = f"""
SELECT COALESCE((SELECT m.role FROM merchants_membership m
                 WHERE m.merchant_id = %(merchant)s AND m.user_id = %(member)s AND m.is_active), ''),
       COALESCE((SELECT s.kind FROM qrcodes_qrcode c JOIN qrcodes_scenario s
                 ON s.merchant_id = c.merchant_id AND s.id = c.scenario_id
                 WHERE c.merchant_id = %(merchant)s AND c.id = %(code)s), ''),
       payer.*, asker.*, store.*
FROM ({_EARLIER.format(who="d.payer = %(payer)s")}) payer,
     ({_EARLIER.format(who="d.asked_by_id = %(member)s")}) asker,
     (SELECT count(*), COALESCE(sum(d.amount), 0)::bigint
      FROM refunds_refunddecision d JOIN refunds_refund r ON r.merchant_id = d.merchant_id AND r.id = d.refund_id
      WHERE d.merchant_id = %(merchant)s AND d.store = %(store)s AND d.decided_at >= %(now)s - interval '1 day'
        AND r.state = ANY(%(held)s)) store
"""  # noqa: S608  # our own text
_HELD: Final = [state.value for state in RESERVING]
_WINDOWED: Final = [
    f"{who}_{what}_{days}"
    for who in ("payer", "asker")
    for what in ("count", "sum")
    for days in (1, 7, 30)
] + ["store_count_1", "store_sum_1"]


def payer_key(payment: Payment) -> str:
    """Whose refunds are counted together: the payer's hash, or where nobody knows it the payment itself."""
    return payment.payer_hash or f"payment:{payment.pk}"


def weigh(
    payment: Payment,
    amount: Money,
    *,
    member_id: int | None,
    reason: str,
    origin: str,
    now: datetime,
) -> dict[str, int | str]:
    """All that rules weigh of a refund of this amount, asked for now; one query."""
    store = "" if payment.store_id is None else str(payment.store_id)
    row = sql.first(
        _WEIGH,
        {
            "merchant": current_merchant_id(),
            "member": member_id,
            "code": payment.code_id,
            "payer": payer_key(payment),
            "store": store,
            "now": now,
            "held": _HELD,
        },
    )
    if row is None:
        raise RuntimeError("a SELECT of aggregates brought no row")
    role, code, *earlier = row
    total = weighed(payment, amount).minor
    local = now.astimezone(CHINA)
    age = now - (payment.paid_at or now)
    return {
        "amount": amount.minor,
        "total": total,
        "share": -(-total * WHOLE // payment.amount_minor),
        "age": min(MOST_AGE, max(0, int(age.total_seconds()) // 60)),
        "minute": local.hour * 60 + local.minute,
        # This one is counted in.
        **{
            name: before + (1 if "_count_" in name else amount.minor)
            for name, before in zip(_WINDOWED, earlier, strict=True)
        },
        "store": store,
        "code": code,
        "platform": payment.platform,
        "asker": role,
        "reason": reason or ReasonCode.OTHER.value,
        "origin": origin,
    }


def assess(
    payment: Payment,
    amount: Money,
    *,
    member_id: int | None,
    reason: str = "",
    origin: str = "member",
    now: datetime,
    version: RefundRuleBook | None = None,
) -> Verdict:
    """What the rules in force say about a refund, or those of ``version``; two queries, or one. Nothing is written."""
    version = version or book_in_force(now)
    book = refund_book(version.content)
    facts = weigh(payment, amount, member_id=member_id, reason=reason, origin=origin, now=now)
    return Verdict(version.number, book, decide(book, facts), facts, payer_key(payment))


def goes_by_counts(book: Book) -> bool:
    """Whether other refunds have a part in what it decides."""
    return bool(book.facts_used() & COUNTED)


def verdict_words(verdict: Verdict) -> str:
    """What the rules say and why, in the reader's language."""
    return rulewords.why(verdict.book, verdict.rule_number, _stores_of([verdict.book]))


def decision_of(refund_id: int) -> RefundDecision | None:
    """What the rules said about a refund when it was asked for; None where no rule was asked."""
    found: RefundDecision | None = RefundDecision.objects.filter(refund_id=refund_id).first()
    return found


def rules_of(refunds: Iterable[Refund]) -> dict[int, str]:
    """What the rules of its day said about each refund, by its id, in the reader's language; "" for one that began elsewhere."""
    refunds = list(refunds)
    asked = [refund.pk for refund in refunds if refund.rule_version is not None]
    words = dict.fromkeys((refund.pk for refund in refunds), "")
    if not asked:
        return words
    decisions = list(RefundDecision.objects.filter(refund_id__in=asked))
    numbers = {decision.book_number for decision in decisions}
    books: dict[int, Book] = {0: refund_book(DEFAULT_CONTENT)}
    for version in RefundRuleBook.objects.filter(number__in=numbers - {0}):
        books[version.number] = refund_book(version.content)
    stores = _stores_of(books.values())
    for decision in decisions:
        words[decision.refund_id] = rulewords.why(
            books[decision.book_number], decision.rule_number, stores
        )
    return words


def rule_of(refund: Refund) -> str:
    """``rules_of`` one refund."""
    return rules_of([refund])[refund.pk]


def _stores_of(books: Iterable[Book]) -> dict[str, str]:
    """The stores' names, asked for only where a rule names one."""
    return store_names() if any("store" in book.facts_used() for book in books) else {}


def facts_of(decision: RefundDecision) -> dict[str, Any]:
    """What was weighed, by name."""
    return {name: getattr(decision, name) for name in FACTS}
