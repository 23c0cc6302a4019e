"""Making codes, moving them, telling whether they take payments, counting scans."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.core.doors import find_door
from apps.core.models import AuditEvent, Door
from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store
from apps.merchants.services import set_store_active
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant, make_store
from apps.platforms import registry
from apps.platforms.gateway import Capability, Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.fakes import FakeGateway
from apps.qrcodes.models import CodeState, QRCode, Scan, Scenario
from apps.qrcodes.selectors import (
    CodeFilters,
    display_state,
    link_of,
    list_codes,
    page_codes,
    placard_of,
    scans_today,
    usable,
    wallets_of,
)
from apps.qrcodes.services import (
    CodeRefused,
    CodeRetired,
    create_code,
    pause_code,
    resume_code,
    retire_code,
)

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def _create(store: Store, **changes: Any) -> QRCode:
    given: dict[str, Any] = {"kind": "table", "name": "桌号 12", "name_en": "Table 12"}
    return create_code(store_id=store.pk, **(given | changes), actor=ACTOR, now=NOW)


class TestCreate:
    def test_makes_scenario_code_and_door(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = _create(store, amount=Money(1250))
            assert (code.amount_minor, code.state) == (1250, CodeState.ACTIVE)
            assert code.scenario.name == "桌号 12"
            assert link_of(code) == f"http://localhost:8000/q/{code.token}"
            door = find_door(kind="qrcode", token=code.token)
            assert door.subject_id == code.pk
            event = AuditEvent.objects.get(action="code.created")
        assert (event.subject_id, event.store_id) == (code.pk, store.pk)
        assert event.data["amount"] == "12.50"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"kind": "roof"}, "kind"),
            ({"name": ""}, "name"),
            ({"amount": Money(0)}, "amount"),
            ({"amount": Money(-1)}, "amount"),
            ({"amount": Money(MAX_AMOUNT_MINOR + 1)}, "amount"),
            ({"valid_from": NOW, "valid_until": NOW}, "valid_until"),
        ],
    )
    def test_refusals_leave_nothing(self, changes: dict[str, Any], field: str) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            with pytest.raises(CodeRefused) as refused:
                _create(store, **changes)
            assert refused.value.field == field
            assert not Scenario.objects.exists()
            assert not Door.objects.filter(kind="qrcode").exists()

    def test_closed_and_unreachable_stores_are_refused(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            set_store_active(store_id=store.pk, active=False, actor=ACTOR, now=NOW)
            with pytest.raises(CodeRefused):
                _create(store)
        with (
            enter_scope(Scope(merchant.pk, frozenset({store.pk}))),
            pytest.raises(Store.DoesNotExist),
        ):
            _create(other)
        with enter_scope(Scope(merchant.pk)):
            assert not QRCode.objects.exists()


class TestStates:
    def test_pause_resume_retire_keep_the_token(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = moved = _create(store)
            for step in (pause_code, pause_code, resume_code, retire_code, retire_code):
                moved = step(code_id=code.pk, actor=ACTOR, now=NOW)
                assert moved.token == code.token
            assert moved.state == CodeState.RETIRED
            actions = AuditEvent.objects.filter(subject_kind="code").order_by("pk")
            assert [event.action for event in actions] == [
                "code.created",
                "code.paused",
                "code.resumed",
                "code.retired",
            ]

    def test_retired_is_final(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = _create(store)
            retire_code(code_id=code.pk, actor=ACTOR, now=NOW)
            for step in (pause_code, resume_code):
                with pytest.raises(CodeRetired):
                    step(code_id=code.pk, actor=ACTOR, now=NOW)
            code.refresh_from_db()
            assert code.state == CodeState.RETIRED
            assert AuditEvent.objects.filter(subject_kind="code").count() == 2

    def test_another_stores_code_cannot_be_moved(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            code = _create(store)
        with (
            enter_scope(Scope(merchant.pk, frozenset({other.pk}))),
            pytest.raises(QRCode.DoesNotExist),
        ):
            retire_code(code_id=code.pk, actor=ACTOR, now=NOW)

    @pytest.mark.parametrize(
        ("at", "state"),
        [
            (NOW - HOUR, "not_yet"),
            (NOW, "active"),
            (NOW + HOUR, "expired"),
        ],
    )
    def test_the_period_is_half_open(self, at: datetime, state: str) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = _create(store, valid_from=NOW, valid_until=NOW + HOUR)
            assert display_state(code, at) == state
            assert usable(code, at) == (None if state == "active" else state)
            found = {
                wanted: list_codes(CodeFilters(state=wanted), now=at).count()
                for wanted in ("", "all", "active", "not_yet", "expired", "paused", "retired")
            }
        assert {wanted for wanted, count in found.items() if count} == {"", "all", state}

    def test_paused_and_closed_store_are_told_apart(self) -> None:
        merchant, _, store = make_merchant()
        make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            code = _create(store)
            code.store = set_store_active(store_id=store.pk, active=False, actor=ACTOR, now=NOW)
            assert usable(code, NOW) == "store_closed"
            paused = pause_code(code_id=code.pk, actor=ACTOR, now=NOW)
            assert usable(paused, NOW) == "paused"


class TestScans:
    def test_today_begins_with_the_business_day(self) -> None:
        merchant, _, store = make_merchant()
        Merchant.objects.update(day_starts_at="02:00")
        merchant.refresh_from_db()
        # 02:00 in China on that day.
        start = datetime.fromisoformat("2026-11-24T02:00:00+08:00")
        with enter_scope(Scope(merchant.pk)):
            code, quiet = _create(store), _create(store)
            for at in (start - timedelta(seconds=1), start, start + HOUR):
                Scan.objects.create(code_id=code.pk, store_id=store.pk, at=at, wallet="alipay")
            counts = scans_today([code.pk, quiet.pk], merchant=merchant, now=start + 2 * HOUR)
        assert counts == {code.pk: 2}


class TestReading:
    def test_pages_go_both_ways(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)), transaction.atomic():
            ids = [_create(store).pk for _ in range(5)][::-1]

            def page(**place: int) -> tuple[list[int], int | None, int | None]:
                found = page_codes(CodeFilters(), merchant=merchant, now=NOW, size=2, **place)
                return [row.code.pk for row in found.rows], found.newer, found.older

            assert page() == (ids[:2], None, ids[1])
            assert page(after=ids[1]) == (ids[2:4], ids[2], ids[3])
            assert page(after=ids[3]) == (ids[4:], ids[4], None)
            assert page(before=ids[4]) == (ids[2:4], ids[2], ids[3])
            assert page(before=ids[2]) == (ids[:2], None, ids[1])

    def test_search_by_name_or_number_within_reach(self) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            table = _create(store)
            stall = _create(other, name="夜市", name_en="Night market", kind="event")

            def found(**filters: Any) -> list[QRCode]:
                return list(list_codes(CodeFilters(**filters), now=NOW))

            assert found(text="桌号") == [table]
            assert found(text="night") == [stall]
            assert found(text=stall.token) == [stall]
            assert found(kind="table") == [table]
            assert found(store_id=other.pk) == [stall]
            assert found(text="%") == []
        with enter_scope(Scope(merchant.pk, frozenset({other.pk}))):
            assert found() == [stall]

    def test_the_placard_names_the_wallets_that_an_account_of_the_store_takes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Aggregator(FakeGateway):
            capabilities = frozenset({Capability.AGGREGATES})

        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = _create(store)
            for platform, expected in (
                ("unionpay", ("unionpay",)),
                ("alipay", ("alipay", "unionpay")),
                ("shouqianba", ("wechatpay", "alipay", "unionpay")),
            ):
                PlatformAccount.objects.create(
                    platform=platform,
                    label=platform,
                    ref=platform,
                    merchant_no=platform,
                    credentials_sealed=b"",
                )
                monkeypatch.setitem(registry.CONNECTORS, Platform.SHOUQIANBA, Aggregator)
                assert wallets_of(code) == expected

    def test_the_placard_speaks_its_language(self) -> None:
        merchant, _, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            code = _create(store, amount=Money(880))
            # No platform is connected yet: the placard names the usual wallets.
            wallets = wallets_of(code)
            assert wallets == ("wechatpay", "alipay")
            titles = [
                placard_of(code, merchant=merchant, language=language, wallets=wallets).title
                for language in ("zh-hans", "en", "both")
            ]
        assert titles == [
            "晨光咖啡 · 中山路店 · 桌号 12",
            "Morning Coffee · Zhongshan Road · Table 12",
            "晨光咖啡 Morning Coffee · 中山路店 Zhongshan Road · 桌号 12 Table 12",
        ]
