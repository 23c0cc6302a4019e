"""Booking what did not begin here: bill rows that nothing of ours answers to become payments and refunds, by rule.

Only rows are booked that leave no doubt; every other one stays a difference, and ``LEFT`` says why. Booking the same row again
changes nothing, by whatever road it comes: the numbers that the bill gives it are unique in the books.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from django.db import connection, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.ledger.services import booking_dates
from apps.merchants.models import Merchant
from apps.payments.services import book_outside_payments
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors.agreements import fee_back_ppm, fee_book
from apps.reconciliation.models import OutsideRule, RuleScope
from apps.reconciliation.selectors.outside import rules_on
from apps.reconciliation.services import outside_sql as outside
from apps.refunds.services import book_outside_refunds, hold_payments, weigh_outside_refunds
from apps.statements.models import Statement, StatementDay, StatementLine

#: Why a row is not booked; ``outside_words.LEFT_WORDS`` says it in words.
LEFT: Final = (
    "no_rule",
    "left",
    "amount",
    "currency",
    "fee",
    "no_number",
    "twice",
    "known",
    "elsewhere",
    "no_day",
    "no_payment",
    "not_paid",
    "maybe_ours",
    "too_much",
)
_RANKS: Final = {scope: rank for rank, scope in enumerate(RuleScope)}


@dataclass(frozen=True, slots=True)
class Tally:
    """So many rows of so many fen, as positive amounts."""

    count: int = 0
    minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What became, or would become, of rows that the portal does not know."""

    payments: Tally = Tally()
    refunds: Tally = Tally()
    #: Rows that stay differences, by reason.
    left: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rows are booked."""
        return self.payments.count + self.refunds.count


class NotInABill(Exception):
    """The rows are not rows of one trade bill that counts."""


def _rules(rules: Sequence[OutsideRule]) -> dict[str, Any]:
    return {
        "rule_ranks": [_RANKS[RuleScope(rule.scope)] for rule in rules],
        "rule_values": [rule.value for rule in rules],
        "rule_books": [rule.books for rule in rules],
        "rule_stores": [rule.store_id for rule in rules],
    }


def _values(account: PlatformAccount, *, day: date, rules: Sequence[OutsideRule]) -> dict[str, Any]:
    merchant_id = current_merchant_id()
    return {
        "merchant": merchant_id,
        "account": account.pk,
        "platform": account.platform,
        "day": day,
        "wallet": account.platform,
        "back": fee_back_ppm(account, day),
        **fee_book(account).values(),
        "day_starts_at": Merchant.objects.values_list("day_starts_at", flat=True).get(
            pk=merchant_id
        ),
        **_rules(rules),
    }


def _hold_days(cursor: Any, values: dict[str, Any]) -> None:
    cursor.execute(outside.DAYS)
    booked = booking_dates(row[0] for row in cursor.fetchall())
    cursor.execute(
        outside.BOOKED_DAYS, {**values, "days": list(booked), "booked": list(booked.values())}
    )


def _decide(cursor: Any, values: dict[str, Any], *, locked: bool) -> None:
    """Give each row of ``outside_asked`` its verdict; ``locked``: hold what the booking needs."""
    cursor.execute("ANALYZE outside_asked")
    cursor.execute(outside.STAGE, values)
    cursor.execute("ANALYZE outside_row")
    for statement in (outside.TWICE, outside.KNOWN, outside.ELSEWHERE, outside.NUMBERS):
        cursor.execute(statement, values)
    if locked:
        _hold_days(cursor, values)
    cursor.execute(outside.PAYMENTS_DECIDED)
    # Else the planner takes what was decided for a handful of rows.
    cursor.execute("ANALYZE outside_row")
    for statement in outside.TARGETS:
        cursor.execute(statement, values)
    cursor.execute(outside.NO_TARGET, values)
    cursor.execute(outside.REFUNDS)
    if locked:
        hold_payments(source="outside_refund")
    cursor.execute("ANALYZE outside_refund")
    cursor.execute(outside.LEFT_OF, values)
    cursor.execute("ANALYZE outside_left")
    weigh_outside_refunds(
        refunds="outside_refund", payments="outside_left", back_ppm=values["back"]
    )
    cursor.execute(outside.WEIGHED)


def _book(cursor: Any, values: dict[str, Any], account: PlatformAccount) -> list[int]:
    """Book what was decided; the StatementDays that have a refund of it."""
    cursor.execute(outside.PAYMENTS, values)
    cursor.execute("ANALYZE outside_payment")
    book_outside_payments(source="outside_payment", account=account)
    cursor.execute(outside.BOOKED_TARGETS)
    cursor.execute(outside.UNTAKEN)
    book_outside_refunds(source="outside_refund", account=account)
    cursor.execute(outside.UNBOOKED)
    cursor.execute("ANALYZE outside_payment")
    cursor.execute(outside.WAITING_DAYS, values)
    return [int(row[0]) for row in cursor.fetchall()]


def _tally(cursor: Any) -> Outside:
    cursor.execute(outside.TALLY)
    booked: dict[bool, Tally] = {}
    left: dict[str, Tally] = {}
    for verdict, is_refund, count, minor in cursor.fetchall():
        if verdict == "book":
            booked[is_refund] = Tally(count, int(minor))
            continue
        before = left.get(verdict, Tally())
        left[verdict] = Tally(before.count + count, before.minor + int(minor))
    return Outside(
        payments=booked.get(False, Tally()), refunds=booked.get(True, Tally()), left=left
    )


def _note(
    made: Outside, account: PlatformAccount, *, day: date, actor: Actor, now: datetime
) -> None:
    audit.record(
        action="outside.booked",
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={
            "account": account.label,
            "day": day.isoformat(),
            "payments": made.payments.count,
            "payments_minor": made.payments.minor,
            "refunds": made.refunds.count,
            "refunds_minor": made.refunds.minor,
        },
    )


def book_loose_rows(
    *, account: PlatformAccount, day: date, rows: str, actor: Actor, now: datetime
) -> tuple[Outside, list[int]]:
    """Book those rows of the temporary table ``rows`` (``line_id``) that the account's rules say are outside money.

    In the caller's transaction, which holds the day's row. Also gives the StatementDays that wait for what was booked. What was
    booked stands in ``outside_payment`` and ``outside_refund`` until ``forget_booked``.
    """
    rules = rules_on(account_id=account.pk, day=day)
    if not any(rule.books for rule in rules):
        return Outside(), []
    values = _values(account, day=day, rules=rules)
    with connection.cursor() as cursor:
        cursor.execute(outside.ASKED)
        cursor.execute(f"INSERT INTO outside_asked SELECT line_id FROM {rows}")  # noqa: S608  # our own name
        _decide(cursor, values, locked=True)
        waiting = _book(cursor, values, account)
        made = _tally(cursor)
    if made.count:
        _note(made, account, day=day, actor=actor, now=now)
    return made, waiting


def forget_booked() -> None:
    """Take away the temporary tables of a booking."""
    with connection.cursor() as cursor:
        cursor.execute(outside.FORGET)


@transaction.atomic
def weigh_rows(
    *,
    account: PlatformAccount,
    day: date,
    line_ids: Collection[int],
    rules: Sequence[OutsideRule],
) -> Outside:
    """What rules would make of these rows of a bill; nothing is stored, and closed days are not looked at."""
    with connection.cursor() as cursor:
        cursor.execute(outside.ASKED)
        cursor.execute("INSERT INTO outside_asked SELECT unnest(%s::bigint[])", [list(line_ids)])
        _decide(cursor, _values(account, day=day, rules=rules), locked=False)
        made = _tally(cursor)
    forget_booked()
    return made


def _bill_of(line_ids: Collection[int]) -> Statement:
    bills = list(
        Statement.objects.filter(
            pk__in=StatementLine.objects.filter(pk__in=line_ids).values("statement_id")
        )[:2]
    )
    if len(bills) != 1 or not bills[0].is_current or bills[0].kind != StatementKind.TRADE.value:
        raise NotInABill(str(sorted(line_ids)[:3]))
    return bills[0]


@transaction.atomic
def book_outside(
    *, line_ids: Collection[int], store_id: int | None, actor: Actor, now: datetime
) -> Outside:
    """Book these rows of one current trade bill as outside money, whatever the rules say; the day must be matched after.

    A person's word in place of a rule. What stays unbooked is told by reason (``LEFT``); a row that is in the books already
    is ``known``. Raises NotInABill, and Store's IntegrityError at COMMIT for a store that is not the merchant's.
    """
    bill = _bill_of(line_ids)
    # As matching does: one at a time for each day, and no import meanwhile.
    StatementDay.objects.select_for_update().get(
        account_id=bill.account_id, kind=bill.kind, day=bill.day
    )
    account = PlatformAccount.objects.get(pk=bill.account_id)
    word = OutsideRule(scope=RuleScope.ACCOUNT, books=True, store_id=store_id)
    values = _values(account, day=bill.day, rules=[word])
    with connection.cursor() as cursor:
        cursor.execute(outside.ASKED)
        cursor.execute(
            "INSERT INTO outside_asked SELECT unnest(%s::bigint[])", [sorted(set(line_ids))]
        )
        _decide(cursor, values, locked=True)
        _book(cursor, values, account)
        made = _tally(cursor)
    forget_booked()
    if made.count:
        _note(made, account, day=bill.day, actor=actor, now=now)
    return made
