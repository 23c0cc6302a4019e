"""Each fault that is put in gets its own diagnosis and no other; what is well gets none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import translation
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from apps.core import clock
from apps.core.models import AuditEvent
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import make_shop
from apps.operations import services
from apps.operations.doctor import Check, State, may_rehearse, notebook, rehearse
from apps.operations.doctor.words import tell
from apps.operations.tests.clinic import ACTOR, Clinic, answering, saying
from apps.payments import services as payments
from apps.payments.models import Order, OrderState
from apps.platforms.gateway import StatementKind
from apps.platforms.models import AccountTerminal, PlatformAccount
from apps.platforms.services import pacing
from apps.statements.services import expect_day, fetch_statement
from merchant_portal.tests.foreign.harness import Simulator, running_simulator

pytestmark = pytest.mark.simulator

PLATFORMS = ("wechatpay", "alipay", "unionpay", "shouqianba")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_simulator(tmp_path_factory.mktemp("clinic")) as simulator:
        yield simulator


@pytest.fixture
def clinic(
    transactional_db: None, live_server: LiveServer, settings: Settings, simulator: Simulator
) -> Iterator[Clinic]:
    settings.PUBLIC_URL = live_server.url
    settings.PLATFORM_HTTP_TIMEOUT = 5
    simulator.control("faults", {}, "DELETE")
    shop = make_shop()
    clinic = Clinic(shop, simulator, settings)
    clinic.point(simulator.address)
    with enter_scope(shop.scope), clinic.rooms:
        yield clinic
    simulator.control("faults", {}, "DELETE")
    simulator.control("clock", {"offset_seconds": 0})


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_well_gets_no_diagnosis(clinic: Clinic, platform: str) -> None:
    clinic.connect(platform)
    clinic.pay()
    clinic.deliver()
    found = clinic.examine(later=timedelta(minutes=3))
    assert found.diagnoses == ()
    assert found.is_well, [one for one in found.findings if one.state is not State.OK]


@pytest.mark.parametrize(
    ("platform", "mode"),
    [("wechatpay", "certificate"), ("wechatpay", "both"), ("alipay", "certificate")],
)
def test_nor_does_what_is_well_by_certificates(clinic: Clinic, platform: str, mode: str) -> None:
    clinic.connect(platform, key_mode=mode)
    assert clinic.examine().is_well


# --- the faults -----------------------------------------------------------------------------------


def wrong_private_key(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.change(private_key=clinic.given("wechatpay")["private_key"])


def wrong_application_key(clinic: Clinic) -> None:
    clinic.connect("alipay")
    clinic.change(private_key=clinic.given("alipay")["private_key"])


def wrong_serial_number(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.change(serial_no=clinic.given("wechatpay")["serial_no"])


def foreign_platform_key(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.change(public_key=clinic.given("wechatpay")["public_key"])


def foreign_alipay_key(clinic: Clinic) -> None:
    clinic.connect("alipay")
    clinic.change(alipay_public_key=clinic.given("alipay")["alipay_public_key"])


def wrong_api_v3_key(clinic: Clinic) -> None:
    """Nothing but a notification tells it: this merchant has no certificates."""
    clinic.connect("wechatpay")
    clinic.change(api_v3_key="x" * 32)
    clinic.pay()
    clinic.deliver()


def wrong_api_v3_key_with_certificates(clinic: Clinic) -> None:
    clinic.connect("wechatpay", key_mode="certificate")
    clinic.change(api_v3_key="x" * 32)


def wrong_app_secret(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.change(app_secret="0" * 32)


def wrong_merchant_number(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.account.merchant_no = "1600000001"
    clinic.account.save()


def wrong_app_id(clinic: Clinic) -> None:
    clinic.connect("alipay")
    clinic.account.app_id = "2021000000000001"
    clinic.account.save()


def _made_at(clinic: Clinic, platform: str, days: int, **options: Any) -> dict[str, Any]:
    """A merchant whose certificates were issued so many days ago."""
    clinic.simulator.control("clock", {"offset_seconds": -days * 86_400})
    given = clinic.given(platform, **options)
    clinic.simulator.control("clock", {"offset_seconds": 0})
    return given


def expired_certificate(clinic: Clinic) -> None:
    old = _made_at(clinic, "unionpay", 5 * 365 + 20)
    clinic.connect("unionpay")
    clinic.change(certificate=old["certificate"], certificate_password=old["certificate_password"])


def expiring_certificate(clinic: Clinic) -> None:
    clinic.enter(_made_at(clinic, "unionpay", 5 * 365 - 12))


def expiring_platform_certificate(clinic: Clinic) -> None:
    clinic.enter(_made_at(clinic, "wechatpay", 5 * 365 - 12, key_mode="certificate"))


def platform_silent(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.settings.PLATFORM_HTTP_TIMEOUT = 1
    clinic.fault("slow", value={"seconds": 3})


def platform_unreachable(clinic: Clinic) -> None:
    clinic.connect("alipay")
    clinic.point("http://127.0.0.1:9", simulated=False)


def platform_in_trouble(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.fault("http_500")


def asked_too_often(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.fault("rate_limited")


def asked_alipay_too_often(clinic: Clinic) -> None:
    clinic.connect("alipay")
    clinic.fault("rate_limited")


def asked_unionpay_too_often(clinic: Clinic) -> None:
    clinic.connect("unionpay")
    clinic.fault("rate_limited")


def asked_shouqianba_too_often(clinic: Clinic) -> None:
    clinic.connect("shouqianba")
    clinic.fault("rate_limited")


def stranger_answers_for_wechat_pay(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.fault("wrong_signature")


def stranger_answers_by_certificate(clinic: Clinic) -> None:
    clinic.connect("wechatpay", key_mode="certificate")
    clinic.fault("wrong_signature")


def stranger_answers_for_alipay(clinic: Clinic) -> None:
    clinic.connect("alipay")
    clinic.fault("wrong_signature")


def false_authority_for_alipay(clinic: Clinic) -> None:
    clinic.connect("alipay", key_mode="certificate")
    clinic.fault("foreign_certificate")


def ended_certificate_of_alipay(clinic: Clinic) -> None:
    clinic.connect("alipay", key_mode="certificate")
    clinic.fault("expired_certificate")


def another_owners_certificate_for_unionpay(clinic: Clinic) -> None:
    clinic.connect("unionpay")
    clinic.fault("foreign_certificate")


def ended_certificate_of_unionpay(clinic: Clinic) -> None:
    clinic.connect("unionpay")
    clinic.fault("expired_certificate")


def stranger_answers_for_unionpay(clinic: Clinic) -> None:
    clinic.connect("unionpay")
    clinic.fault("wrong_signature")


def foreign_root_certificate(clinic: Clinic) -> None:
    """Entered wrong, and never proved: here the entry is to blame, not whoever answers."""
    clinic.connect("unionpay")
    clinic.change(
        root_certificate=clinic.given("alipay", key_mode="certificate")["alipay_root_certificate"]
    )


def no_permission_for_bills(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    refusal = b'{"code":"NO_AUTH","message":"\xe5\x95\x86\xe6\x88\xb7\xe6\x97\xa0\xe6\x9d\x83\xe9\x99\x90"}'
    clinic.between("/v3/bill/", saying(403, refusal, Content_Type="application/json"))


def bill_late(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.fault("bill_late")
    now = clock.now()
    day = clock.business_date(now) - timedelta(days=2)
    expected = expect_day(account_id=clinic.account.pk, kind=StatementKind.TRADE, day=day)
    fetch_statement(day_id=expected.pk, now=now)


def terminal_key_lost(clinic: Clinic) -> None:
    clinic.connect("shouqianba")
    # A key that has just been made is not taken for lost at its first refusal.
    earlier = clock.now() - timedelta(minutes=10)
    AccountTerminal.objects.update(activated_at=earlier, checked_in_at=earlier)
    clinic.fault("key_revoked", uses=1)


def terminal_missing(clinic: Clinic) -> None:
    clinic.connect("shouqianba")
    AccountTerminal.objects.all().delete()


def notices_lost(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.fault("notify_lost")
    for _ in range(3):
        payments.refresh_payment(payment_id=clinic.pay().pk, now=clock.now())


def notices_forged(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.pay()
    clinic.deliver()
    clinic.fault("notify_forged")
    clinic.pay()
    clinic.deliver()


def notices_replayed(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.pay()
    clinic.deliver()
    (notice,) = clinic.simulator.control(
        f"notices?platform=wechatpay&merchant_no={clinic.account.merchant_no}"
    )["notices"]
    # Six minutes later here: nothing is examined before the time is right again.
    with time_machine.travel(clock.now() + timedelta(minutes=6), tick=True):
        clinic.simulator.control("notices/replay", {"id": notice["id"]})


def breaker_open(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    tally = pacing.Tally()
    for _ in range(pacing.THRESHOLD):
        tally.hear(usable=False, code="timeout")
    pacing.report({clinic.account.pk: tally}, now=clock.now())


def address_unreachable(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.settings.PUBLIC_URL = "http://127.0.0.1:9"


def address_not_https(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.settings.NOTIFY_ALLOW_HTTP = False
    clinic.settings.PUBLIC_URL = "http://pay.example.com"


def address_in_a_private_network(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.settings.NOTIFY_ALLOW_HTTP = False
    clinic.settings.PUBLIC_URL = "https://127.0.0.1"


FAULTS: dict[Callable[[Clinic], None], str] = {
    wrong_private_key: "credential.private_key",
    wrong_application_key: "credential.private_key",
    wrong_serial_number: "credential.serial_no",
    foreign_platform_key: "credential.public_key",
    foreign_alipay_key: "credential.alipay_public_key",
    wrong_api_v3_key: "credential.api_v3_key",
    wrong_api_v3_key_with_certificates: "credential.api_v3_key",
    wrong_app_secret: "credential.app_secret",
    wrong_merchant_number: "credential.merchant_no",
    wrong_app_id: "credential.app_id",
    expired_certificate: "certificate_expired",
    expiring_certificate: "certificate_expires",
    expiring_platform_certificate: "certificate_expires",
    platform_silent: "platform_silent",
    platform_unreachable: "platform_silent",
    platform_in_trouble: "platform_trouble",
    asked_too_often: "platform_too_often",
    asked_alipay_too_often: "platform_too_often",
    asked_unionpay_too_often: "platform_too_often",
    asked_shouqianba_too_often: "platform_too_often",
    stranger_answers_for_wechat_pay: "answer_untrusted",
    stranger_answers_by_certificate: "answer_untrusted",
    stranger_answers_for_alipay: "answer_untrusted",
    false_authority_for_alipay: "answer_untrusted",
    ended_certificate_of_alipay: "answer_untrusted",
    another_owners_certificate_for_unionpay: "answer_untrusted",
    ended_certificate_of_unionpay: "answer_untrusted",
    stranger_answers_for_unionpay: "answer_untrusted",
    foreign_root_certificate: "credential.root_certificate",
    no_permission_for_bills: "bill_permission",
    bill_late: "bill_late",
    terminal_key_lost: "terminal_lost",
    terminal_missing: "terminal_missing",
    notices_lost: "notices_lost",
    notices_forged: "notices_forged",
    notices_replayed: "notices_replayed",
    breaker_open: "breaker_open",
    address_unreachable: "address_unreachable",
    address_not_https: "address_http",
    address_in_a_private_network: "address_private",
}


@pytest.mark.parametrize(
    ("fault", "diagnosis"), FAULTS.items(), ids=[fault.__name__ for fault in FAULTS]
)
def test_each_fault_gets_its_diagnosis_and_no_other(
    clinic: Clinic, fault: Callable[[Clinic], None], diagnosis: str
) -> None:
    fault(clinic)
    found = clinic.examine(later=timedelta(minutes=3) if "notices" in diagnosis else timedelta(0))
    assert found.diagnoses == (diagnosis,), [tell(one) for one in found.troubles]
    tells_in_both_languages(found.troubles[0])


def tells_in_both_languages(finding: Any) -> None:
    said = []
    for language in ("en", "zh-hans"):
        with translation.override(language):
            told = tell(finding)
        assert told.title
        assert told.fix
        assert "%(" not in told.title + told.fix
        said.append(told)
    english, chinese = said
    assert english.title.isascii() or "“" in english.title
    assert any("一" <= letter <= "鿿" for letter in chinese.title)
    assert any("一" <= letter <= "鿿" for letter in chinese.fix)


@pytest.mark.parametrize("platform", ["wechatpay", "alipay"])
@pytest.mark.parametrize("minutes", [10, -10])
def test_a_clock_that_is_ten_minutes_off_is_told_as_that(
    clinic: Clinic, platform: str, minutes: int
) -> None:
    clinic.connect(platform)
    with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
        found = clinic.examine()
    assert found.diagnoses == ("clock_skew",)
    with translation.override("en"):
        title = tell(found.troubles[0]).title
    assert f"10 minutes (it is {'fast' if minutes > 0 else 'slow'})" in title
    tells_in_both_languages(found.troubles[0])


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("seconds", [900, -900])
def test_a_platform_whose_clock_is_elsewhere(clinic: Clinic, platform: str, seconds: int) -> None:
    """Whose clock is wrong cannot be told from here; that they are apart is the diagnosis, whatever is refused for it."""
    clinic.connect(platform)
    clinic.fault("clock_skew", value={"seconds": seconds})
    found = clinic.examine()
    assert found.diagnoses == ("clock_skew",)
    with translation.override("en"):
        title = tell(found.troubles[0]).title
    assert f"15 minutes (it is {'slow' if seconds > 0 else 'fast'})" in title


def test_notices_that_a_wrong_clock_makes_look_old_are_no_replays(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    clinic.pay()
    clinic.fault("clock_skew", value={"seconds": 900})
    clinic.deliver()
    assert clinic.examine(later=timedelta(minutes=3)).diagnoses == ("clock_skew",)


def test_a_moved_simulated_clock_is_no_wrong_clock(clinic: Clinic) -> None:
    clinic.connect("unionpay")
    clinic.simulator.control("clock", {"offset_seconds": 900})
    assert "clock_skew" not in clinic.examine().diagnoses


@pytest.mark.parametrize(
    "fault",
    [stranger_answers_for_wechat_pay, false_authority_for_alipay, ended_certificate_of_unionpay],
)
def test_an_untrusted_answer_says_nothing_of_the_keys(
    clinic: Clinic, fault: Callable[[Clinic], None]
) -> None:
    fault(clinic)
    # The second time the account's own mark is red already: the diagnosis stays.
    for found in (clinic.examine(), clinic.examine()):
        assert found.diagnoses == ("answer_untrusted",)
        keys = next(one for one in found.findings if one.check is Check.CREDENTIALS)
        assert keys.state is State.UNKNOWN
        assert keys.values == {"check": "platform"}
        with translation.override("en"):
            told = tell(found.troubles[0])
        assert "Do not change the keys" in told.fix
        assert told.fix.startswith(("It was signed", "The signature"))


def test_without_its_simulator_nothing_is_diagnosed_and_nothing_written(clinic: Clinic) -> None:
    account = clinic.connect("wechatpay")
    before = services.examine_account(account, now=clock.now(), actor=ACTOR)
    events = AuditEvent.objects.count()
    clinic.point("http://127.0.0.1:9")
    found = services.examine_account(account, now=clock.now(), actor=ACTOR)
    assert found.diagnoses == ("simulator_off",)
    assert [one.code for one in found.findings] == ["simulator_off"]
    with translation.override("en"):
        told = tell(found.troubles[0])
    assert told.title == "The simulator at http://127.0.0.1:9 does not run."
    assert "script/server" in told.fix
    assert notebook.latest(account.pk) == before
    assert AuditEvent.objects.count() == events


def test_a_clock_that_drifts_is_a_warning(clinic: Clinic) -> None:
    clinic.connect("wechatpay")
    with time_machine.travel(clock.now() + timedelta(minutes=2), tick=True):
        found = clinic.examine()
    assert found.diagnoses == ("clock_drifts",)


@pytest.mark.parametrize(
    ("status", "headers", "diagnosis"),
    [
        (200, {}, "address_stranger"),
        (404, {}, "address_stranger"),
        (502, {}, "address_trouble"),
        (301, {"Location": "https://elsewhere.example/"}, "address_redirects"),
    ],
)
def test_an_address_where_others_answer(
    clinic: Clinic, status: int, headers: dict[str, str], diagnosis: str
) -> None:
    clinic.connect("wechatpay")
    with answering(saying(status, b"<html>hello</html>", **headers)) as url:
        clinic.settings.PUBLIC_URL = url
        found = clinic.examine()
    assert found.diagnoses == (diagnosis,)
    tells_in_both_languages(found.troubles[0])


def test_what_hangs_on_a_fault_is_not_told_and_says_on_which(clinic: Clinic) -> None:
    wrong_private_key(clinic)
    untold = {one.check: one for one in clinic.examine().findings if one.state is State.UNKNOWN}
    assert set(untold) == {Check.BILLS}
    with translation.override("en"):
        assert "“Keys and numbers”" in tell(untold[Check.BILLS]).fix


def test_a_silent_platform_explains_its_open_breaker(clinic: Clinic) -> None:
    breaker_open(clinic)
    clinic.point("http://127.0.0.1:9", simulated=False)
    assert clinic.examine().diagnoses == ("platform_silent",)


# --- the rehearsal --------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_rehearsal_pays_and_refunds_one_fen(clinic: Clinic, platform: str) -> None:
    clinic.connect(platform)
    made = rehearse(clinic.account, actor=ACTOR)
    assert made.passed, made.steps
    assert len(made.steps) == 4
    order = Order.objects.get()
    assert (order.subject, order.amount_minor, order.state) == ("Rehearsal", 1, OrderState.PAID)
    assert made.order_id == order.pk


def test_nothing_is_rehearsed_with_real_money(clinic: Clinic) -> None:
    account: PlatformAccount = clinic.connect("wechatpay")
    assert may_rehearse(account)
    clinic.settings.WECHATPAY_API_URL = "https://api.mch.weixin.qq.com"
    assert not may_rehearse(account)
    clinic.point(clinic.simulator.address)
    clinic.settings.NOTIFY_ALLOW_HTTP = False
    assert not may_rehearse(account)
    with pytest.raises(Exception, match="simulator"), translation.override("en"):
        rehearse(account, actor=ACTOR)
    assert not Order.objects.exists()
