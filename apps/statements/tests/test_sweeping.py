"""Bills by asking: what the platform answers about our own numbers, applied and written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection, connections, transaction
from django.utils import translation

from apps.core import outbox, tasks
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tenancy import current_scope, enter_scope
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.services import apply_payment_result, prepare_payment
from apps.payments.tests.factories import PAYER, make_account, make_order, paid_result
from apps.platforms import registry
from apps.platforms.gateway import (
    Capability,
    Outcome,
    PaymentRef,
    PaymentResult,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RefundResult,
    StatementKind,
)
from apps.platforms.models import AccountPace, PlatformAccount
from apps.platforms.services.pacing import THRESHOLD
from apps.platforms.tests.fakes import FakeGateway
from apps.refunds.models import Refund, RefundState
from apps.refunds.services import request_refund
from apps.statements import services
from apps.statements.models import (
    FetchState,
    Statement,
    StatementDay,
    StatementLine,
    SweptAnswer,
)
from apps.statements.services import StatementRefused, fetching
from apps.statements.services.sweeping import TRIES, Share
from apps.statements.tests.test_import import ACTOR
from apps.statements.wording import detail_words

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
#: Forty minutes after midnight in China.
NIGHT = MIDNIGHT + timedelta(minutes=40)


class Aggregator(FakeGateway):
    """A platform without bills, as Shouqianba."""

    platform: ClassVar[Platform] = Platform.SHOUQIANBA
    capabilities: ClassVar[frozenset[Capability]] = FakeGateway.capabilities - {
        Capability.TRADE_STATEMENT,
        Capability.FUND_STATEMENT,
    } | {Capability.AGGREGATES}
    #: Numbers about which it says nothing.
    silent: frozenset[str] = frozenset()

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        """As every fake, unless it stays silent."""
        result = await super().query_payment_async(ref)
        if ref.order_no in self.silent:
            raise PlatformUnavailable("silent", code="timeout")
        return result


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Aggregator:
    fake = Aggregator()

    def gateway_for(**_how: object) -> PlatformGateway:
        return fake

    monkeypatch.setitem(registry.CONNECTORS, Platform.SHOUQIANBA, Aggregator)
    monkeypatch.setattr(registry, "gateway_for", gateway_for)
    return fake


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop, platform="shouqianba", merchant_no="1680001234567890")


def make_payment(
    shop: Shop, account: PlatformAccount, *, minor: int = 10_000, now: datetime = NOON
) -> Payment:
    """An attempt with a wallet, which an aggregator must be told."""
    order = make_order(shop, minor=minor, now=now)
    return prepare_payment(
        order_id=order.pk, account_id=account.pk, product=Product.DYNAMIC_QR, wallet="wechatpay", now=now, actor=PAYER,
    )  # fmt: skip


def make_paid(
    shop: Shop, account: PlatformAccount, *, minor: int = 10_000, now: datetime = NOON
) -> Payment:
    """A payment that succeeded at ``now``."""
    payment = make_payment(shop, account, minor=minor, now=now)
    apply_payment_result(
        payment_id=payment.pk, result=paid_result(payment, at=now), via="notification", now=now, actor=ACTOR
    )  # fmt: skip
    payment.refresh_from_db()
    return payment


def known(platform: Aggregator, payment: Payment, *, at: datetime = NOON) -> PaymentResult:
    """The platform has this payment as paid."""
    result = paid_result(payment, at=at, trade_no=payment.platform_trade_no)
    platform.add_payment(result)
    return result


def refund_of(
    shop: Shop, platform: Aggregator, payment: Payment, minor: int, *, outcome: Outcome = Outcome.SUCCEEDED
) -> Refund:  # fmt: skip
    """A refund that was sent, and what the platform says of it."""
    refund = request_refund(
        payment_id=payment.pk, amount=Money(minor), reason="凉了", member=shop["owner"], actor=ACTOR, now=NOON,
    )  # fmt: skip
    Refund.objects.filter(pk=refund.pk).update(state=RefundState.UNKNOWN, sent_at=NOON)
    platform.refunds[refund.refund_no] = RefundResult(
        outcome=outcome,
        order_no=payment.order_no,
        refund_no=refund.refund_no,
        platform_refund_no=f"T{refund.refund_no}",
        amount=Money(minor),
        refunded_at=NOON if outcome is Outcome.SUCCEEDED else None,
    )
    return refund


def sweep(account: PlatformAccount, *, now: datetime = NIGHT) -> datetime | None:
    day = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)
    return services.fetch_statement(day_id=day.pk, now=now)


def rows() -> list[tuple[str, str, str, int, int | None]]:
    found = StatementLine.objects.filter(statement__is_current=True).order_by("row")
    return list(found.values_list("kind", "order_no", "refund_no", "amount_minor", "fee_minor"))


def test_a_day_is_asked_about_and_written_down(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    one = make_paid(shop, account, minor=10_000, now=NOON)
    lost = make_payment(shop, account, minor=2500, now=NOON + timedelta(minutes=5))
    never = make_payment(shop, account, minor=700, now=NOON)
    before = make_paid(shop, account, minor=400, now=NOON - timedelta(days=1))
    known(platform, one)
    known(platform, lost, at=NOON + timedelta(minutes=6))
    known(platform, before, at=NOON - timedelta(days=1))
    back = refund_of(shop, platform, one, 3000)
    assert sweep(account) is None
    # The surprises are in the books now, and in their ledger.
    lost.refresh_from_db()
    back.refresh_from_db()
    never.refresh_from_db()
    assert (lost.state, back.state) == (PaymentState.SUCCEEDED, RefundState.SUCCEEDED)
    assert never.state == PaymentState.CREATED
    assert rows() == [
        ("payment", one.order_no, "", 10_000, None),
        ("refund", one.order_no, back.refund_no, 3000, None),
        ("payment", lost.order_no, "", 2500, None),
    ]
    bill = Statement.objects.get()
    assert (bill.is_asked, bill.fees_known, bill.fee_minor, bill.uploaded_by) == (
        True,
        False,
        0,
        None,
    )
    assert (bill.payment_count, bill.refund_count) == (2, 1)
    assert bill.filename == "1680001234567890_20261123_asked.csv"
    assert StatementDay.objects.get().state == FetchState.IMPORTED
    assert {row.task for row in Due.objects.filter(task__startswith="reconciliation")} == {"reconciliation.run"}  # fmt: skip
    # What was paid on another day was not even asked about.
    assert platform.count("query_payment_async") == 3
    # Once more: nothing is new.
    assert sweep(account) is None
    assert Statement.objects.count() == 1


def test_by_the_clock_and_the_task(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    PlatformAccount.objects.update(created_at=NOON)
    known(platform, make_paid(shop, account, now=NOON))
    assert services.plan_yesterday(now=NIGHT - timedelta(minutes=1)) == 0
    assert services.plan_yesterday(now=NIGHT) == 1
    assert tasks.drain(now=NIGHT, task="statements.sweep") == 1
    assert Statement.objects.get().is_asked
    assert not Due.objects.filter(task="statements.sweep").exists()


def test_a_day_without_payments_is_an_empty_file(
    account: PlatformAccount, platform: Aggregator
) -> None:
    assert sweep(account) is None
    bill = Statement.objects.get()
    assert (bill.payment_count, bill.is_asked, bill.fees_known) == (0, True, True)


def test_midnight_belongs_to_the_next_day(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    last = make_paid(shop, account, now=MIDNIGHT - timedelta(seconds=1))
    first = make_paid(shop, account, now=MIDNIGHT)
    crossing = make_payment(shop, account, now=MIDNIGHT - timedelta(minutes=5))
    known(platform, last, at=MIDNIGHT - timedelta(seconds=1))
    known(platform, first, at=MIDNIGHT)
    known(platform, crossing, at=MIDNIGHT + timedelta(seconds=3))
    sweep(account)
    assert [row[1] for row in rows()] == [last.order_no]
    # What was found on the way counts all the same, on its own day.
    crossing.refresh_from_db()
    assert crossing.state == PaymentState.SUCCEEDED


def test_an_amount_that_differs_is_written_as_the_platform_says(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    one = make_paid(shop, account, minor=10_000, now=NOON)
    result = known(platform, one)
    platform.payments[one.order_no] = PaymentResult(
        outcome=Outcome.SUCCEEDED, order_no=one.order_no, amount=Money(9999), paid_at=NOON,
        platform_trade_no=result.platform_trade_no,
    )  # fmt: skip
    sweep(account)
    assert rows() == [("payment", one.order_no, "", 9999, None)]
    one.refresh_from_db()
    assert (one.amount_minor, one.state) == (10_000, PaymentState.SUCCEEDED)


def test_accepted_refunds_count_and_refused_ones_do_not(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    one = make_paid(shop, account, minor=10_000, now=NOON)
    known(platform, one)
    refused = refund_of(shop, platform, one, 100, outcome=Outcome.FAILED)
    accepted = refund_of(shop, platform, one, 200, outcome=Outcome.PENDING)
    Refund.objects.filter(pk=accepted.pk).update(
        state=RefundState.PROCESSING, accepted_at=NOON + timedelta(minutes=1)
    )
    sweep(account)
    assert [row[2] for row in rows() if row[0] == "refund"] == [accepted.refund_no]
    refused.refresh_from_db()
    assert refused.state == RefundState.FAILED


def test_what_stays_silent_once_is_asked_again_at_once(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    for _each in range(3):
        known(platform, make_paid(shop, account, now=NOON))
    platform.fail_next("query_payment_async", PlatformUnavailable("silent", code="timeout"))
    assert sweep(account) is None
    assert Statement.objects.get().payment_count == 3
    assert platform.count("query_payment_async") == 4


def said(day: StatementDay, language: str = "en") -> str:
    """What stands in the way of a day's bill, for a reader of this language."""
    with translation.override(language):
        return detail_words(day.account.platform, day.detail)


def test_one_question_without_an_answer_holds_the_bill_back(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    for _each in range(3):
        known(platform, make_paid(shop, account, now=NOON))
    lost = make_payment(shop, account, now=NOON)
    known(platform, lost)
    platform.silent = frozenset({lost.order_no})
    again = sweep(account)
    day = StatementDay.objects.get()
    assert again == NIGHT + timedelta(minutes=30)
    assert (day.state, Statement.objects.count()) == (FetchState.FAILED, 0)
    assert said(day).startswith("1 of 4 ")
    assert platform.count("query_payment_async") == 3 + TRIES
    platform.silent = frozenset()
    assert sweep(account, now=again) is None
    assert Statement.objects.get().payment_count == 4
    # What was answered before was not asked again.
    assert platform.count("query_payment_async") == 3 + TRIES + 1


def test_a_refusal_is_told_in_words_and_tried_again(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    known(platform, make_paid(shop, account, now=NOON))
    platform.fail_next(
        "query_payment_async", PlatformRejected("终端不存在", code="INVALID_TERMINAL")
    )
    assert sweep(account) == NIGHT + timedelta(minutes=30)
    day = StatementDay.objects.get()
    assert day.state == FetchState.FAILED
    words = said(day)
    assert words.startswith("1 of 1 payments and refunds could not be asked about.")
    assert "终端不存在" not in words
    assert said(day, "zh-hans").startswith("1 笔支付和退款中有 1 笔")
    assert Statement.objects.count() == 0


def test_a_silent_platform_is_not_asked_a_thousand_questions(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    """The breaker opens for the sweep as for the pollers, and the day says how much of it is open."""
    for _each in range(12):
        known(platform, make_paid(shop, account, now=NOON))
    for _try in range(100):
        platform.fail_next("query_payment_async", PlatformUnavailable("silent", code="timeout"))
    assert sweep(account) is not None
    assert platform.count("query_payment_async") == THRESHOLD
    assert said(StatementDay.objects.get()).startswith("12 of 12 ")
    assert AccountPace.objects.get(account=account).open_until is not None
    assert Statement.objects.count() == 0


EXPORT = (
    "交易时间,收钱吧订单号,商户订单号,交易类型,支付方式,订单金额(元),手续费(元),状态\n"
    "2026-11-23 12:00:00,{trade_no},{order_no},收款,微信,100.00,0.38,成功\n"
    "2026-11-23 13:00:00,7895236110164799,,收款,支付宝,8.00,0.03,成功\n"
)
MAPPING = {
    "at": "交易时间",
    "trade_no": "收钱吧订单号",
    "order_no": "商户订单号",
    "kind": "交易类型",
    "amount": "订单金额(元)",
    "fee": "手续费(元)",
    "status": "状态",
}


def upload(shop: Shop, account: PlatformAccount, content: bytes) -> Statement:
    return services.import_statement(
        account_id=account.pk, kind=StatementKind.TRADE, day=DAY, filename="export.csv", content=content,
        uploaded_by=shop["finance"], actor=ACTOR, now=NIGHT + timedelta(hours=9),
    )  # fmt: skip


def test_an_uploaded_export_takes_the_place_of_the_answers_and_keeps_it(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    one = make_paid(shop, account, minor=10_000, now=NOON)
    known(platform, one)
    sweep(account)
    services.set_columns(
        account_id=account.pk, mapping=MAPPING, member=shop["finance"], actor=ACTOR, now=NIGHT
    )
    content = EXPORT.format(trade_no=one.platform_trade_no, order_no=one.order_no).encode("gb18030")
    bill = upload(shop, account, content)
    assert (bill.version, bill.is_asked, bill.fees_known, bill.fee_minor) == (2, False, True, 41)
    # Money taken past the portal shows now.
    assert [row[1] for row in rows()] == [one.order_no, ""]
    # Asking again applies what is new, and leaves the better file.
    lost = make_payment(shop, account, now=NOON)
    known(platform, lost)
    result = services.fetch_now(
        account_id=account.pk, kind=StatementKind.TRADE, day=DAY, actor=ACTOR, now=NIGHT + timedelta(hours=10)
    )  # fmt: skip
    assert (result.state, result.is_new) == (FetchState.IMPORTED, False)
    assert Statement.objects.get(is_current=True).pk == bill.pk
    lost.refresh_from_db()
    assert lost.state == PaymentState.SUCCEEDED


def test_a_bad_export_is_refused_whole_with_its_place(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    sweep(account)
    services.set_columns(
        account_id=account.pk, mapping=MAPPING, member=shop["finance"], actor=ACTOR, now=NIGHT
    )
    content = EXPORT.format(trade_no="1", order_no="P1").replace("8.00", "acht").encode()
    with pytest.raises(StatementRefused) as caught:
        upload(shop, account, content)
    assert (caught.value.line, caught.value.column) == (3, "订单金额(元)")
    assert "3" in caught.value.message
    assert "订单金额(元)" in caught.value.message
    assert [bill.version for bill in Statement.objects.all()] == [1]


def test_a_large_day_is_asked_about_in_shares(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    """Each run asks so many, keeps the answers, says how far it is and is followed by the next at once."""
    ones = [make_paid(shop, account, minor=1000 + number, now=NOON) for number in range(5)]
    for one in ones:
        known(platform, one)
    refund_of(shop, platform, ones[0], 100)
    day = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)
    share = Share(questions=2)
    for answered in (2, 4):
        assert services.fetch_statement(day_id=day.pk, now=NIGHT, share=share) == NIGHT
        day.refresh_from_db()
        assert (day.state, day.answered, day.questions) == (FetchState.WAITING, answered, 6)
        assert Statement.objects.count() == 0
        assert platform.count("query_payment_async") == answered
    assert services.fetch_statement(day_id=day.pk, now=NIGHT, share=share) is None
    day.refresh_from_db()
    assert (day.state, day.answered, day.questions) == (FetchState.IMPORTED, 0, 0)
    # No question twice, and the file as if it had been made in one go.
    assert platform.count("query_payment_async") == 5
    assert platform.count("query_refund_async") == 1
    amounts = sorted(row[3] for row in rows() if row[0] == "payment")
    assert amounts == [1000, 1001, 1002, 1003, 1004]
    assert Statement.objects.get().refund_count == 1
    assert not SweptAnswer.objects.exists()


def test_the_time_of_a_run_is_bounded_too(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    for _each in range(3):
        known(platform, make_paid(shop, account, now=NOON))
    day = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)
    again = services.fetch_statement(day_id=day.pk, now=NIGHT, share=Share(seconds=0))
    # Nothing was asked, so it is not repeated at once.
    assert again is not None
    assert again > NIGHT
    assert platform.count("query_payment_async") == 0
    day.refresh_from_db()
    assert (day.state, day.answered, day.questions) == (FetchState.WAITING, 0, 3)


def test_what_brings_no_answer_does_not_stand_in_the_way_of_the_rest(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    silent = [make_paid(shop, account, now=NOON) for _each in range(2)]
    for one in (*silent, *(make_paid(shop, account, now=NOON) for _each in range(3))):
        known(platform, one)
    platform.silent = frozenset(one.order_no for one in silent)
    day = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)
    share = Share(questions=3)
    assert services.fetch_statement(day_id=day.pk, now=NIGHT, share=share) == NIGHT
    assert services.fetch_statement(day_id=day.pk, now=NIGHT, share=share) == NIGHT
    # All others are answered: now it is said what is missing, and tried again later.
    assert services.fetch_statement(day_id=day.pk, now=NIGHT, share=share) == NIGHT + timedelta(minutes=30)  # fmt: skip
    day.refresh_from_db()
    assert (day.state, day.questions) == (FetchState.FAILED, 0)
    assert said(day).startswith("2 of 5 ")
    assert SweptAnswer.objects.count() == 3


def test_what_was_not_the_last_word_is_asked_again_when_it_is_old(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    """A day that was held back for hours does not go by what was so at midnight."""
    known(platform, make_paid(shop, account, now=NOON))
    late = make_payment(shop, account, now=NOON)
    lost = make_payment(shop, account, now=NOON)
    known(platform, lost)
    platform.silent = frozenset({lost.order_no})
    assert sweep(account) is not None
    known(platform, late, at=NOON + timedelta(minutes=9))
    platform.silent = frozenset()
    before = platform.count("query_payment_async")
    assert sweep(account, now=NIGHT + timedelta(hours=7)) is None
    assert platform.count("query_payment_async") == before + 2
    assert Statement.objects.get().payment_count == 3


def test_by_hand_a_large_day_goes_on_by_itself(
    shop: Shop, account: PlatformAccount, platform: Aggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its bill is here already and a person wants it asked about once more."""
    monkeypatch.setattr(fetching, "SHARE_BY_HAND", Share(questions=1))
    for _each in range(2):
        known(platform, make_paid(shop, account, now=NOON))
    how: dict[str, Any] = {"account_id": account.pk, "kind": StatementKind.TRADE, "day": DAY, "actor": ACTOR}  # fmt: skip
    for versions in (1, 2):
        result = services.fetch_now(**how, now=NIGHT)
        assert (result.state, result.answered, result.questions) == (FetchState.WAITING, 1, 1 + versions)  # fmt: skip
        assert tasks.drain(now=NIGHT, task="statements.sweep") == 1
        assert not Due.objects.filter(task="statements.sweep").exists()
        assert not SweptAnswer.objects.exists()
        assert Statement.objects.count() == versions
        known(platform, make_payment(shop, account, now=NOON))


def test_one_worker_at_a_time_sweeps_a_day(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    known(platform, make_paid(shop, account, now=NOON))
    day = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)
    begun, done = threading.Event(), threading.Event()

    def other() -> None:
        with outbox.turn(task=f"statements.sweep/{day.pk}", places=1) as mine:
            assert mine
            begun.set()
            done.wait(20)
        connections.close_all()

    worker = threading.Thread(target=other)
    worker.start()
    assert begun.wait(20)
    assert services.fetch_statement(day_id=day.pk, now=NIGHT) == NIGHT + timedelta(minutes=1)
    assert platform.count("query_payment_async") == 0
    done.set()
    worker.join()
    assert services.fetch_statement(day_id=day.pk, now=NIGHT + timedelta(minutes=1)) is None


def test_a_payment_across_midnight_that_was_refunded_is_on_the_day_it_was_paid(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    """Of a refunded order the platform tells when it was opened, which was before midnight."""
    opened, paid = MIDNIGHT - timedelta(seconds=10), MIDNIGHT + timedelta(seconds=10)
    crossing = make_payment(shop, account, now=opened)
    apply_payment_result(
        payment_id=crossing.pk, result=paid_result(crossing, at=paid), via="notification", now=paid, actor=ACTOR
    )  # fmt: skip
    known(platform, crossing, at=opened)
    sweep(account)
    assert rows() == []
    tomorrow = services.expect_day(
        account_id=account.pk, kind=StatementKind.TRADE, day=DAY + timedelta(days=1)
    )
    services.fetch_statement(day_id=tomorrow.pk, now=NIGHT + timedelta(days=1))
    assert [row[1] for row in rows()] == [crossing.order_no]
    assert StatementLine.objects.get().occurred_at == paid


@pytest.mark.django_db(transaction=True)
def test_an_export_uploaded_while_a_sweep_ends_stays(
    shop: Shop, account: PlatformAccount, platform: Aggregator
) -> None:
    """The upload holds the day's lock when the sweep comes to write: it was not to be seen before that."""
    one = make_paid(shop, account, minor=10_000, now=NOON)
    known(platform, one)
    services.set_columns(
        account_id=account.pk, mapping=MAPPING, member=shop["finance"], actor=ACTOR, now=NIGHT
    )
    content = EXPORT.format(trade_no=one.platform_trade_no, order_no=one.order_no).encode("gb18030")
    day = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)
    scope = current_scope()
    results: list[services.FetchResult] = []

    def sweeping() -> None:
        with enter_scope(scope):
            results.append(services.try_fetch(day_id=day.pk, actor=ACTOR, now=NIGHT))
        connections.close_all()

    worker = threading.Thread(target=sweeping)
    with transaction.atomic():
        bill = upload(shop, account, content)
        worker.start()
        deadline = time.monotonic() + 20
        while not _somebody_waits() and worker.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert platform.count("query_payment_async") == 1
        assert worker.is_alive()
    worker.join(20)
    assert [(result.state, result.is_new) for result in results] == [(FetchState.IMPORTED, False)]
    assert list(Statement.objects.values_list("pk", "is_current")) == [(bill.pk, True)]
    assert not SweptAnswer.objects.exists()


def _somebody_waits() -> bool:
    """Whether another session of this database waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])
