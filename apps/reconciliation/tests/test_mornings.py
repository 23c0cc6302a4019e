"""The morning: when it is ready, the one mail, its language and its readers, the page, and what stays behind the walls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import IntegrityError, connection
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from django.utils.translation import override
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.core import outbox
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.tasks import drain, run_claim
from apps.core.tenancy import enter_scope
from apps.ledger.models import BusinessDay
from apps.merchants.models import Membership, Role
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop, make_user
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation import services
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    Morning,
    MorningMail,
    MorningReader,
)
from apps.reconciliation.morning_wording import tell
from apps.reconciliation.selectors import day_morning
from apps.reconciliation.services import mornings
from apps.reconciliation.tasks import plan_mornings
from apps.reconciliation.tests.days import DAY, bill, match, paid
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.models import FetchState, StatementDay
from apps.statements.tests.bills import row_of

pytestmark = pytest.mark.django_db

#: Twenty past ten and noon in China on the day after DAY.
EARLY = datetime(2026, 11, 24, 2, 20, tzinfo=UTC)
DEADLINE = NOW


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def second_account(shop: Shop) -> PlatformAccount:
    account = make_account(shop, merchant_no="1900000999")
    PlatformAccount.objects.filter(pk=account.pk).update(label="二号账户")
    account.refresh_from_db()
    return account


def awaited(account: PlatformAccount, state: str = FetchState.WAITING) -> StatementDay:
    row, _made = StatementDay.objects.update_or_create(
        account=account, kind="trade", day=DAY, defaults={"state": state, "attempts": 1}
    )
    return row


@dataclass(frozen=True)
class Letter:
    to: str
    subject: str
    body: str
    html: str
    headers: dict[str, str]


def letters() -> list[Letter]:
    """What was sent, each as plain text and as HTML and nothing else."""
    found = []
    for message in mail.outbox:
        assert isinstance(message, EmailMultiAlternatives)
        ((html, kind),) = message.alternatives
        assert (kind, len(message.to)) == ("text/html", 1)
        headers = {name: str(value) for name, value in message.message().items()}
        found.append(
            Letter(message.to[0], str(message.subject), str(message.body), str(html), headers)
        )
    return found


def mails_to() -> list[str]:
    return sorted(letter.to for letter in letters())


def told() -> Morning:
    return Morning.objects.get(day=DAY)


def page(name: str, shop: Shop) -> str:
    return reverse(f"reconciliation:{name}", args=[shop.slug])


def client_of(user: User, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


# ---------------------------------------------------------------- without a click
def test_a_bill_leads_to_matching_and_to_one_mail_each_by_itself(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        one, two = paid(shop, account, 10_000), paid(shop, account, 5000)
        bill(account, [row_of(one), row_of(two), STRANGER], now=EARLY)
    assert mail.outbox == []
    drain(now=EARLY)
    assert mails_to() == ["finance@tea.test", "owner@tea.test"]
    with inside(shop):
        morning = told()
        assert (morning.told_at, morning.was_ready) == (EARLY, True)
        assert MorningMail.objects.filter(sent_at=EARLY).count() == 2
        event = AuditEvent.objects.get(action="morning.told")
        assert event.data == {
            "day": "2026-11-23",
            "ready": True,
            "rows": 3,
            "matched": 2,
            "open": 1,
            "missing": [],
            "mails": 2,
        }
    # Whatever runs again sends nothing more.
    with inside(shop):
        match(account, now=EARLY + timedelta(minutes=5))
        services.tell_morning(morning_id=morning.pk, now=EARLY + timedelta(minutes=5))
        for row in MorningMail.objects.all():
            assert services.send_mail(mail_id=row.pk, now=EARLY) is None
    drain(now=EARLY + timedelta(hours=3))
    assert len(mail.outbox) == 2


def test_it_waits_for_every_account(shop: Shop, account: PlatformAccount) -> None:
    """Also for one whose bill the portal does not even ask for yet."""
    with inside(shop):
        other = second_account(shop)
        bill(account, [row_of(paid(shop, account))], now=EARLY)
    drain(now=EARLY)
    with inside(shop):
        assert told().told_at is None
        assert Due.objects.get(task="reconciliation.morning").due_at == DEADLINE
        bill(other, [], now=EARLY + timedelta(minutes=30))
    assert mail.outbox == []
    drain(now=EARLY + timedelta(minutes=30))
    assert len(mail.outbox) == 2
    with inside(shop):
        assert told().was_ready is True


def test_a_matching_that_is_still_due_is_waited_for(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [row_of(paid(shop, account))], now=EARLY)
        match(account, now=EARLY)
        expected = StatementDay.objects.get()
        outbox.enqueue(
            task="reconciliation.run",
            merchant_id=shop.merchant.pk,
            subject_id=expected.pk,
            due_at=EARLY,
        )
        found = day_morning(day=DAY, now=EARLY)
        assert not found.is_settled
        assert services.tell_morning(morning_id=told().pk, now=EARLY) == DEADLINE
        match(account, now=EARLY)
        assert services.tell_morning(morning_id=told().pk, now=EARLY) is None


def test_at_noon_it_says_which_bill_is_missing(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        other = second_account(shop)
        bill(account, [row_of(paid(shop, account))], now=EARLY)
        awaited(other, FetchState.ABSENT)
    drain(now=EARLY)
    drain(now=DEADLINE - timedelta(seconds=1))
    assert mail.outbox == []
    drain(now=DEADLINE)
    assert len(mail.outbox) == 2
    letter = letters()[0]
    assert "1 of 1 matched, the bill of 二号账户 is missing" in letter.subject
    assert "The portal goes on asking by itself." in letter.body
    with inside(shop):
        assert told().was_ready is False
        # The late bill: no second mail, but the page has it.
        bill(other, [STRANGER], now=DEADLINE + timedelta(hours=1))
    drain(now=DEADLINE + timedelta(hours=1))
    assert len(mail.outbox) == 2
    with time_machine.travel(DEADLINE + timedelta(hours=1), tick=False):
        text = client_of(shop["owner"]).get(page("morning", shop)).text
    assert "1 of 2 matched, 1 needs you" in text
    assert "2 mails" in text


def test_where_no_bill_comes_at_all_the_plan_tells(shop: Shop, account: PlatformAccount) -> None:
    with time_machine.travel(EARLY, tick=False):
        plan_mornings()
        plan_mornings()
    with inside(shop):
        assert Morning.objects.count() == 1
        assert Due.objects.get(task="reconciliation.morning").due_at == DEADLINE
    drain(now=DEADLINE)
    assert len(mail.outbox) == 2
    assert "is missing" in letters()[0].subject


def test_a_portal_that_starts_in_the_afternoon_asks_before_it_complains(
    shop: Shop, account: PlatformAccount
) -> None:
    late = DEADLINE + timedelta(hours=3)
    with inside(shop):
        morning = services.expect_morning(now=late)
        assert morning.deadline_at == late + timedelta(hours=1)


def test_a_day_without_anything_makes_no_mail(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        awaited(account, FetchState.EMPTY)
        match(account, now=EARLY)
    drain(now=EARLY)
    assert mail.outbox == []
    with inside(shop):
        assert told().was_ready is True
        assert MorningMail.objects.count() == 0


def test_an_old_day_that_is_matched_now_makes_no_morning(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        bill(account, [row_of(paid(shop, account))], now=EARLY + timedelta(days=1))
    drain(now=EARLY + timedelta(days=1))
    assert mail.outbox == []
    with inside(shop):
        assert Morning.objects.count() == 0


def test_a_morning_that_was_slept_through_makes_no_mail(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        services.expect_morning(now=EARLY)
    drain(now=EARLY + timedelta(days=2))
    assert mail.outbox == []
    with inside(shop):
        assert told().told_at == EARLY + timedelta(days=2)


# ---------------------------------------------------------------- once
def ready(shop: Shop, account: PlatformAccount) -> Morning:
    bill(account, [row_of(paid(shop, account)), STRANGER], now=EARLY)
    match(account, now=EARLY)
    return told()


def test_a_mail_server_that_is_down_gets_it_later_and_once(
    shop: Shop, account: PlatformAccount, settings: Any
) -> None:
    with inside(shop):
        morning = ready(shop, account)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    drain(now=EARLY)
    with inside(shop):
        assert MorningMail.objects.filter(morning=morning, sent_at=None).count() == 2
        assert Due.objects.filter(task="reconciliation.morning_mail").count() == 2
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    drain(now=EARLY + timedelta(minutes=1))
    drain(now=EARLY + timedelta(minutes=30))
    assert len(mail.outbox) == 2
    with inside(shop):
        assert MorningMail.objects.filter(sent_at=None).count() == 0


def test_a_worker_killed_before_it_sends_loses_nothing_and_one_killed_after_repeats_the_same_mail(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        morning = ready(shop, account)
        services.tell_morning(morning_id=morning.pk, now=EARLY)
    # Claimed, and the worker is gone.
    killed = outbox.claim(now=EARLY, limit=10, task="reconciliation.morning_mail")
    assert len(killed) == 2
    drain(now=EARLY + timedelta(seconds=30))
    assert mail.outbox == []
    drain(now=EARLY + timedelta(minutes=2))
    assert len(mail.outbox) == 2
    # Sent, and gone before it could note it.
    with inside(shop):
        MorningMail.objects.update(sent_at=None)
    for claim in killed:
        run_claim(claim, now=EARLY + timedelta(minutes=3))
    ids = [letter.headers["Message-ID"] for letter in letters()]
    assert len(ids) == 4
    assert len(set(ids)) == 2


@contextmanager
def slow_mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    sent: list[str] = []

    def send(row: MorningMail, **_given: Any) -> None:
        time.sleep(0.3)
        sent.append(row.user.email)

    monkeypatch.setattr(mornings, "_send", send)
    yield sent


def together(shop: Shop, work: Any, count: int = 4) -> list[str]:
    start = threading.Barrier(count)
    outcomes: list[str] = []

    def run() -> None:
        try:
            start.wait()
            with enter_scope(shop.scope):
                work()
            outcomes.append("")
        except IntegrityError:
            outcomes.append("IntegrityError")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


@pytest.fixture
def ready_shop(transactional_db: None) -> tuple[Shop, Morning]:
    shop = make_shop()
    with enter_scope(shop.scope):
        return shop, ready(shop, make_account(shop))


def test_workers_at_once_tell_once(ready_shop: tuple[Shop, Morning]) -> None:
    shop, morning = ready_shop
    outcomes = together(shop, lambda: services.tell_morning(morning_id=morning.pk, now=EARLY))
    assert outcomes == [""] * 4
    with enter_scope(shop.scope):
        assert MorningMail.objects.count() == 2
        assert AuditEvent.objects.filter(action="morning.told").count() == 1


def test_without_the_lock_only_the_unique_key_keeps_it_at_one(
    ready_shop: tuple[Shop, Morning], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, morning = ready_shop
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_given: rows)
    outcomes = together(shop, lambda: services.tell_morning(morning_id=morning.pk, now=EARLY))
    assert outcomes.count("IntegrityError") == 3
    with enter_scope(shop.scope):
        assert MorningMail.objects.count() == 2
        assert AuditEvent.objects.filter(action="morning.told").count() == 1


@pytest.mark.parametrize("locked", [True, False])
def test_workers_at_once_send_one_mail_with_their_turn_and_several_without(
    ready_shop: tuple[Shop, Morning], monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    shop, morning = ready_shop
    with enter_scope(shop.scope):
        services.tell_morning(morning_id=morning.pk, now=EARLY)
        one = MorningMail.objects.order_by("pk")[0]
    if not locked:

        @contextmanager
        def free(**_given: Any) -> Iterator[bool]:
            yield True

        monkeypatch.setattr(outbox, "turn", free)
    with slow_mail(monkeypatch) as sent:
        together(shop, lambda: services.send_mail(mail_id=one.pk, now=EARLY))
    assert len(sent) == (1 if locked else 4)


# ---------------------------------------------------------------- who, and in which language
def test_the_mail_speaks_the_readers_language_as_text_and_html(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        services.set_mail_wish(
            member=shop["owner"], is_wanted=True, language="en", actor=Actor("t"), now=EARLY
        )
        services.set_mail_wish(
            member=shop["finance"], is_wanted=True, language="zh-hans", actor=Actor("t"), now=EARLY
        )
        services.set_mail_wish(
            member=shop["auditor"], is_wanted=True, language="", actor=Actor("t"), now=EARLY
        )
        ready(shop, account)
    drain(now=EARLY)
    by_address = {letter.to: letter for letter in letters()}
    assert sorted(by_address) == ["auditor@tea.test", "finance@tea.test", "owner@tea.test"]
    english, chinese, both = (
        by_address[f"{role}@tea.test"] for role in ("owner", "finance", "auditor")
    )
    assert english.subject == "tea house, 2026-11-23: 1 of 2 matched, 1 needs you"
    assert "Not in our books" in english.body
    assert "账单" not in english.body
    assert "tea茶馆" in chinese.subject
    assert "Not in our books" not in chinese.body
    assert "tea house" in both.subject
    assert "tea茶馆" in both.subject
    assert "----" in both.body
    for letter in letters():
        for link in ("morning/?day=2026-11-23", "morning/mail/"):
            assert f"http://localhost:8000/m/tea/reconciliation/{link}" in letter.body
            assert f"http://localhost:8000/m/tea/reconciliation/{link}" in letter.html
        assert letter.headers["List-Unsubscribe"] == (
            "<http://localhost:8000/m/tea/reconciliation/morning/mail/>"
        )
        # Neither numbers of payments nor payers leave by mail.
        with inside(shop):
            for row in Difference.objects.select_related("line"):
                assert row.line is not None
                assert row.line.platform_trade_no not in letter.body + letter.html


def test_a_name_with_markup_is_escaped_in_the_html(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        PlatformAccount.objects.filter(pk=account.pk).update(label="<b>R&D</b>")
        ready(shop, account)
    drain(now=EARLY)
    html = letters()[0].html
    assert "&lt;b&gt;R&amp;D&lt;/b&gt;" in html
    assert "<b>R&D</b>" in letters()[0].body


def test_only_members_who_may_see_bills_get_it(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        Membership.objects.filter(user=shop["owner"]).update(is_active=False)
        limited = make_user("limited@tea.test")
        Membership.objects.create(
            merchant=shop.merchant, user=limited, role=Role.FINANCE, store_ids=[shop.store.pk]
        )
        for user in (shop["cashier"], limited, shop["manager"]):
            MorningReader.objects.create(user=user, is_wanted=True, updated_at=EARLY)
        MorningReader.objects.create(user=shop["finance"], is_wanted=False, updated_at=EARLY)
        ready(shop, account)
    drain(now=EARLY)
    assert mails_to() == ["manager@tea.test"]


def test_who_says_no_between_telling_and_sending_gets_none(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        services.tell_morning(morning_id=ready(shop, account).pk, now=EARLY)
        services.set_mail_wish(
            member=shop["owner"], is_wanted=False, language="", actor=Actor("t"), now=EARLY
        )
    drain(now=EARLY)
    assert mails_to() == ["finance@tea.test"]


def test_merchants_do_not_hear_of_each_other(shop: Shop, account: PlatformAccount) -> None:
    other = make_shop("bar")
    with inside(other):
        theirs = make_account(other, merchant_no="1900000777")
    with inside(shop):
        ready(shop, account)
    drain(now=EARLY)
    assert mails_to() == ["finance@tea.test", "owner@tea.test"]
    with inside(other):
        assert Morning.objects.count() == 0
        assert day_morning(day=DAY, now=EARLY).row_count == 0
        assert [one.account.pk for one in day_morning(day=DAY, now=EARLY).accounts] == [theirs.pk]
    with time_machine.travel(EARLY, tick=False):
        assert client_of(other["owner"]).get(page("morning", shop)).status_code == 404
        assert client_of(shop["cashier"]).get(page("morning", shop)).status_code == 403


# ---------------------------------------------------------------- the page
def test_the_page_says_it_all_in_one_look(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        one, two = paid(shop, account, 10_000), paid(shop, account, 5000)
        bill(account, [row_of(one), row_of(two), STRANGER], now=EARLY)
        run = match(account, now=EARLY)
    with time_machine.travel(EARLY, tick=False):
        response = client_of(shop["finance"]).get(page("morning", shop))
    text = response.text
    assert "2 of 3 matched, 1 needs you" in text
    assert "1 row needs somebody" in text
    assert "Not in our books" in text
    with inside(shop):
        difference = Difference.objects.get(run=run, type="missing_here")
    assert f"/reconciliation/differences/{difference.pk}/" in text
    found = response.context["found"]
    assert run.their_fee_minor is not None
    assert found.net_minor == run.their_net_minor - run.their_fee_minor
    assert 'data-live-kinds="run morning"' in text


def test_the_page_is_calm_where_nothing_is_needed(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [row_of(paid(shop, account))], now=EARLY)
        match(account, now=EARLY)
        BusinessDay.objects.update_or_create(
            day=DAY, defaults={"is_closed": True, "version": 1, "closed_at": EARLY}
        )
    with time_machine.travel(EARLY, tick=False):
        text = client_of(shop["owner"]).get(page("morning", shop)).text
    assert "1 of 1 matched" in text
    assert "Everything matched; nothing needs you." in text
    assert "needs somebody" not in text
    assert "The books of this day were closed" in text


def test_the_page_before_the_bills_are_here(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        awaited(account)
    with time_machine.travel(EARLY, tick=False):
        client = client_of(shop["owner"])
        assert "The bill of" in client.get(page("morning", shop)).text
        old = client.get(page("morning", shop), {"day": "2026-10-01"}).text
        assert "No bill of this day is expected" in old
        for wrong in ("2026-11-24", "x", "0001-01-01", "2999-01-01"):
            found = client.get(page("morning", shop), {"day": wrong}).context["found"]
            assert found.day == DAY
        part = client.get(page("morning", shop), headers={"HX-Request": "true"}).text
        assert "<html" not in part


def test_rows_of_earlier_days_are_not_forgotten(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        bill(account, [STRANGER], day=DAY)
        match(account)
        found = day_morning(day=DAY + timedelta(days=1), now=NOW + timedelta(days=1))
        assert (found.earlier_count, found.earlier_day) == (1, DAY)
        Difference.objects.update(state=DifferenceState.RESOLVED)
        found = day_morning(day=DAY + timedelta(days=1), now=NOW + timedelta(days=1))
        assert (found.earlier_count, found.earlier_day) == (0, None)
        today = day_morning(day=DAY, now=NOW)
        assert (today.open_count, today.explained_count, today.is_settled) == (0, 1, True)
        Difference.objects.update(state=DifferenceState.WAITING)
        today = day_morning(day=DAY, now=NOW)
        assert (today.open_count, today.waiting_count, today.explained_count) == (0, 1, 0)
        with override("en"):
            told = tell(today, now=NOW)
        assert told.tone == "wait"
        assert "waits for another member's confirmation" in told.sentence
        assert "nothing needs you" not in told.sentence


def test_the_page_asks_as_often_for_one_account_as_for_five(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(shop["owner"])
    with inside(shop):
        bill(account, [row_of(paid(shop, account)), STRANGER], now=EARLY)
        match(account, now=EARLY)
        more = [make_account(shop, merchant_no=f"19000008{n:02d}") for n in range(4)]
        awaited(more[0])
    with time_machine.travel(EARLY, tick=False):
        client.get(page("morning", shop))
        with django_assert_num_queries(18):
            client.get(page("morning", shop))
        with inside(shop):
            for place, other in enumerate(more[1:]):
                bill(other, [STRANGER.but(trade_no=f"42{place:026d}")], now=EARLY)
                match(other, now=EARLY)
        with django_assert_num_queries(18):
            client.get(page("morning", shop))


def test_a_member_chooses_the_mail(shop: Shop) -> None:
    client = client_of(shop["owner"])
    with time_machine.travel(EARLY, tick=False):
        form = client.get(page("morning_mail", shop))
        assert form.context["form"].initial == {"wanted": True, "language": "en"}
        answer = client.post(page("morning_mail", shop), {"language": "en"})
        assert answer.headers["Location"] == page("morning", shop)
        assert "You do not get it." in client.get(page("morning", shop)).text
        assert client.post(page("morning_mail", shop), {"language": "xx"}).status_code == 422
    with inside(shop):
        row = MorningReader.objects.get()
        assert (row.user_id, row.is_wanted, row.language) == (shop["owner"].pk, False, "en")
        assert AuditEvent.objects.filter(action="morning.mail_chosen").count() == 1


def test_a_manager_gets_none_unasked(shop: Shop) -> None:
    with time_machine.travel(EARLY, tick=False):
        form = client_of(shop["manager"]).get(page("morning_mail", shop)).context["form"]
    assert form.initial["wanted"] is False


def test_a_day_is_the_platforms(shop: Shop, account: PlatformAccount) -> None:
    assert date(2026, 11, 23) == DAY
    with inside(shop):
        assert services.expect_morning(now=EARLY).day == DAY
