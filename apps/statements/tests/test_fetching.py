"""Bills fetched by the clock and by hand, over the connector's real HTTP calls' outcomes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation

from apps.core.models import Due
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.connectors.wechatpay.connector import WechatpayGateway
from apps.platforms.gateway import (
    PlatformRejected,
    PlatformUnavailable,
    StatementEmpty,
    StatementFile,
    StatementKind,
    StatementMissing,
    StatementNotReady,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.bills import wechat_fund
from apps.statements import services
from apps.statements.models import FetchState, Statement, StatementDay
from apps.statements.selectors import list_bills
from apps.statements.services import StatementRefused
from apps.statements.tests.bills import wechat_bill, wechat_gzip
from apps.statements.tests.test_import import ACTOR, BACK, DAY, PAID
from apps.statements.wording import detail_words

pytestmark = pytest.mark.django_db

#: At noon the looks become hourly.
LATER = NOW + timedelta(hours=1)


class Platform:
    """What the platform answers next to a wish for a bill."""

    answer: Exception | bytes = b""
    asked: int = 0


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    said = Platform()

    def fetch(_self: WechatpayGateway, **_day: Any) -> StatementFile:
        said.asked += 1
        if isinstance(said.answer, Exception):
            raise said.answer
        return StatementFile(filename="fetched.csv", content=said.answer)

    # The wire itself is tested with the connectors, against a server on a socket.
    monkeypatch.setattr(WechatpayGateway, "fetch_statement", fetch)
    return said


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def expected(account: PlatformAccount) -> StatementDay:
    return services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=DAY)


def test_the_clock_fetches_until_the_bill_is_there(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = StatementNotReady("账单生成中", code="STATEMENT_CREATING")
        assert services.fetch_statement(day_id=day.pk, now=NOW) == LATER
        day.refresh_from_db()
        assert (day.state, day.attempts, day.last_tried_at) == (FetchState.WAITING, 1, NOW)
        platform.answer = PlatformUnavailable("no", code="timeout")
        assert services.fetch_statement(day_id=day.pk, now=NOW) == LATER
        day.refresh_from_db()
        assert (day.state, day.attempts) == (FetchState.FAILED, 2)
        assert day.detail
        platform.answer = wechat_bill([PAID])
        assert services.fetch_statement(day_id=day.pk, now=NOW) is None
        day.refresh_from_db()
        assert (day.state, day.detail) == (FetchState.IMPORTED, "")
        assert Statement.objects.get().uploaded_by is None
        # Done: the platform is left alone.
        assert services.fetch_statement(day_id=day.pk, now=NOW) is None
        assert platform.asked == 3


def test_an_unreadable_answer_stores_nothing_and_is_tried_again(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = wechat_bill([PAID], merchant_no="1900000002")
        assert services.fetch_statement(day_id=day.pk, now=NOW) == LATER
        day.refresh_from_db()
        assert day.state == FetchState.FAILED
        assert Statement.objects.count() == 0


def test_an_empty_day_is_matched_as_such(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = StatementEmpty()
        assert services.fetch_statement(day_id=day.pk, now=NOW) is None
        day.refresh_from_db()
        assert day.state == FetchState.EMPTY
        assert Due.objects.get().task == "reconciliation.run"


def test_after_a_week_it_gives_up(shop: Shop, account: PlatformAccount, platform: Platform) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = PlatformRejected("无权限", code="NO_AUTH")
        late = NOW + timedelta(days=6)
        assert services.fetch_statement(day_id=day.pk, now=late) == late + timedelta(hours=2)
        assert services.fetch_statement(day_id=day.pk, now=late + timedelta(days=1)) is None


def test_by_hand_a_missing_bill_is_asked_for_again_later(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    how: dict[str, Any] = {"account_id": account.pk, "kind": StatementKind.TRADE, "actor": ACTOR}
    with inside(shop):
        platform.answer = StatementNotReady("账单生成中", code="STATEMENT_CREATING")
        result = services.fetch_now(**how, day=DAY, now=NOW)
        assert result.state == FetchState.WAITING
        due = Due.objects.get()
        assert (due.task, due.due_at) == ("statements.fetch", LATER)
        platform.answer = wechat_bill([PAID])
        assert services.fetch_now(**how, day=DAY, now=NOW).is_new
        assert {row.task for row in Due.objects.all()} == {
            "reconciliation.run",
            "statements.settle",
        }
        # Once more: the same file; then a corrected one; then trouble, which leaves what is there.
        later = NOW + timedelta(hours=1)
        assert not services.fetch_now(**how, day=DAY, now=later).is_new
        platform.answer = wechat_bill([PAID, BACK])
        assert services.fetch_now(**how, day=DAY, now=later).is_new
        platform.answer = PlatformUnavailable("no", code="timeout")
        assert services.fetch_now(**how, day=DAY, now=later).state == FetchState.FAILED
        assert StatementDay.objects.get().state == FetchState.IMPORTED
        assert Statement.objects.count() == 2
        assert not Due.objects.filter(task="statements.fetch").exists()


def test_today_is_refused_before_the_platform_is_asked(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    with inside(shop):
        with pytest.raises(StatementRefused):
            services.fetch_now(
                account_id=account.pk,
                kind=StatementKind.TRADE,
                day=DAY + timedelta(days=1),
                actor=ACTOR,
                now=NOW,
            )
        assert platform.asked == 0
        assert StatementDay.objects.count() == 0


def test_the_morning_plans_yesterday_once_and_makes_up_for_missed_days(
    shop: Shop, account: PlatformAccount
) -> None:
    early = datetime(2026, 11, 24, 2, 4, tzinfo=UTC)
    with inside(shop):
        make_account(shop, merchant_no="1900000002")
        PlatformAccount.objects.exclude(pk=account.pk).update(is_active=False)
        PlatformAccount.objects.filter(pk=account.pk).update(
            created_at=datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
        )
        assert services.plan_yesterday(now=early) == 0
        # The trade bill and the fund bill.
        assert services.plan_yesterday(now=early + timedelta(minutes=1)) == 2
        assert services.plan_yesterday(now=NOW) == 0
        assert set(StatementDay.objects.values_list("kind", "day")) == {
            ("trade", DAY),
            ("fund", DAY),
        }
        assert {row.task for row in Due.objects.all()} == {"statements.fetch"}
        # Three days later, after nothing ran.
        assert services.plan_yesterday(now=NOW + timedelta(days=3)) == 6
        assert StatementDay.objects.count() == 8
        # Long after, a week at most.
        assert services.plan_yesterday(now=NOW + timedelta(days=60)) == 14


def test_each_platform_has_its_hour_and_its_kinds(shop: Shop) -> None:
    with inside(shop):
        for platform in ("wechatpay", "alipay", "unionpay", "shouqianba"):
            make_account(shop, platform=platform, merchant_no=f"{platform}1")
        PlatformAccount.objects.update(created_at=datetime(2026, 11, 23, 1, 0, tzinfo=UTC))
        midnight = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
        seen = []
        for minutes in (39, 40, 9 * 60 + 9, 9 * 60 + 10, 10 * 60 + 4, 10 * 60 + 5):
            services.plan_yesterday(now=midnight + timedelta(minutes=minutes))
            rows = StatementDay.objects.order_by("account__platform", "-kind")
            seen.append(sorted(rows.values_list("account__platform", "kind")))
        asked, unionpay = ("shouqianba", "trade"), ("unionpay", "trade")
        assert seen[:5] == [[], [asked], [asked], [asked, unionpay], [asked, unionpay]]
        assert seen[5] == [
            ("alipay", "fund"),
            ("alipay", "trade"),
            asked,
            unionpay,
            ("wechatpay", "fund"),
            ("wechatpay", "trade"),
        ]
        sweep = Due.objects.get(task="statements.sweep")
        assert StatementDay.objects.get(pk=sweep.subject_id).account.platform == "shouqianba"


def test_a_fund_bill_comes_by_itself_and_is_not_matched(shop: Shop, platform: Platform) -> None:
    day, now = date(2026, 5, 1), datetime(2026, 5, 2, 4, 0, tzinfo=UTC)
    with inside(shop):
        account = make_account(shop, merchant_no="1900000109")
        trade = services.expect_day(account_id=account.pk, kind=StatementKind.TRADE, day=day)
        fund = services.expect_day(account_id=account.pk, kind=StatementKind.FUND, day=day)
        platform.answer = wechat_fund()
        assert services.fetch_statement(day_id=fund.pk, now=now) is None
        assert Statement.objects.get().kind == "fund"
        trade.refresh_from_db()
        assert trade.state == FetchState.WAITING
        assert [row.task for row in Due.objects.all()] == ["statements.settle"]
        assert services.fetch_statement(day_id=fund.pk, now=now) is None
        assert platform.asked == 1


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (StatementNotReady("账单生成中", code="STATEMENT_CREATING"), FetchState.WAITING),
        (StatementMissing("文件不存在", code="98"), FetchState.ABSENT),
        (StatementEmpty(), FetchState.EMPTY),
        (PlatformUnavailable("no", code="bad_hash"), FetchState.FAILED),
        (PlatformUnavailable("no", code="timeout"), FetchState.FAILED),
    ],
)
def test_what_the_platform_says_is_told_apart(
    shop: Shop,
    account: PlatformAccount,
    platform: Platform,
    answer: Exception,
    state: FetchState,
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = answer
        again = services.fetch_statement(day_id=day.pk, now=NOW)
        day.refresh_from_db()
        assert day.state == state
        assert again == (None if state == FetchState.EMPTY else LATER)
        assert bool(day.detail) == (state != FetchState.EMPTY)
        assert Statement.objects.count() == 0


def test_what_stands_in_the_way_is_said_in_the_readers_language(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = StatementNotReady("账单生成中", code="STATEMENT_CREATING")
        # The clock speaks Chinese; whoever reads may not.
        with translation.override("zh-hans"):
            services.fetch_statement(day_id=day.pk, now=NOW)
        (bill,) = list_bills(since=DAY, until=DAY + timedelta(days=1))
        with translation.override("zh-hans"):
            assert "微信支付正在生成账单" in bill.detail
        with translation.override("en"):
            assert bill.detail.startswith("WeChat Pay is still preparing")


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        # Without words for its code: that it has none, and the platform's own, marked as such.
        ("NO_SUCH_CODE|账单不存在", "The platform answered with the code NO_SUCH_CODE."),
        ("NO_SUCH_CODE|账单不存在", "The platform's own words: “账单不存在”"),
        ("|账单不存在", "The platform's own words: “账单不存在”"),
        ("http_503|the platform's server answered 503", "The platform's server is in trouble (503)."),
        ("unreadable:bad_row:7|订单金额", "Line 7, column 订单金额: A row of the file"),
        ("unreadable:other_account:|", "This file belongs to another merchant account."),
        ("unreadable:no_such_kind:|", "WeChat Pay has no bill of this kind."),
        ("unasked:3:9:timeout|no answer in time", "3 of 9 payments and refunds could not be asked about. The platform did not answer"),
        ("unasked:3:9:|", "3 of 9 payments and refunds could not be asked about."),
        # What former versions stored in words.
        ("A sentence | of the import.", "A sentence | of the import."),
    ],
)  # fmt: skip
def test_what_is_kept_has_words_in_each_language(detail: str, words: str) -> None:
    with translation.override("en"):
        assert words in detail_words("wechatpay", detail)
    with translation.override("zh-hans"):
        chinese = detail_words("wechatpay", detail)
    assert "The platform answered" not in chinese
    assert "payments and refunds" not in chinese


def test_a_refused_file_is_explained_in_the_readers_language(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = wechat_bill([PAID], merchant_no="1900000002")
        with translation.override("zh-hans"):
            services.fetch_statement(day_id=day.pk, now=NOW)
        (bill,) = list_bills(since=DAY, until=DAY + timedelta(days=1))
        with translation.override("en"):
            assert "This file belongs to another merchant account." in bill.detail
        with translation.override("zh-hans"):
            assert "商户" in bill.detail


@pytest.mark.parametrize("hour", [1, 9, 11, 22])
def test_what_was_asked_for_by_hand_is_asked_for_again(
    shop: Shop, account: PlatformAccount, platform: Platform, hour: int
) -> None:
    """As by the demo's seed: before or after the hour of the bill, its next try is always planned."""
    now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC) + timedelta(hours=hour)
    with inside(shop):
        platform.answer = StatementNotReady("账单生成中", code="STATEMENT_CREATING")
        services.fetch_now(
            account_id=account.pk, kind=StatementKind.TRADE, day=DAY, actor=ACTOR, now=now
        )
        due = Due.objects.get(task="statements.fetch")
        assert due.due_at == services.next_try("wechatpay", day=DAY, now=now)
        assert due.due_at >= services.ready_at("wechatpay", day=DAY)


def test_a_bill_that_nothing_asks_for_any_more_is_planned_anew(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    """Whoever asked and lost the next try: the clock finds the bill that is still to come."""
    early = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
    ready = datetime(2026, 11, 24, 2, 5, tzinfo=UTC)
    with inside(shop):
        PlatformAccount.objects.filter(pk=account.pk).update(created_at=early)
        day = expected(account)
        platform.answer = StatementNotReady("账单生成中", code="STATEMENT_CREATING")
        assert services.fetch_statement(day_id=day.pk, now=early) == ready
        assert not Due.objects.filter(subject_id=day.pk).exists()
        # The fund bill, which is new, and the trade bill, which was lost.
        assert services.plan_yesterday(now=ready) == 2
        assert Due.objects.get(subject_id=day.pk).due_at == ready + timedelta(minutes=30)
        assert services.plan_yesterday(now=ready) == 0
        # Given up is given up.
        Due.objects.all().delete()
        StatementDay.objects.update(attempts=30)
        services.plan_yesterday(now=datetime(2026, 11, 30, 12, 0, tzinfo=UTC))
        assert not Due.objects.filter(subject_id=day.pk).exists()


@pytest.mark.parametrize(
    "content", [wechat_gzip([PAID, BACK])[:-30], wechat_bill([PAID, BACK])[:-200], b""]
)
def test_a_file_that_came_cut_off_is_not_imported_and_fetched_again(
    shop: Shop, account: PlatformAccount, platform: Platform, content: bytes
) -> None:
    with inside(shop):
        day = expected(account)
        platform.answer = content
        assert services.fetch_statement(day_id=day.pk, now=NOW) == LATER
        day.refresh_from_db()
        assert (day.state, Statement.objects.count()) == (FetchState.FAILED, 0)
        platform.answer = wechat_gzip([PAID, BACK])
        assert services.fetch_statement(day_id=day.pk, now=LATER) is None
        assert Statement.objects.get().refund_count == 1


def test_an_empty_day_with_payments_is_a_late_bill_for_two_days(
    shop: Shop, account: PlatformAccount, platform: Platform
) -> None:
    """Alipay says the same of an empty day and of a bill that is late."""
    with inside(shop):
        make_paid(shop, account, now=datetime(2026, 11, 23, 4, tzinfo=UTC))
        day = expected(account)
        platform.answer = StatementEmpty()
        assert services.fetch_statement(day_id=day.pk, now=NOW) == LATER
        day.refresh_from_db()
        assert day.state == FetchState.ABSENT
        assert not Due.objects.filter(task="reconciliation.run").exists()
        much_later = NOW + timedelta(days=2)
        assert services.fetch_statement(day_id=day.pk, now=much_later) is None
        day.refresh_from_db()
        assert day.state == FetchState.EMPTY
        assert Due.objects.filter(task="reconciliation.run").exists()
