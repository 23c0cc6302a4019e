"""What a printed code does, version by version."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection

from apps.core import tasks
from apps.core.models import AuditEvent, Due
from apps.core.money import MAX_AMOUNT_MINOR
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store, Terminal
from apps.merchants.services import add_terminal, set_store_active
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant, make_store
from apps.qrcodes.models import CodeVersion, QRCode
from apps.qrcodes.selectors import (
    has_plans_elsewhere,
    opening,
    scheduled_versions,
    usable,
    version_in_force,
    versions_of,
)
from apps.qrcodes.services import (
    APPLY,
    CodeChanged,
    CodeRefused,
    CodeRetired,
    NothingChanged,
    apply_version,
    assign_terminal,
    check_terms,
    make_code,
    retire_code,
    revise_code,
    versions,
    withdraw_version,
)
from apps.qrcodes.terms import CodeTerms, PriceChoice, problems_of, terms_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def make(store: Store, **changes: Any) -> QRCode:
    terms = CodeTerms(store_id=store.pk, name="桌号 12")
    return make_code(kind="table", terms=replace(terms, **changes), actor=ACTOR, now=NOW)


def revise(
    code: QRCode, *, expected: int, at: datetime = NOW + HOUR, **changes: Any
) -> CodeVersion:
    starts_at = changes.pop("starts_at", None)
    terms = terms_of(version_in_force(code_id=code.pk, now=at))
    return revise_code(
        code_id=code.pk,
        terms=replace(terms, **changes),
        expected=expected,
        starts_at=starts_at,
        actor=ACTOR,
        now=at,
    )


class TestNow:
    def test_a_change_keeps_the_link_and_the_versions_before(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            version = revise(
                code,
                expected=1,
                name="露台 3",
                store_id=other.pk,
                pricing="fixed",
                amount_minor=800,
            )
            row = QRCode.objects.select_related("scenario").get(pk=code.pk)
            assert (version.number, row.token) == (2, code.token)
            assert (row.store_id, row.amount_minor) == (other.pk, 800)
            assert (row.scenario.name, row.scenario.store_id) == ("露台 3", other.pk)
            first = CodeVersion.objects.get(code=code, number=1)
            assert (first.store_id, first.name, first.amount_minor) == (store.pk, "桌号 12", None)
            assert version_in_force(code_id=code.pk, now=NOW).number == 1
            assert version_in_force(code_id=code.pk, now=NOW + HOUR).number == 2
            event = AuditEvent.objects.get(action="code.revised")
        assert (event.subject_id, event.data["version"]) == (code.pk, 2)

    def test_going_back_is_a_new_version(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            revise(code, expected=1, name="桌号 13")
            third = revise(code, expected=2, at=NOW + 2 * HOUR, name="桌号 12")
            first = CodeVersion.objects.get(code=code, number=1)
            assert terms_of(third) == terms_of(first)
            assert [one.number for one in versions_of(code)] == [3, 2, 1]

    def test_who_did_not_see_the_last_version_changes_nothing(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            revise(code, expected=1, name="桌号 13")
            with pytest.raises(CodeChanged) as changed:
                revise(code, expected=1, name="桌号 14")
            assert changed.value.version.number == 2
            assert CodeVersion.objects.filter(code=code).count() == 2

    def test_the_same_again_and_retired_codes_are_left_alone(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            with pytest.raises(NothingChanged):
                revise(code, expected=1)
            retire_code(code_id=code.pk, actor=ACTOR, now=NOW)
            with pytest.raises(CodeRetired):
                revise(code, expected=1, name="桌号 13")
            assert CodeVersion.objects.filter(code=code).count() == 1

    def test_stores_out_of_reach_or_closed_take_no_code(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
        with (
            enter_scope(Scope(merchant.pk, frozenset({store.pk}))),
            pytest.raises(Store.DoesNotExist),
        ):
            revise(code, expected=1, store_id=other.pk)
        with enter_scope(Scope(merchant.pk)):
            set_store_active(store_id=other.pk, active=False, actor=ACTOR, now=NOW)
            with pytest.raises(CodeRefused):
                revise(code, expected=1, store_id=other.pk)
            # Its own store may be closed: the price is changed before it opens again.
            set_store_active(store_id=store.pk, active=False, actor=ACTOR, now=NOW)
            assert revise(code, expected=1, name="桌号 13").number == 2

    def test_another_stores_terminal_is_refused(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            theirs = Terminal(store=other, name="P1", serial_no="S1", created_at=NOW)
            theirs.save(force_insert=True)
            with pytest.raises(CodeRefused) as refused:
                revise(code, expected=1, terminal_id=theirs.pk)
        assert (refused.value.field, refused.value.reason) == ("terminal", "elsewhere")


class TestPlanned:
    def test_it_begins_at_its_time_whether_or_not_the_task_came(self) -> None:
        merchant, _, store = make_merchant()
        begins = NOW + 5 * HOUR
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            revise(code, expected=1, starts_at=begins, pricing="fixed", amount_minor=900)
            assert QRCode.objects.get(pk=code.pk).amount_minor is None
            assert version_in_force(code_id=code.pk, now=begins - HOUR).amount_minor is None
            assert version_in_force(code_id=code.pk, now=begins).amount_minor == 900
        due = Due.objects.get(task=APPLY, merchant_id=merchant.pk, subject_id=code.pk)
        assert due.due_at == begins
        tasks.drain(now=begins, task=APPLY)
        with enter_scope(Scope(merchant.pk)):
            assert QRCode.objects.get(pk=code.pk).amount_minor == 900
        assert not Due.objects.filter(task=APPLY, merchant_id=merchant.pk).exists()

    def test_several_are_followed_one_after_the_other(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            for number, hours in enumerate((6, 3), start=1):
                revise(code, expected=number, starts_at=NOW + hours * HOUR, name=f"桌号 {hours}")
            planned = scheduled_versions(code_id=code.pk, now=NOW)
            assert [one.name for one in planned] == ["桌号 3", "桌号 6"]
        for hours in (3, 6):
            tasks.drain(now=NOW + hours * HOUR, task=APPLY)
            with enter_scope(Scope(merchant.pk)):
                row = QRCode.objects.select_related("scenario").get(pk=code.pk)
                assert row.scenario.name == f"桌号 {hours}"

    def test_a_planned_change_takes_the_terminal_that_the_code_has_by_then(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            old, new = (
                add_terminal(store_id=store.pk, name=name, actor=ACTOR, now=NOW)
                for name in ("旧", "新")
            )
            assign_terminal(code_id=code.pk, terminal_id=old.pk, actor=ACTOR, now=NOW)
            later = NOW + 3 * HOUR
            revise(code, expected=2, starts_at=later, name="夏", terminal_id=old.pk)
            assign_terminal(code_id=code.pk, terminal_id=new.pk, actor=ACTOR, now=NOW + HOUR)
            begun = version_in_force(code_id=code.pk, now=later)
            assert (begun.name, begun.terminal_id, begun.starts_at) == ("夏", new.pk, later)
            apply_version(code_id=code.pk, now=later)
            assert QRCode.objects.get(pk=code.pk).terminal_id == new.pk
            assert [one.number for one in versions_of(code)] == [5, 4, 3, 2, 1]
            assert versions_of(code)[2].withdrawn_at == NOW + HOUR

    def test_a_plan_of_another_store_keeps_what_it_says(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            terminal = add_terminal(store_id=store.pk, name="台", actor=ACTOR, now=NOW)
            later = NOW + 3 * HOUR
            revise(code, expected=1, starts_at=later, store_id=other.pk)
            assign_terminal(code_id=code.pk, terminal_id=terminal.pk, actor=ACTOR, now=NOW)
            begun = version_in_force(code_id=code.pk, now=later)
            assert (begun.store_id, begun.terminal_id, begun.number) == (other.pk, None, 2)
            # The code goes elsewhere now, and is planned to come back to the terminal's store.
            revise(code, expected=3, starts_at=later + HOUR, terminal_id=terminal.pk)
            assert has_plans_elsewhere(terminal_id=terminal.pk, store_id=other.pk, now=NOW)
            assert not has_plans_elsewhere(terminal_id=terminal.pk, store_id=store.pk, now=NOW)
            assert not has_plans_elsewhere(
                terminal_id=terminal.pk, store_id=other.pk, now=later + 2 * HOUR
            )

    def test_a_withdrawn_one_never_begins(self) -> None:
        merchant, _, store = make_merchant()
        begins = NOW + 5 * HOUR
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            revise(code, expected=1, starts_at=begins, name="桌号 13")
            for _again in range(2):
                withdraw_version(code_id=code.pk, number=2, actor=ACTOR, now=NOW + 2 * HOUR)
            assert AuditEvent.objects.filter(action="code.withdrawn").count() == 1
            assert scheduled_versions(code_id=code.pk, now=NOW) == []
        tasks.drain(now=begins, task=APPLY)
        with enter_scope(Scope(merchant.pk)):
            assert version_in_force(code_id=code.pk, now=begins).number == 1
            assert QRCode.objects.select_related("scenario").get().scenario.name == "桌号 12"

    def test_what_has_begun_cannot_be_withdrawn(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            revise(code, expected=1, name="桌号 13")
            with pytest.raises(CodeRefused):
                withdraw_version(code_id=code.pk, number=2, actor=ACTOR, now=NOW + HOUR)

    def test_two_at_one_moment_and_too_many_are_refused(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            for number in range(1, 11):
                starts_at = NOW + timedelta(days=number)
                revise(code, expected=number, starts_at=starts_at, name=f"桌号 {number}")
            withdraw_version(code_id=code.pk, number=2, actor=ACTOR, now=NOW)
            with pytest.raises(CodeRefused) as twice:
                revise(code, expected=11, starts_at=NOW + timedelta(days=2), name="桌号 x")
            assert twice.value.reason == "twice"
            revise(code, expected=11, starts_at=NOW + timedelta(days=20), name="桌号 x")
            with pytest.raises(CodeRefused) as many:
                revise(code, expected=12, starts_at=NOW + timedelta(days=30), name="桌号 y")
            assert many.value.reason == "too_many"


def _together(code: QRCode, merchant: Merchant) -> list[str]:
    """Six members change a code at once, each having seen version 1; what each was told, "" for done."""
    start = threading.Barrier(6)
    told: list[str] = []

    def change(name: str) -> None:
        try:
            start.wait()
            with enter_scope(Scope(merchant.pk)):
                revise(code, expected=1, name=name)
            told.append("")
        except (CodeChanged, IntegrityError) as error:
            told.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=[f"桌号 {one}"]) for one in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(told)


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_of_six_at_once_one_changes_and_the_others_read_why_not(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
        assert _together(code, merchant) == ["", *["CodeChanged"] * 5]

    def test_without_the_lock_some_meet_the_tables_constraint(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
        everybody_has_looked = threading.Barrier(6)
        check = check_terms

        def check_together(*args: Any, **kwargs: Any) -> Any:
            everybody_has_looked.wait()
            return check(*args, **kwargs)

        monkeypatch.setattr(versions, "_held", lambda code_id: QRCode.objects.get(pk=code_id))
        monkeypatch.setattr(versions, "check_terms", check_together)
        told = _together(code, merchant)
        assert told == ["", *["IntegrityError"] * 5]


class TestUsable:
    def test_hours_close_it_and_tell_when_it_opens(self) -> None:
        merchant, _, store = make_merchant()
        # 2026-11-23 was a Monday; ten to twelve on each day.
        hours = (((600, 720),),) * 7
        with enter_scope(Scope(merchant.pk)):
            code = make(store, hours=hours)
            version = version_in_force(code_id=code.pk, now=NOW)
            closed = datetime.fromisoformat("2026-11-23T09:30:00+08:00")
            assert usable(code, closed, version=version) == "hours"
            assert opening(version, closed).next_at == closed + timedelta(minutes=30)
            assert usable(code, closed + HOUR, version=version) is None

    def test_a_planned_end_holds_before_the_codes_row_follows(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = make(store)
            version = revise(code, expected=1, valid_until=NOW + 2 * HOUR)
            assert usable(code, NOW + 2 * HOUR) is None
            assert usable(code, NOW + 2 * HOUR, version=version) == "expired"


TERMS = CodeTerms(store_id=1, name="桌号 12")
LARGE = PriceChoice(name="Large", minor=2_000)
SMALL = PriceChoice(name="Small", minor=1_000)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"name": ""}, "name", "missing"),
        ({"name": "x" * 61}, "name", "too_long"),
        ({"name_en": "x" * 81}, "name_en", "too_long"),
        ({"details": {"area": "x" * 61}}, "details", "too_long"),
        ({"pricing": "auction"}, "pricing", "unknown"),
        ({"note_mode": "loud"}, "note_mode", "unknown"),
        ({"language": "fr"}, "language", "unknown"),
        ({"wallets": ("purse",)}, "wallets", "unknown"),
        ({"pricing": "fixed"}, "amount", "missing"),
        ({"pricing": "fixed", "amount_minor": 0}, "amount", "out_of_range"),
        ({"pricing": "fixed", "amount_minor": MAX_AMOUNT_MINOR + 1}, "amount", "out_of_range"),
        ({"pricing": "fixed", "amount_minor": 5, "least_minor": 6}, "amount", "outside_limits"),
        ({"pricing": "fixed", "amount_minor": 7, "day_limit_minor": 6}, "amount", "outside_limits"),
        ({"pricing": "list"}, "choices", "missing"),
        ({"pricing": "list", "choices": (SMALL,) * 2}, "choices", "twice"),
        (
            {"pricing": "list", "choices": (SMALL, LARGE), "most_minor": 1_500},
            "choices",
            "outside_limits",
        ),
        ({"least_minor": 0}, "least_minor", "out_of_range"),
        ({"least_minor": 6, "most_minor": 5}, "most_minor", "below_the_one_before"),
        ({"least_minor": 6, "day_limit_minor": 5}, "day_limit_minor", "below_the_one_before"),
        ({"day_limit_count": 0}, "day_limit_count", "out_of_range"),
        (
            {"day_limit_count": 5, "total_limit_count": 4},
            "total_limit_count",
            "below_the_one_before",
        ),
        ({"valid_from": NOW + HOUR, "valid_until": NOW + HOUR}, "valid_until", "before_it_begins"),
        ({"valid_until": NOW}, "valid_until", "over"),
    ],
)
def test_terms_that_do_not_go_together_are_named(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    assert (field, reason) in {
        (problem.field, problem.reason)
        for problem in problems_of(replace(TERMS, **changes), now=NOW)
    }


def test_sound_terms_have_no_problem() -> None:
    full = replace(
        TERMS,
        pricing="list",
        choices=(SMALL, LARGE),
        least_minor=500,
        most_minor=5_000,
        day_limit_minor=50_000,
        day_limit_count=30,
        total_limit_minor=500_000,
        total_limit_count=300,
        wallets=("alipay",),
        language="en",
        valid_until=NOW + HOUR,
    )
    assert problems_of(full, now=NOW) == []
