"""What platforms pay out: computed from the current bills by the account's terms, again whenever either changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, outbox, sql
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.platforms.fees import fee_sql, given_back_sql
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors.agreements import fee_book
from apps.statements.models import (
    Settlement,
    SettlementBasis,
    SettlementTerms,
    SettlementVersion,
    StatementDay,
    WorkdayException,
)
from apps.statements.selectors.terms import cycle_on, terms_of, workday_exceptions
from apps.statements.working_days import due_date

#: The days in which a settlement may be, where all are computed again.
FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)

# A bill names neither the wallet nor our way to pay: what is agreed for the account's own wallet, or for any.
_ROW: Final = {
    "amount": "l.amount_minor",
    "day": "(l.occurred_at AT TIME ZONE 'Asia/Shanghai')::date",
    "wallet": "%(wallet)s",
    "product": "''",
}
_FEE: Final = fee_sql(**_ROW)
_FEE_BACK: Final = given_back_sql(**_ROW)

# A row belongs to its bill's day, or to the next one where it is of the hours after the cut-off. A cycle day counts as soon
# as its own bill is here.
_BY_BILL: Final = f"""
WITH bills AS (
    SELECT id, day FROM statements_statement
    WHERE merchant_id = %(merchant)s AND account_id = %(account)s AND kind = 'trade' AND is_current
      AND day BETWEEN %(first)s::date - 1 AND %(last)s
), rows AS (
    SELECT b.day + (CASE WHEN %(cutoff)s::time IS NOT NULL
                          AND l.occurred_at AT TIME ZONE 'Asia/Shanghai' >= b.day + %(cutoff)s::time
                         THEN 1 ELSE 0 END) AS day,
           l.kind, l.amount_minor, l.fee_minor IS NULL AS estimated,
           COALESCE(l.fee_minor, CASE l.kind WHEN 'refund' THEN -{_FEE_BACK} ELSE {_FEE} END) AS fee
    FROM bills b
    JOIN statements_statementline l ON l.merchant_id = %(merchant)s AND l.statement_id = b.id
    WHERE l.kind IN ('payment', 'refund')
)
SELECT b.day, '', b.id,
       count(*) FILTER (WHERE r.kind = 'payment'),
       COALESCE(sum(r.amount_minor) FILTER (WHERE r.kind = 'payment'), 0)::bigint,
       count(*) FILTER (WHERE r.kind = 'refund'),
       COALESCE(sum(r.amount_minor) FILTER (WHERE r.kind = 'refund'), 0)::bigint,
       COALESCE(sum(r.fee), 0)::bigint, COALESCE(bool_or(r.estimated), false)
FROM bills b LEFT JOIN rows r ON r.day = b.day
WHERE b.day BETWEEN %(first)s AND %(last)s
GROUP BY b.day, b.id ORDER BY b.day
"""  # noqa: S608  # our own names
# What went to the bank, less what came back of it under the same number.
_BY_WITHDRAWAL: Final = """
SELECT s.day, COALESCE(NULLIF(l.platform_trade_no, ''), 'row ' || l.row), s.id, 1,
       sum(CASE l.status WHEN 'in' THEN -l.amount_minor ELSE l.amount_minor END)::bigint, 0, 0::bigint, 0::bigint, false
FROM statements_statement s
JOIN statements_statementline l ON l.merchant_id = s.merchant_id AND l.statement_id = s.id
WHERE s.merchant_id = %(merchant)s AND s.account_id = %(account)s AND s.kind = 'fund' AND s.is_current
  AND s.day BETWEEN %(first)s AND %(last)s AND (l.kind = 'payout' OR l.product LIKE '%%提现%%')
GROUP BY 1, 2, 3 ORDER BY 1, 2
"""


class _Found(NamedTuple):
    """What the bills say of one settlement, in the order of the statements above."""

    day: date
    key: str
    statement_id: int
    payment_count: int
    payment_minor: int
    refund_count: int
    refund_minor: int
    fee_minor: int
    fees_estimated: bool

    def net(self, terms: SettlementTerms) -> int:
        """What is paid out, in fen."""
        fees = self.fee_minor if terms.fees_deducted else 0
        return self.payment_minor - self.refund_minor - fees


#: What a settlement is; where one of these changes it is a new version.
_FACTS: Final = (
    "payment_count",
    "payment_minor",
    "refund_count",
    "refund_minor",
    "fee_minor",
    "net_minor",
    "due_date",
    "is_void",
)


def ask_to_settle(expected: StatementDay, *, now: datetime) -> None:
    """Have the settlements of a bill computed, and matched with the bank, as soon as this transaction commits."""
    outbox.enqueue(
        task="statements.settle",
        merchant_id=expected.merchant_id,
        subject_id=expected.pk,
        due_at=now,
    )


def ask_to_match(*, now: datetime) -> None:
    """Have what is to be paid out matched with the bank, over all accounts, as soon as this transaction commits."""
    merchant_id = current_merchant_id()
    outbox.enqueue(
        task="statements.match", merchant_id=merchant_id, subject_id=merchant_id, due_at=now
    )


def settle_bill(*, day_id: int, now: datetime) -> int | None:
    """Compute the settlements that one bill decides; the account, or None where the bill is gone."""
    expected = StatementDay.objects.filter(pk=day_id).first()
    if expected is None:
        return None
    # By the cut-off a bill may also decide the day after it.
    settle(
        account_id=expected.account_id,
        first=expected.day,
        last=expected.day + timedelta(days=1),
        now=now,
    )
    return int(expected.account_id)


def settle(
    *, account_id: int, now: datetime, first: date = FIRST_DAY, last: date = LAST_DAY
) -> list[Settlement]:
    """Compute the account's settlements of the cycle days ``first`` to ``last``; those that are new or changed.

    One that bills and terms no longer give becomes void, unless it was paid out. Raises PlatformAccount.DoesNotExist.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    with transaction.atomic():
        # One at a time an account: two bills may arrive at once.
        sql.first(
            "SELECT id FROM platforms_platformaccount WHERE merchant_id = %s AND id = %s FOR NO KEY UPDATE",
            [current_merchant_id(), account_id],
        )
        terms = terms_of([account])[account_id]
        if terms.since is not None:
            first = max(first, terms.since)
        there = {
            (row.basis, row.day, row.key): row
            for row in Settlement.objects.select_for_update()
            .filter(account_id=account_id, day__gte=first, day__lte=last)
            .order_by("pk")
        }
        changed = _compute(account, terms, there, first=first, last=last, now=now)
        if terms.since is not None:
            changed += _void(
                Settlement.objects.filter(account_id=account_id, day__lt=terms.since), now=now
            )
    return changed


def _find(
    account: PlatformAccount, terms: SettlementTerms, *, first: date, last: date
) -> list[_Found]:
    statement = _BY_BILL if terms.basis == SettlementBasis.BILL else _BY_WITHDRAWAL
    values = {
        "merchant": current_merchant_id(),
        "account": account.pk,
        "first": first,
        "last": last,
        "cutoff": terms.cutoff,
        "wallet": account.platform,
        **fee_book(account).values(),
    }
    return [_Found(*row) for row in sql.every(statement, values)]


def _compute(
    account: PlatformAccount,
    terms: SettlementTerms,
    there: dict[tuple[str, date, str], Settlement],
    *,
    first: date,
    last: date,
    now: datetime,
) -> list[Settlement]:
    exceptions = workday_exceptions()
    made: list[Settlement] = []
    changed: list[Settlement] = []
    found = _find(account, terms, first=first, last=last)
    for one in found:
        cycle_days, working_days = cycle_on(terms, one.day)
        facts = {
            "payment_count": one.payment_count,
            "payment_minor": one.payment_minor,
            "refund_count": one.refund_count,
            "refund_minor": one.refund_minor,
            "fee_minor": one.fee_minor,
            "net_minor": one.net(terms),
            "due_date": due_date(
                one.day,
                cycle_days=cycle_days,
                working_days=working_days,
                exceptions=exceptions,
            ),
            "is_void": False,
        }
        row = there.pop((terms.basis, one.day, one.key), None)
        if row is None:
            made.append(
                Settlement(
                    account=account,
                    basis=terms.basis,
                    day=one.day,
                    key=one.key,
                    statement_id=one.statement_id,
                    fees_estimated=one.fees_estimated,
                    computed_at=now,
                    **facts,
                )
            )
        elif any(getattr(row, name) != value for name, value in facts.items()):
            for name, value in facts.items():
                setattr(row, name, value)
            row.version += 1
            row.statement_id, row.fees_estimated, row.computed_at = (
                one.statement_id,
                one.fees_estimated,
                now,
            )
            changed.append(row)
    Settlement.objects.bulk_create(made)
    Settlement.objects.bulk_update(
        changed, ["version", "statement", "fees_estimated", "computed_at", *_FACTS]
    )
    _keep_versions([*made, *changed])
    gone = Settlement.objects.filter(pk__in=[row.pk for row in there.values()])
    return [*made, *changed, *_void(gone, now=now)]


def _keep_versions(rows: Iterable[Settlement]) -> None:
    SettlementVersion.objects.bulk_create(
        SettlementVersion(
            settlement=row,
            version=row.version,
            statement_id=row.statement_id,
            payment_minor=row.payment_minor,
            refund_minor=row.refund_minor,
            fee_minor=row.fee_minor,
            net_minor=row.net_minor,
            due_date=row.due_date,
            computed_at=row.computed_at,
        )
        for row in rows
    )


def _void(rows: Iterable[Settlement], *, now: datetime) -> list[Settlement]:
    gone = [row for row in rows if row.payout_id is None and not row.is_void]
    for row in gone:
        row.is_void, row.computed_at = True, now
    Settlement.objects.bulk_update(gone, ["is_void", "computed_at"])
    return gone


@transaction.atomic
def set_terms(
    *,
    account_id: int,
    basis: str,
    cycle_days: int,
    working_days: bool,
    cutoff: time | None,
    minimum_minor: int,
    fees_deducted: bool,
    bank_words: str,
    window_days: int,
    since: date | None,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> SettlementTerms:
    """Follow the account's payouts by these terms from now on; what was not paid out yet is computed again.

    Raises PlatformAccount.DoesNotExist; IntegrityError for figures outside the table's bounds.
    """
    account = PlatformAccount.objects.get(pk=account_id)
    values = {
        "basis": basis,
        "cycle_days": cycle_days,
        "working_days": working_days,
        "cutoff": cutoff,
        "minimum_minor": minimum_minor,
        "fees_deducted": fees_deducted,
        "bank_words": bank_words,
        "window_days": window_days,
        "since": since,
    }
    terms, _made = SettlementTerms.objects.update_or_create(
        merchant_id=current_merchant_id(),
        account_id=account_id,
        defaults={**values, "updated_at": now, "updated_by": member},
    )
    audit.record(
        action="settlement.terms",
        subject_kind="account",
        subject_id=account_id,
        actor=actor,
        at=now,
        data={
            "account": account.label,
            **values,
            "cutoff": cutoff.isoformat() if cutoff else None,
            "since": since.isoformat() if since else None,
        },
    )
    settle(account_id=account_id, now=now)
    ask_to_match(now=now)
    return terms


@transaction.atomic
def set_workday(
    *, day: date, is_working: bool | None, name: str, actor: Actor, now: datetime
) -> None:
    """Say that banks work or rest on a day; None takes back what was said. Due dates of what is open follow."""
    rows = WorkdayException.objects.filter(day=day)
    if is_working is None:
        rows.delete()
    else:
        WorkdayException.objects.update_or_create(
            merchant_id=current_merchant_id(),
            day=day,
            defaults={"is_working": is_working, "name": name[:40]},
        )
    audit.record(
        action="workday.changed",
        subject_kind="merchant",
        subject_id=current_merchant_id(),
        actor=actor,
        at=now,
        data={"day": day.isoformat(), "is_working": is_working, "name": name[:40]},
    )
    for account_id in PlatformAccount.objects.order_by("pk").values_list("pk", flat=True):
        settle(account_id=account_id, first=day - timedelta(days=90), last=day, now=now)
        ask_to_match(now=now)


@transaction.atomic
def hold_settlement(
    *, settlement_id: int, note: str, member: User, actor: Actor, now: datetime
) -> Settlement:
    """Say why a settlement is not expected for now; an empty note expects it again. Raises Settlement.DoesNotExist."""
    row: Settlement = Settlement.objects.select_for_update().get(pk=settlement_id)
    row.held_note = note.strip()[:200]
    row.held_at = now if row.held_note else None
    row.held_by = member if row.held_note else None
    row.save(update_fields=["held_note", "held_at", "held_by"])
    audit.record(
        action="settlement.held" if row.held_note else "settlement.expected",
        subject_kind="settlement",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={"day": row.day.isoformat(), "net_minor": row.net_minor, "note": row.held_note},
    )
    return row
