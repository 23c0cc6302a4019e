"""The tags and filters that every page shares."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import translation

from apps.core.money import Money
from apps.core.names import named
from apps.core.states import STATES
from apps.core.templatetags import portal

NOW = datetime(2026, 11, 24, 1, 5, 12, tzinfo=UTC)


def render(source: str, **context: Any) -> str:
    return Template("{% load portal %}" + source).render(Context(context))


class TestMoney:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0, "¥0.00"),
            (5, "¥0.05"),
            (123_450, "¥1,234.50"),
            (Money(1_250), "¥12.50"),
            (-1_200, "−¥12.00"),
            (10_000_000_000, "¥100,000,000.00"),
            (Money(100, "USD"), "USD 1.00"),
            (None, ""),
            (True, ""),
            ("12.50", ""),
        ],
    )
    def test_money(self, value: object, shown: str) -> None:
        assert portal.money(value) == shown

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (123_450, "1234.50"),
            (Money(-5), "-0.05"),
            ("88.8", "88.80"),
            ("0.001", "0.001"),
            (None, ""),
        ],
    )
    def test_yuan(self, value: object, shown: str) -> None:
        assert portal.yuan(value) == shown

    def test_negative_turns_the_sign(self) -> None:
        assert render("{{ m|negative|money }}", m=Money(1_250)) == "−¥12.50"
        assert render("{{ m|negative|money }}", m=1_250) == "−¥12.50"
        assert portal.negative("x") == ""


class TestTime:
    def test_china_time_is_eight_hours_ahead_and_names_its_zone(self) -> None:
        with translation.override("en"):
            html = portal.china_time(NOW)
        assert ">2026-11-24 09:05:12</time>" in html
        assert 'datetime="2026-11-24T01:05:12Z"' in html
        assert 'title="2026-11-24 09:05:12 China time (UTC+8)"' in html

    @pytest.mark.parametrize(
        ("form", "shown"),
        [("minutes", "2026-11-24 09:05"), ("time", "09:05:12"), ("day", "2026-11-24")],
    )
    def test_forms(self, form: str, shown: str) -> None:
        assert f">{shown}</time>" in portal.china_time(NOW, form)

    def test_text_has_no_markup(self) -> None:
        assert portal.china_time(NOW, "text") == "2026-11-24 09:05:12"

    def test_a_naive_time_is_not_shown_as_if_it_were_known(self) -> None:
        assert portal.china_time(NOW.replace(tzinfo=None)) == ""
        assert portal.ago(NOW.replace(tzinfo=None), NOW) == ""
        assert portal.china_time(None) == ""

    def test_a_date_is_itself(self) -> None:
        assert portal.china_time(date(2026, 11, 24)) == "2026-11-24"

    @pytest.mark.parametrize(
        ("age", "english", "chinese"),
        [
            (timedelta(seconds=44), "just now", "刚刚"),
            (timedelta(seconds=45), "1 minute ago", "1 分钟前"),
            (timedelta(minutes=5), "5 minutes ago", "5 分钟前"),
            (timedelta(minutes=59, seconds=29), "59 minutes ago", "59 分钟前"),
            (timedelta(minutes=59, seconds=30), "1 hour ago", "1 小时前"),
            (timedelta(hours=23, minutes=59), "23 hours ago", "23 小时前"),
            (timedelta(days=1), "1 day ago", "1 天前"),
            (timedelta(days=29), "29 days ago", "29 天前"),
            (timedelta(minutes=-5), "in 5 minutes", "5 分钟后"),
            (timedelta(hours=-2), "in 2 hours", "2 小时后"),
            (timedelta(days=-3), "in 3 days", "3 天后"),
        ],
    )
    def test_ago(self, age: timedelta, english: str, chinese: str) -> None:
        with translation.override("en"):
            assert f">{english}</time>" in portal.ago(NOW - age, NOW)
        with translation.override("zh-hans"):
            assert f">{chinese}</time>" in portal.ago(NOW - age, NOW)

    def test_old_things_show_their_date(self) -> None:
        assert ">2026-10-25</time>" in portal.ago(NOW - timedelta(days=30), NOW)


class TestNumbers:
    def test_grouped(self) -> None:
        assert portal.grouped(1_234_567) == "1,234,567"
        assert portal.grouped("x") == ""

    def test_number_groups_join_to_the_number(self) -> None:
        number = "4200001234202611241234567890"
        groups = portal.number_groups(number)
        assert "".join(groups) == number
        assert [len(group) for group in groups] == [4] * 7
        assert portal.number_groups(None) == []

    def test_percent_of_stays_within_bounds(self) -> None:
        assert portal.percent_of(1, 3) == 33
        assert portal.percent_of(5, 3) == 100
        assert portal.percent_of(-1, 3) == 0
        assert portal.percent_of(1, 0) == 0


class TestMay:
    def test_request_and_set(self) -> None:
        request = SimpleNamespace(permissions=frozenset({"codes.view"}))
        assert portal.may(request, "codes.view")
        assert not portal.may(request, "codes.manage")
        assert portal.may({"a"}, "a")

    def test_without_permissions_nothing_is_allowed(self) -> None:
        assert not portal.may(RequestFactory().get("/"), "codes.view")
        assert not portal.may("", "")
        assert not portal.may("codes.view", "codes.view")


class TestIcons:
    def test_decoration_is_hidden_and_a_label_is_spoken(self) -> None:
        assert 'aria-hidden="true"' in portal.icon("cash")
        assert "#tabler-cash" in portal.icon("cash")
        assert 'aria-label="&lt;b&gt;"' in portal.icon("cash", label="<b>")

    def test_every_icon_named_in_the_tables_is_in_the_sprite(self) -> None:
        sprite = (settings.BASE_DIR / "static/vendor/icons/sprite.svg").read_text(encoding="utf-8")
        named = {state.icon for state in STATES.values()} | {
            portal.platform_icon(name) for name in ("wechatpay", "alipay", "unionpay", "shouqianba")
        }
        assert [name for name in sorted(named) if f'id="tabler-{name}"' not in sprite] == []

    def test_every_icon_named_in_a_template_is_in_the_sprite(self) -> None:
        sprite = (settings.BASE_DIR / "static/vendor/icons/sprite.svg").read_text(encoding="utf-8")
        named = set()
        for path in (settings.BASE_DIR / "templates").rglob("*.html"):
            for part in path.read_text(encoding="utf-8").split('{% icon "')[1:]:
                named.add(part.split('"')[0])
        assert len(named) > 20
        assert [name for name in sorted(named) if f'id="tabler-{name}"' not in sprite] == []


class TestStates:
    def test_the_same_value_may_mean_different_things(self) -> None:
        with translation.override("en"):
            assert portal.state_label("succeeded", "payment") == "Paid"
            assert portal.state_label("succeeded", "refund") == "Refunded"
            assert portal.state_label("pending") == "Pending"
            assert portal.state_label("pending", "approval") == "Waiting for confirmation"

    def test_unknown_is_an_honest_state_and_never_failed(self) -> None:
        assert portal.state_of("unknown").tone == "ask"
        assert portal.state_of("unknown").hint

    def test_a_state_without_entry_is_shown_as_it_is(self) -> None:
        state = portal.state_of("half_eaten")
        assert state.label == "Half eaten"
        assert state.tone == "quiet"

    def test_badge_has_word_icon_and_tooltip(self) -> None:
        source = '{% include "components/status_badge.html" with state="paid" only %}'
        with translation.override("zh-hans"):
            html = render(source)
        assert "已支付" in html
        assert "#tabler-circle-check" in html
        assert 'data-bs-toggle="tooltip"' in html
        assert 'tabindex="0"' in html

    def test_tones_exist_in_the_style_sheet(self) -> None:
        css = (settings.BASE_DIR / "static/css/components.css").read_text(encoding="utf-8")
        assert {f".tone-{state.tone}" in css for state in STATES.values()} == {True}


class TestQuery:
    def test_changes_and_removals(self) -> None:
        request = RequestFactory().get("/?a=1&b=2&after=x")
        assert render("{% query b=None c=3 %}", request=request) == "?a=1&amp;c=3"

    def test_the_place_in_the_list_survives_only_its_own_change(self) -> None:
        request = RequestFactory().get("/?a=1&after=x")
        assert render("{% query after='y' %}", request=request) == "?a=1&amp;after=y"
        assert render("{% query a=2 %}", request=request) == "?a=2"


class TestHere:
    def test_marks_the_page_and_its_namespace(self) -> None:
        request = RequestFactory().get("/")
        request.resolver_match = SimpleNamespace(  # type: ignore[assignment]
            view_name="qrcodes:code_list", namespace="qrcodes"
        )
        assert render('{% here "qrcodes:" %}', request=request) == 'aria-current="page"'
        assert render('{% here "qrcodes:code_list" %}', request=request) == 'aria-current="page"'
        assert render('{% here "reports:" %}', request=request) == ""
        assert render('{% here "reports:" %}') == ""


class TestComponents:
    def test_text_of_people_is_escaped(self) -> None:
        html = render(
            '{% include "components/note.html" with text=t title=t only %}'
            '{% include "components/number_copy.html" with number=t label=t only %}'
            '{% include "components/empty_state.html" with title=t text=t only %}',
            t='<script>"',
        )
        assert "<script" not in html
        assert 'data-copy="&lt;script&gt;&quot;"' in html


class TestNamed:
    BOTH = SimpleNamespace(name="湖滨店", name_en="Lakeside")
    CHINESE = SimpleNamespace(name="运河店", name_en="")

    @pytest.mark.parametrize(
        ("language", "both", "chinese"),
        [
            ("en", "Lakeside", "运河店"),
            ("en-gb", "Lakeside", "运河店"),
            ("fr", "Lakeside", "运河店"),
            ("zh-hans", "湖滨店", "运河店"),
            (None, "湖滨店", "运河店"),
        ],
    )
    def test_the_pages_language_decides(
        self, language: str | None, both: str, chinese: str
    ) -> None:
        with translation.override(language):
            assert render("{{ s|named }}", s=self.BOTH) == both
            assert render("{{ s|named }}", s=self.CHINESE) == chinese

    def test_the_caller_may_decide(self) -> None:
        with translation.override("zh-hans"):
            assert named(self.BOTH, english=True) == "Lakeside"
        with translation.override("en"):
            assert named(self.BOTH, english=False) == "湖滨店"

    def test_what_has_no_english_name_keeps_its_own(self) -> None:
        with translation.override("en"):
            assert render("{{ s|named }}", s=SimpleNamespace(name="Till")) == "Till"

    @pytest.mark.parametrize("value", [None, "", 7, "湖滨店"])
    def test_without_a_name_it_is_empty(self, value: object) -> None:
        assert portal.named(value) == ""

    def test_a_name_is_escaped(self) -> None:
        with translation.override("en"):
            shop = SimpleNamespace(name="店", name_en="Tea & <b>")
            assert render("{{ s|named }}", s=shop) == "Tea &amp; &lt;b&gt;"
