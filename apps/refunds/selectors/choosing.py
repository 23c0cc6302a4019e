"""Which payments a batch of refunds would take, what it leaves out and why, and what the rules ask of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Final

from django.db import connection, transaction

from apps.core import clock
from apps.core.clock import CHINA
from apps.core.money import MAX_AMOUNT_MINOR
from apps.core.rules import Book, compile_case
from apps.core.tenancy import current_scope
from apps.payments.models import Payment
from apps.platforms import registry
from apps.platforms.gateway import Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors.refunding import agreed_windows
from apps.refunds.models import RESERVING, ReasonCode, ShareKind
from apps.refunds.rulefacts import ANY_APPROVER, FINANCE_APPROVER, OUTCOMES, refund_book
from apps.refunds.selectors.choosing_sql import (
    CHOOSE,
    COLUMNS,
    GROUPS,
    MOST_ROWS,
    ROWS,
    SEAL,
    TABLE,
)
from apps.refunds.selectors.rules import book_in_force

#: Rows of a preview on one page.
PAGE: Final = 50
#: What is asked of a batch whose sum a rule would refuse as one refund: a refusal is said of payments, not of their sum.
STRICTEST: Final = (2, FINANCE_APPROVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWish:
    """What is to go back, of which payments, and why; empty fields narrow nothing.

    The period is in business days, both ends included, by the day on which a payment was booked. ``share_value``:
    hundredths of a percent of what was paid, or fen. ``code_kind``: a kind of scenario.
    """

    share_kind: str = ShareKind.WHOLE.value
    share_value: int = 0
    reason: str = ""
    reason_code: str = ""
    code_id: int | None = None
    code_kind: str = ""
    store_id: int | None = None
    platform: str = ""
    date_from: date | None = None
    date_to: date | None = None
    amount_min: int | None = None
    amount_max: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether any payment is left out by choice."""
        return any(
            (
                self.code_id,
                self.code_kind,
                self.store_id,
                self.platform,
                self.date_from,
                self.date_to,
                self.amount_min,
                self.amount_max,
            )
        )

    def as_json(self) -> dict[str, Any]:
        """Itself as plain values, for ``wish_of``."""
        facts = asdict(self)
        for name in ("date_from", "date_to"):
            facts[name] = facts[name].isoformat() if facts[name] else None
        return facts


def wish_of(facts: dict[str, Any]) -> BatchWish:
    """What ``BatchWish.as_json`` wrote."""
    days = {
        name: date.fromisoformat(facts[name]) if facts[name] else None
        for name in ("date_from", "date_to")
    }
    return BatchWish(**(facts | days))


@dataclass(frozen=True, slots=True)
class Part:
    """Some payments of a choice and their sums in fen: what would go back, and what was paid."""

    count: int = 0
    minor: int = 0
    paid_minor: int = 0

    def __add__(self, other: Part) -> Part:
        return Part(
            self.count + other.count,
            self.minor + other.minor,
            self.paid_minor + other.paid_minor,
        )


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """One payment of a choice. ``why``: why it is left out, "" where it is not; ``outcome``: what the rules say."""

    payment: Payment
    amount_minor: int
    why: str
    outcome: str
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a batch would do. ``seal``: a value that changes with any row or amount; ``store_ids``: 0 stands for none."""

    outcomes: dict[str, Part] = field(default_factory=dict)
    left_out: dict[str, Part] = field(default_factory=dict)
    confirmations: int = 0
    permission: str = ""
    by_sum: bool = False
    book_number: int = 0
    seal: str = ""
    store_ids: tuple[int, ...] = ()
    rows: tuple[ChosenRow, ...] = ()
    left_rows: tuple[ChosenRow, ...] = ()

    @property
    def whole(self) -> Part:
        """All that would go back."""
        return sum(self.outcomes.values(), Part())

    @property
    def left_whole(self) -> Part:
        """All that is left out."""
        return sum(self.left_out.values(), Part())

    @property
    def is_too_many(self) -> bool:
        """Whether there are more payments than one batch takes."""
        return self.whole.count + self.left_whole.count > MOST_ROWS

    @property
    def store_id(self) -> int | None:
        """The one store of all its payments, None where there are several or none."""
        only = self.store_ids[0] if len(self.store_ids) == 1 else 0
        return only or None


def _conditions(wish: BatchWish) -> tuple[str, dict[str, Any]]:
    scope = current_scope()
    tests, values = ["true"], dict[str, Any]()
    columns = {
        "p.code_id = %(code)s": ("code", wish.code_id),
        "p.store_id = %(store)s": ("store", wish.store_id),
        "p.platform = %(platform)s": ("platform", wish.platform),
        "p.booked_date >= %(date_from)s": ("date_from", wish.date_from),
        "p.booked_date <= %(date_to)s": ("date_to", wish.date_to),
        "p.amount_minor >= %(amount_min)s": ("amount_min", wish.amount_min),
        "p.amount_minor <= %(amount_max)s": ("amount_max", wish.amount_max),
        """p.code_id IN (SELECT c.id FROM qrcodes_qrcode c JOIN qrcodes_scenario s
            ON s.merchant_id = c.merchant_id AND s.id = c.scenario_id
            WHERE c.merchant_id = %(merchant)s AND s.kind = %(code_kind)s)""": (
            "code_kind",
            wish.code_kind,
        ),
        "p.store_id = ANY(%(stores)s)": (
            "stores",
            None if scope.store_ids is None else [0, *sorted(scope.store_ids)],
        ),
        """p.order_id IN (SELECT o.id FROM payments_order o WHERE o.merchant_id = %(merchant)s
            AND (o.taken_by_id IS NULL OR o.taken_by_id = %(taker)s))""": (
            "taker",
            scope.member_id,
        ),
    }
    for test, (name, value) in columns.items():
        if value not in (None, ""):
            tests.append(test)
            values[name] = value
    return " AND ".join(tests), values


def _case(book: Book, columns: dict[str, str], prefix: str) -> tuple[str, dict[str, Any]]:
    """The book as CASE with named values."""
    text, values = compile_case(book, columns)
    names = iter(range(len(values)))
    named = re.sub(r"%s", lambda _found: f"%({prefix}{next(names)})s", text)
    return named, {f"{prefix}{place}": value for place, value in enumerate(values)}


@contextmanager
def chosen_table(wish: BatchWish, *, member_id: int, now: datetime) -> Iterator[tuple[int, Book]]:
    """The choice as the temporary table ``choosing_sql.TABLE``, in a transaction: the number and rules that judged it.

    Four statements, whatever is chosen.
    """
    with transaction.atomic():
        version = book_in_force(now)
        book = refund_book(version.content)
        filters, values = _conditions(wish)
        rule, rule_values = _case(book, COLUMNS, "r")
        of_all = {**COLUMNS, "amount": "summed.all_minor", "total": "summed.all_minor"}
        rule_of_all, all_values = _case(book, of_all, "s")
        accounts = list(
            PlatformAccount.objects.filter(has_agreement=True).values_list("pk", flat=True)
        )
        windows = agreed_windows(accounts, clock.business_date(now)) if accounts else {}
        limits = [registry.refund_limits_of(platform) for platform in Platform]
        local = now.astimezone(CHINA)
        with connection.cursor() as cursor:
            cursor.execute(
                CHOOSE.format(filters=filters, rule=rule, rule_of_all=rule_of_all),
                {
                    "merchant": current_scope().merchant_id,
                    "member": member_id,
                    "now": now,
                    "minute": local.hour * 60 + local.minute,
                    "reason": wish.reason_code or ReasonCode.OTHER.value,
                    "share_kind": wish.share_kind,
                    "share_value": wish.share_value,
                    "held": [state.value for state in RESERVING],
                    "most": MAX_AMOUNT_MINOR,
                    "refusing": [
                        number
                        for number in range(len(book.rules) + 1)
                        if OUTCOMES[book.outcome_of(number)].refuses
                    ],
                    "platforms": [platform.value for platform in Platform],
                    "days": [one.days for one in limits],
                    "months": [one.months for one in limits],
                    "parts": [one.parts for one in limits],
                    "accounts": list(windows),
                    "windows": list(windows.values()),
                    **values,
                    **rule_values,
                    **all_values,
                },
            )
        yield version.number, book
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {TABLE}")


def read_choice(number: int, book: Book) -> Choice:
    """What the table of ``chosen_table`` holds, without its rows; two statements."""
    outcomes: dict[str, Part] = {}
    left_out: dict[str, Part] = {}
    asked = {(0, "")}
    by_rows = {(0, "")}
    with connection.cursor() as cursor:
        cursor.execute(GROUPS)
        for why, rule, rule_of_all, count, minor, paid_minor in cursor.fetchall():
            part = Part(count, int(minor), int(paid_minor))
            if why:
                left_out[why] = left_out.get(why, Part()) + part
                continue
            code = book.outcome_of(rule)
            outcomes[code] = outcomes.get(code, Part()) + part
            own = OUTCOMES[code]
            by_rows.add((own.confirmations, own.permission))
            of_all = OUTCOMES[book.outcome_of(rule_of_all)]
            asked.add(STRICTEST if of_all.refuses else (of_all.confirmations, of_all.permission))
        cursor.execute(SEAL)
        seal, store_ids = cursor.fetchone()
    needed, permission = _strictest(asked | by_rows)
    return Choice(
        outcomes=outcomes,
        left_out=left_out,
        confirmations=needed,
        permission=permission,
        by_sum=(needed, permission) != _strictest(by_rows),
        book_number=number,
        seal=seal,
        store_ids=tuple(sorted(store_ids)),
    )


def _strictest(asked: set[tuple[int, str]]) -> tuple[int, str]:
    """What covers all of these: as many confirmations as any wants, by those whom the strictest wants."""
    needed = max(count for count, _permission in asked)
    if not needed:
        return 0, ""
    finance = any(permission == FINANCE_APPROVER for _count, permission in asked)
    return needed, FINANCE_APPROVER if finance else ANY_APPROVER


def preview(
    wish: BatchWish, *, member_id: int, now: datetime, after: int = 0, left_after: int = 0
) -> Choice:
    """What a batch would do now, with a page of its rows and of those left out. The same few statements, whatever is chosen."""
    with chosen_table(wish, member_id=member_id, now=now) as (number, book):
        choice = read_choice(number, book)
        found = []
        with connection.cursor() as cursor:
            for left_out, place in ((False, after), (True, left_after)):
                values = {"left_out": left_out, "after": place, "size": PAGE + 1}
                cursor.execute(ROWS, values)
                found.append(cursor.fetchall())
    ids = [row[0] for rows in found for row in rows]
    payments = Payment.objects.select_related("order", "store").defer("handover").in_bulk(ids)
    shown = [
        tuple(
            ChosenRow(payments[pk], amount, why, book.outcome_of(rule), place)
            for pk, amount, why, rule, place in rows
        )
        for rows in found
    ]
    return Choice(
        **{
            name: getattr(choice, name)
            for name in Choice.__dataclass_fields__
            if name not in {"rows", "left_rows"}
        },
        rows=shown[0],
        left_rows=shown[1],
    )
