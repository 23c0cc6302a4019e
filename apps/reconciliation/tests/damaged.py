"""Days with faults in known numbers: ours in the books, a bill of any platform, and what matching must find.

For tests and benchmarks. ``damaged_day`` plans a day, ``put_books`` writes ours by COPY, ``bill_file`` writes the bill as the
platform writes it. Amounts of what has no common number are kept apart, so that only what is meant to be inferred is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import connection

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.platforms.gateway import LineKind, StatementLine
from apps.platforms.models import PlatformAccount
from apps.platforms.tables import write
from apps.platforms.tests.unionpay_bills import SAMPLE, file, record
from apps.reconciliation.carrying import RULES
from apps.statements.selectors import bill_period
from apps.statements.tests.bills import Row, alipay_bill, wechat_bill

RATE_PPM = 6000


@dataclass(kw_only=True, slots=True)
class Ours:
    """A payment or refund of ours. ``order``: those with the same number share an order."""

    number: str
    trade_no: str
    minor: int
    fee: int
    at: datetime
    state: str = "succeeded"
    #: Of a refund the number of its payment.
    payment: str = ""
    order: str = ""
    other_account: bool = False


@dataclass
class Day:
    """A planned day. ``expected`` counts bill rows, and ours without a bill row, by where they end."""

    day: date
    ours: list[Ours] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    #: The bill of the next day.
    next_rows: list[Row] = field(default_factory=list)
    expected: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    #: Numbers of rows whose currency is to be changed after the import.
    foreign: list[str] = field(default_factory=list)
    inferred_rows: int = 0

    def net_minor(self) -> int:
        """The bill's payments − refunds − fees, in fen."""
        return sum(
            (row.minor if row.kind == "payment" else -row.minor) - row.fee for row in self.rows
        )


def fee_of(minor: int) -> int:
    """By the account's rate, rounded half up."""
    return Money(minor).share(rate_ppm=RATE_PPM).minor


class _Plan:
    def __init__(self, platform: str, day: date, *, rows: int, seed: int) -> None:
        self.platform = platform
        self.made = Day(day)
        self.from_at, self.until = bill_period(platform, day)
        self.rows = rows
        self.numbers = random.Random(seed)
        self.place = seed * 100_000_000
        self.apart = 1_000_000

    # ------------------------------------------------------------ pieces
    def number(self, letter: str) -> str:
        self.place += 1
        return f"{letter}{self.place:024d}"

    def trade_no(self) -> str:
        self.place += 1
        return f"42{self.place:019d}"

    def unlike(self) -> int:
        """An amount that nothing else has."""
        self.apart += 11
        return self.apart

    def within(self) -> datetime:
        """Some time of the day that is not close to its ends, in whole seconds."""
        return self.from_at + timedelta(seconds=self.numbers.randrange(2 * 3600, 22 * 3600))

    def last_minutes(self) -> datetime:
        return self.until - timedelta(seconds=self.numbers.randrange(1, 600))

    def pay(self, minor: int | None = None, **facts: object) -> Ours:
        amount = minor if minor is not None else self.numbers.randrange(200, 50_000)
        made = Ours(
            number=self.number("P"),
            trade_no=self.trade_no(),
            minor=amount,
            fee=fee_of(amount),
            at=self.within(),
        )
        for name, value in facts.items():
            setattr(made, name, value)
        self.made.ours.append(made)
        return made

    def refund(self, payment: Ours, minor: int, **facts: object) -> Ours:
        made = Ours(
            number=self.number("R"),
            trade_no=self.trade_no(),
            minor=minor,
            fee=fee_of(minor),
            at=payment.at + timedelta(minutes=30),
            payment=payment.number,
            other_account=payment.other_account,
        )
        for name, value in facts.items():
            setattr(made, name, value)
        self.made.ours.append(made)
        return made

    def row(self, ours: Ours, payment: Ours | None = None) -> Row:
        if payment is None:
            return Row(
                order_no=ours.number,
                trade_no=ours.trade_no,
                minor=ours.minor,
                fee=ours.fee,
                at=ours.at,
            )
        # Only WeChat and UnionPay tell a number of their own for a refund.
        return Row(
            kind="refund",
            order_no=payment.number,
            trade_no=payment.trade_no,
            minor=ours.minor,
            fee=-ours.fee,
            at=ours.at,
            refund_no=ours.number,
            platform_refund_no=ours.trade_no,
        )

    def stranger(self, minor: int | None = None) -> Row:
        amount = minor if minor is not None else self.unlike()
        return Row(
            order_no=self.number("X"),
            trade_no=self.trade_no(),
            minor=amount,
            fee=fee_of(amount),
            at=self.within(),
        )

    def bill(self, place: str, *rows: Row) -> None:
        self.made.rows += rows
        self.made.expected[place] += len(rows)

    def absent(self, place: str) -> None:
        self.made.expected[place] += 1

    # ------------------------------------------------------------ faults
    def missing_here(self) -> None:
        self.bill("missing_here", self.stranger())

    def missing_there(self) -> None:
        self.pay(self.unlike())
        self.absent("missing_there")

    def amount(self) -> None:
        self.bill("amount", _but(self.row(self.pay()), minor=1))

    def status(self) -> None:
        self.bill("status", self.row(self.pay(state="closed")))

    def fee(self) -> None:
        self.bill("fee", _but(self.row(self.pay()), fee=3))

    def rounding(self) -> None:
        """The account's platform rounds down: 0.6 % of ¥1.50 is 0.9 fen."""
        self.bill("fee", _but(self.row(self.pay(150)), fee=-1))

    def duplicate(self) -> None:
        row = self.row(self.pay())
        self.bill("matched", row)
        self.bill("duplicate", row)

    def unknown_refund(self) -> None:
        payment = self.pay(self.unlike())
        self.bill("matched", self.row(payment))
        refund = Ours(
            number=self.number("Y"),
            trade_no=self.trade_no(),
            minor=self.unlike() // 10,
            fee=1,
            at=payment.at,
        )
        self.bill("unknown_refund", self.row(refund, payment))

    def currency(self) -> None:
        payment = self.pay()
        self.made.foreign.append(payment.number)
        self.bill("currency", self.row(payment))

    def wrong_account(self) -> None:
        self.bill("wrong_account", self.row(self.pay(self.unlike(), other_account=True)))

    def expected(self) -> None:
        self.pay(self.unlike(), at=self.last_minutes())
        self.absent("expected")

    def carry_in(self) -> None:
        payment = self.pay(at=self.from_at - timedelta(seconds=self.numbers.randrange(1, 600)))
        self.bill("carry_in", _at(self.row(payment), self.from_at + timedelta(seconds=1)))

    def carry_out(self) -> None:
        payment = self.pay(at=self.last_minutes())
        self.made.next_rows.append(_at(self.row(payment), self.until + timedelta(seconds=1)))
        self.absent("carry_out")

    def refund_absent(self) -> None:
        payment = self.pay(self.unlike())
        self.bill("matched", self.row(payment))
        self.refund(payment, payment.minor // 2)
        # Some platforms bill a refund only when it is done.
        slips = RULES[self.platform].refunds_slip >= timedelta(days=1)  # type: ignore[index]  # a Platform is its text
        self.absent("expected" if slips else "missing_there")

    def refund_amount(self) -> None:
        payment = self.pay()
        refund = self.refund(payment, payment.minor // 2)
        self.bill("matched", self.row(payment))
        self.bill("amount", _but(self.row(refund, payment), minor=2))

    def refund_failed(self) -> None:
        payment = self.pay()
        refund = self.refund(payment, payment.minor // 2, state="failed")
        self.bill("matched", self.row(payment))
        self.bill("status", self.row(refund, payment))

    def refund_twice(self) -> None:
        payment = self.pay()
        row = self.row(self.refund(payment, payment.minor // 2), payment)
        self.bill("matched", self.row(payment), row)
        self.bill("duplicate", row)

    # ------------------------------------------------------------ what looks odd and is in order
    def split(self) -> None:
        """One payment in two rows of the bill, such as a card and a coupon."""
        row = self.row(self.pay())
        first, fee = row.minor // 3, row.fee // 2
        self.bill(
            "matched",
            row.but(minor=first, fee=fee),
            row.but(minor=row.minor - first, fee=row.fee - fee),
        )

    def inferred(self) -> None:
        """The bill knows it under numbers of its own only."""
        payment = self.pay(self.unlike())
        self.made.inferred_rows += 1
        self.bill("matched", _at(self.stranger(payment.minor), payment.at + timedelta(seconds=40)))

    def ambiguous(self) -> None:
        """Two of ours could be the row: none is taken."""
        payment = self.pay(self.unlike())
        self.pay(payment.minor, at=payment.at + timedelta(seconds=20))
        self.absent("missing_there")
        self.absent("missing_there")
        self.bill("missing_here", _at(self.stranger(payment.minor), payment.at))

    def merged(self) -> None:
        """Two payments of one order in one row of the bill."""
        order = self.number("O")
        one = self.pay(self.unlike(), order=order)
        two = self.pay(self.unlike() + 3, order=order, at=one.at + timedelta(seconds=30))
        self.made.inferred_rows += 1
        row = _at(self.stranger(one.minor + two.minor), one.at)
        self.bill("matched", row.but(fee=one.fee + two.fee))

    def refunds_merged(self) -> None:
        """Two refunds of one payment in one row that tells only the payment's number."""
        payment = self.pay()
        one = self.refund(payment, payment.minor // 4)
        two = self.refund(payment, payment.minor // 3)
        row = self.row(one, payment).but(refund_no="", platform_refund_no="")
        self.made.inferred_rows += 1
        self.bill(
            "matched",
            self.row(payment),
            row.but(minor=one.minor + two.minor, fee=-one.fee - two.fee),
        )

    def good(self) -> None:
        self.bill("matched", self.row(self.pay()))

    def good_refund(self) -> None:
        payment = self.pay()
        refund = self.refund(payment, payment.minor // 2)
        self.bill("matched", self.row(payment), self.row(refund, payment))


FAULTS = (
    "missing_here", "missing_there", "amount", "status", "fee", "rounding", "duplicate", "unknown_refund", "currency",
    "wrong_account", "expected", "carry_in", "carry_out", "refund_absent", "refund_amount", "refund_failed", "refund_twice",
)  # fmt: skip
ODD = ("split", "inferred", "ambiguous", "merged", "refunds_merged")


def damaged_day(platform: str, day: date, *, rows: int, seed: int = 1) -> Day:
    """A day of about ``rows`` bill rows; each kind of fault comes in a number of its own, about a twentieth of all rows."""
    plan = _Plan(platform, day, rows=rows, seed=seed)
    kinds = [*FAULTS, *ODD]
    if platform == "unionpay":
        # Its rows always have a number.
        kinds.remove("refunds_merged")
    least = rows // 20 // len(kinds)
    for extra, kind in enumerate(kinds):
        for _ in range(max(1, least) + extra % 5):
            getattr(plan, kind)()
            plan.made.injected[kind] += 1
    while len(plan.made.rows) < rows:
        plan.good_refund() if plan.numbers.random() < 0.1 else plan.good()
    plan.numbers.shuffle(plan.made.rows)
    return plan.made


def _but(row: Row, *, minor: int = 0, fee: int = 0) -> Row:
    return row.but(minor=row.minor + minor, fee=row.fee + fee)


def _at(row: Row, at: datetime) -> Row:
    return row.but(at=at)


# ---------------------------------------------------------------- the books
_STAGE = """
CREATE TEMPORARY TABLE staged_ours (
    place int, number text, trade_no text, minor bigint, fee bigint, at timestamptz, state text, payment text,
    order_key text, account bigint
) ON COMMIT DROP
"""
_ORDERS = """
INSERT INTO payments_order (merchant_id, store_id, token, amount_minor, currency, subject, note, state, source, created_at,
                            expires_at, paid_at)
SELECT %(merchant)s, %(store)s, left(order_key, 1) || right(order_key, 20), sum(minor), 'CNY', '咖啡', '', 'paid', 'portal',
       min(at), min(at) + interval '15 minutes', min(at)
FROM staged_ours WHERE payment = '' GROUP BY order_key ORDER BY min(place)
"""
_PAYMENTS = """
INSERT INTO payments_payment (merchant_id, order_id, store_id, account_id, platform, wallet, product, order_no,
    platform_trade_no, amount_minor, currency, fee_minor, refund_reserved_minor, refunded_minor, state, source, payer_hash,
    payer_masked, handover, code_text, message, created_at, expires_at, payable_until, paid_at, booked_date, poll_count)
SELECT %(merchant)s, o.id, %(store)s, s.account, %(platform)s, %(platform)s, 'dynamic_qr', s.number, s.trade_no, s.minor,
       'CNY', CASE s.state WHEN 'succeeded' THEN s.fee ELSE 0 END, 0, 0, s.state, 'portal', '', '', '{}', '', '', s.at,
       s.at + interval '15 minutes', s.at + interval '15 minutes', CASE s.state WHEN 'succeeded' THEN s.at END,
       CASE s.state WHEN 'succeeded' THEN (s.at AT TIME ZONE 'Asia/Shanghai')::date END, 0
FROM staged_ours s
JOIN payments_order o ON o.merchant_id = %(merchant)s AND o.token = left(order_key, 1) || right(order_key, 20)
WHERE s.payment = '' ORDER BY s.place
"""
_REFUNDS = """
INSERT INTO refunds_refund (merchant_id, payment_id, store_id, account_id, refund_no, platform_refund_no, amount_minor,
    currency, fee_minor, reason, state, is_automatic, source, weighed_minor, code_text, message, created_at, accepted_at,
    refunded_at, booked_date, poll_count)
SELECT %(merchant)s, p.id, %(store)s, s.account, s.number, s.trade_no, s.minor, 'CNY', s.fee, '凉了', s.state, false,
       'portal', 0, '', '', s.at, s.at, s.at, (s.at AT TIME ZONE 'Asia/Shanghai')::date, 0
FROM staged_ours s JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.order_no = s.payment
WHERE s.payment <> '' ORDER BY s.place
"""


def put_books(
    ours: Iterable[Ours], *, account: PlatformAccount, other: PlatformAccount, store_id: int
) -> None:
    """Write ours: orders, payments and refunds without their journal. Call it within a transaction."""
    values: dict[str, int | str] = {
        "merchant": account.merchant_id,
        "store": store_id,
        "platform": account.platform,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy("COPY staged_ours FROM STDIN") as copy:
            for place, one in enumerate(ours):
                copy.write_row(
                    (
                        place, one.number, one.trade_no, one.minor, one.fee, one.at, one.state, one.payment,
                        one.order or f"O{one.number[1:]}", other.pk if one.other_account else account.pk,
                    )
                )  # fmt: skip
        cursor.execute("ANALYZE staged_ours")
        for statement in (_ORDERS, _PAYMENTS, _REFUNDS):
            cursor.execute(statement, values)
        cursor.execute("DROP TABLE staged_ours")


# ---------------------------------------------------------------- the bill
def bill_file(platform: str, rows: list[Row], *, day: date, merchant_no: str) -> bytes:
    """The bill as the platform writes it; Shouqianba's is a console export in the portal's own columns."""
    if platform == "wechatpay":
        return wechat_bill(rows, merchant_no=merchant_no)
    if platform == "alipay":
        return alipay_bill(rows, day=day, merchant_no=merchant_no)
    if platform == "unionpay":
        return file(*_unionpay(rows)) if rows else b""
    return write(_console(rows))


def _unionpay(rows: Iterable[Row]) -> Iterator[bytes]:
    # A refund names its payment by the platform's number alone, so that the payment must stand before it.
    for row in sorted(rows, key=lambda row: row.kind):
        common = {
            "at35": f"{row.at.astimezone(CHINA):%m%d%H%M%S}",
            "at66": f"{row.minor:012d}",
        }
        if row.kind == "refund":
            net = f"D{row.minor + row.fee:012d}"
            yield record(
                SAMPLE[2], **common, at87=row.platform_refund_no, at112=f"{row.refund_no:32}",
                at166=f"C{-row.fee:012d}", at180=net, at374=net, at271=row.trade_no,
            )  # fmt: skip
        else:
            net = f"C{row.minor - row.fee:012d}"
            yield record(
                SAMPLE[0], **common, at87=row.trade_no, at112=f"{row.order_no:32}", at166=f"D{row.fee:012d}",
                at180=net, at374=net,
            )  # fmt: skip


def _console(rows: Iterable[Row]) -> Iterator[StatementLine]:
    for row in rows:
        yield StatementLine(
            kind=LineKind.REFUND if row.kind == "refund" else LineKind.PAYMENT,
            row=0,
            order_no=row.order_no,
            refund_no=row.refund_no,
            platform_trade_no=row.trade_no,
            platform_refund_no=row.platform_refund_no,
            amount=Money(row.minor),
            fee=Money(row.fee),
            occurred_at=row.at,
        )
