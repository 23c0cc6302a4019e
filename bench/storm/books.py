"""Whether our books equal the platforms': every payment, every refund, every fen, every journal entry."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Count, Sum

from apps.ledger.models import JournalEntry, Posting, Purpose
from apps.operations.books import verify
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.platforms.models import Notification, NotificationState, PlatformAccount, Verdict
from apps.refunds.models import UNDER_WAY, Refund, RefundState


@dataclass
class Comparison:
    """What was compared, and the first differences of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def differ(self, what: str, rows: Iterable[object]) -> None:
        """Note rows that should not be there."""
        found = list(rows)
        if found:
            self.wrong.append(f"{what}: {len(found)}, such as {found[:3]}")

    def equal(self, what: str, ours: object, theirs: object) -> None:
        """Note two values that should be the same."""
        if ours != theirs:
            self.wrong.append(f"{what}: ours {ours}, theirs {theirs}")


def still_open() -> dict[str, int]:
    """What the scope's merchant still waits for; zeros when all is settled."""
    return {
        "payments": Payment.objects.filter(state__in=OPEN_STATES).count(),
        "orders": Order.objects.filter(state=OrderState.OPEN).count(),
        "refunds": Refund.objects.filter(state__in=UNDER_WAY).count(),
        "second payments": Payment.objects.filter(
            pk__in=seconds(), refund_reserved_minor=0
        ).count(),
    }


def seconds() -> list[int]:
    """Payments of orders that were paid more than once, all but the first one of each."""
    often = (
        Payment.objects.filter(state=PaymentState.SUCCEEDED)
        .values("order_id")
        .annotate(times=Count("pk"))
        .filter(times__gt=1)
        .values("order_id")
    )
    posted = dict(JournalEntry.objects.filter(kind="payment").values_list("subject_id", "pk"))
    by_order: dict[int, list[int]] = defaultdict(list)
    for pk, order_id in Payment.objects.filter(
        state=PaymentState.SUCCEEDED, order_id__in=often
    ).values_list("pk", "order_id"):
        by_order[order_id].append(pk)
    # The one posted first paid the order; the others came on top.
    return [
        pk for found in by_order.values() for pk in sorted(found, key=lambda one: posted[one])[1:]
    ]


def compare(books: dict[int, dict[str, Any]], *, forged: set[str]) -> Comparison:
    """Ours against ``books``, the simulator's of each account id. Call it inside the merchant's scope."""
    result = Comparison()
    for account in PlatformAccount.objects.order_by("pk"):
        _compare_account(result, account, books[account.pk])
    _check_journal(result)
    _check_seconds(result)
    _check_notices(result, forged)
    for finding in verify():
        result.wrong.append(f"verify_books: {finding.check} {finding.row}")
    return result


def _compare_account(result: Comparison, account: PlatformAccount, theirs: dict[str, Any]) -> None:
    name = account.platform
    ours = {payment.order_no: payment for payment in Payment.objects.filter(account_id=account.pk)}
    paid = {no: one for no, one in ours.items() if one.state == PaymentState.SUCCEEDED}
    undone = _undone(theirs, {no for no, one in ours.items() if one.state == PaymentState.CLOSED})
    result.counts["reversed after they were paid"] += len(undone)
    theirs = {
        part: [row for row in theirs[part] if row["out_trade_no"] not in undone]
        for part in ("payments", "refunds")
    }
    there = {row["out_trade_no"]: row for row in theirs["payments"]}
    result.counts[f"{name} payments"] = len(paid)
    result.counts["payments"] += len(paid)
    result.differ(f"{name}: paid here, not there", paid.keys() - there.keys())
    result.differ(f"{name}: paid there, not here", there.keys() - paid.keys())
    for order_no in paid.keys() & there.keys():
        payment, row = paid[order_no], there[order_no]
        facts = (payment.amount_minor, payment.platform_trade_no)
        result.equal(f"{name} {order_no}", facts, (row["amount_fen"], row["trade_no"]))
    refunds = Refund.objects.filter(account_id=account.pk).select_related("payment")
    done = [refund for refund in refunds if refund.state == RefundState.SUCCEEDED]
    back_here = Counter((one.payment.order_no, one.amount_minor) for one in done)
    back_there = Counter(
        (row["out_trade_no"], row["amount_fen"])
        for row in theirs["refunds"]
        if row["state"] == "SUCCESS"
    )
    result.counts[f"{name} refunds"] = len(done)
    result.counts["refunds"] += len(done)
    result.differ(f"{name}: refunded here, not there", (back_here - back_there).elements())
    result.differ(f"{name}: refunded there, not here", (back_there - back_here).elements())
    gross = sum(payment.amount_minor for payment in paid.values())
    fees = sum(payment.fee_minor for payment in paid.values())
    given = sum(refund.amount_minor for refund in done)
    fees_back = sum(refund.fee_minor for refund in done)
    result.counts["fen paid"] += gross
    result.counts["fen refunded"] += given
    result.equal(f"{name}: fen paid", gross, sum(row["amount_fen"] for row in theirs["payments"]))
    result.equal(f"{name}: fees, in fen", fees, sum(row["fee_fen"] for row in theirs["payments"]))
    held = Posting.objects.filter(
        account__purpose=Purpose.RECEIVABLE, account__subject_id=account.pk
    ).aggregate(total=Sum("amount_minor"))["total"]
    result.equal(f"{name}: the ledger's receivable", held or 0, gross - fees - given + fees_back)


def _undone(theirs: dict[str, Any], closed: set[str]) -> set[str]:
    """The numbers of payments that a reversal undid: the platforms' books have them as paid and given back whole.

    Here they were never paid: nobody knew of it until the reversal, which is what the cashier was told. Shouqianba names such a
    refund by its own number of the payment, the others by ours.
    """
    paid = {row["out_trade_no"]: row for row in theirs["payments"]}
    return {
        number
        for row in theirs["refunds"]
        if (number := row["out_trade_no"]) in closed & paid.keys()
        and row["out_refund_no"].startswith(
            (f"reversal_{number}", f"cancel_{number}", f"cancel_{paid[number]['trade_no']}")
        )
        and row["state"] == "SUCCESS"
        and row["amount_fen"] == paid[number]["amount_fen"]
    }


def _check_journal(result: Comparison) -> None:
    entries = JournalEntry.objects.values("kind", "subject_kind", "subject_id")
    result.differ("applied twice", entries.annotate(times=Count("pk")).filter(times__gt=1))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT entry_id FROM ledger_posting GROUP BY entry_id HAVING sum(amount_minor) <> 0"
        )
        result.differ("entries that do not balance", cursor.fetchall())
    result.counts["journal entries"] = JournalEntry.objects.count()


def _check_seconds(result: Comparison) -> None:
    """Every payment on top of the first went back whole, once, by itself."""
    for payment in Payment.objects.filter(pk__in=seconds()):
        back = Refund.objects.filter(payment=payment, is_automatic=True)
        # What the platform refused was asked for again, and moved nothing.
        facts = sorted(back.exclude(state=RefundState.FAILED).values_list("amount_minor", "state"))
        others = Refund.objects.filter(payment=payment, is_automatic=False).exists()
        result.counts["paid twice"] += 1
        if not others:
            result.equal(
                f"second payment {payment.order_no}",
                facts,
                [(payment.amount_minor, RefundState.SUCCEEDED)],
            )


def _check_notices(result: Comparison, forged: set[str]) -> None:
    rows = Notification.objects.all()
    for state, count in rows.values_list("state").annotate(times=Count("pk")):
        result.counts[f"notices {state}"] = count
    bad = rows.filter(verdict=Verdict.BAD_SIGNATURE)
    result.counts["forged notices"] = bad.count()
    result.differ(
        "forged notices with an effect",
        bad.exclude(state=NotificationState.REFUSED).values_list("pk", flat=True),
    )
    result.counts["orders that a forger named"] = len(forged)
