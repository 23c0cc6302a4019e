"""The doctor apart from any platform: the house, the words, the page, the command, the probe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.operations import health
from apps.operations.doctor import (
    Check,
    Examination,
    State,
    examine_house,
    notebook,
    proofs,
    words,
)
from apps.operations.doctor.evidence import notice_findings, product_finding
from apps.operations.doctor.findings import broken, examined, fine, unknown
from apps.operations.doctor.live import clock_finding
from apps.operations.doctor.papers import certificate_findings
from apps.operations.doctor.sentences import SENTENCES
from apps.payments.models import Payment, PaymentState
from apps.payments.tests.factories import make_account, make_payment
from apps.platforms import probes
from apps.platforms.gateway import Credentials
from apps.platforms.models import Notification, PlatformAccount
from apps.platforms.services import notify_url

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


def diagnoses(examination: Examination) -> dict[str, State]:
    return {one.code: one.state for one in examination.troubles}


# --- the house ------------------------------------------------------------------------------------


@pytest.fixture
def at_work(db: None) -> None:
    health.beat_now(now=clock.now())


def test_a_house_in_order_has_no_diagnosis(at_work: None) -> None:
    assert examine_house(now=clock.now()).is_well


def test_without_a_tick_of_beat_no_worker_works(db: None) -> None:
    assert diagnoses(examine_house(now=clock.now())) == {"worker_silent": State.BROKEN}
    health.beat_now(now=clock.now() - timedelta(minutes=5))
    assert diagnoses(examine_house(now=clock.now())) == {"worker_silent": State.BROKEN}


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(1, {}), (5, {"work_late": State.WARNING}), (30, {"work_late": State.BROKEN})],
)
def test_work_that_waits_too_long(
    at_work: None, shop: Shop, minutes: int, expected: dict[str, State]
) -> None:
    now = clock.now()
    due_at = now - timedelta(minutes=minutes)
    outbox.enqueue(task="refunds.send", merchant_id=shop.merchant.pk, subject_id=1, due_at=due_at)
    assert diagnoses(examine_house(now=now)) == expected


def test_work_that_somebody_is_at_does_not_wait(at_work: None, shop: Shop) -> None:
    now = clock.now()
    outbox.enqueue(
        task="statements.fetch",
        merchant_id=shop.merchant.pk,
        subject_id=1,
        due_at=now - timedelta(hours=1),
    )
    assert outbox.claim(now=now, limit=1)
    assert examine_house(now=now).is_well


def test_a_clock_apart_from_the_databases(at_work: None) -> None:
    with time_machine.travel(clock.now() + timedelta(minutes=3), tick=True):
        health.beat_now(now=clock.now())
        assert diagnoses(examine_house(now=clock.now())) == {"database_clock": State.WARNING}


def test_a_simulator_in_production(at_work: None, settings: Settings) -> None:
    settings.NOTIFY_ALLOW_HTTP = False
    assert examine_house(now=clock.now()).is_well
    settings.SIMULATOR_URL = "http://127.0.0.1:9100"
    assert diagnoses(examine_house(now=clock.now())) == {"simulator_in_production": State.BROKEN}
    settings.SIMULATOR_URL = ""
    settings.ALIPAY_GATEWAY_URL = "http://localhost:9100/gateway.do"
    found = examine_house(now=clock.now())
    assert diagnoses(found) == {"platform_address": State.BROKEN}
    with translation.override("en"):
        assert "ALIPAY_GATEWAY_URL" in words.tell(found.troubles[0]).fix


# --- dates and clocks -----------------------------------------------------------------------------

_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(*, begins: datetime, ends: datetime, ca: bool = False) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(_KEY, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def papers(**keys: str) -> list[tuple[str, object]]:
    held = Credentials(app_id="1", merchant_no="1", keys=keys)
    found = certificate_findings(held, platform="alipay", now=NOW)
    return [(one.code, one.values.get("field")) for one in found]


YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("days", "code"),
    [
        (-1, "certificate_expired"),
        (0.5, "certificate_expires"),
        (29.5, "certificate_expires"),
        (30.5, "certificates_ok"),
    ],
)
def test_the_end_of_a_certificate(days: float, code: str) -> None:
    pem = certificate(begins=NOW - YEAR, ends=NOW + timedelta(days=days))
    assert papers(app_certificate=pem) == [(code, "app_certificate")]


def test_a_certificate_of_tomorrow() -> None:
    pem = certificate(begins=NOW + timedelta(days=1), ends=NOW + YEAR)
    assert papers(app_certificate=pem) == [("certificate_not_yet", "app_certificate")]


def test_of_an_old_and_a_new_certificate_the_new_one_counts() -> None:
    old = certificate(begins=NOW - YEAR, ends=NOW + timedelta(days=3))
    new = certificate(begins=NOW - timedelta(days=1), ends=NOW + YEAR)
    assert papers(middle_certificate=old + new) == [("certificates_ok", "middle_certificate")]


def test_the_issuers_certificate_beside_it_does_not_hide_the_end() -> None:
    leaf = certificate(begins=NOW - YEAR, ends=NOW + timedelta(days=3))
    issuer = certificate(begins=NOW - YEAR, ends=NOW + 9 * YEAR, ca=True)
    assert papers(alipay_certificate=leaf + issuer) == [
        ("certificate_expires", "alipay_certificate")
    ]


def test_who_has_the_public_key_needs_no_platform_certificate() -> None:
    ended = certificate(begins=NOW - 2 * YEAR, ends=NOW - YEAR)
    assert papers(platform_certificates=ended) == [("certificate_expired", "platform_certificates")]
    both = papers(platform_certificates=ended, public_key="-----BEGIN PUBLIC KEY-----")
    assert both == [("certificates_none", None)]


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(3, "clock_ok"), (-59, "clock_ok"), (61, "clock_drifts"), (-300, "clock_skew")],
)
def test_how_far_clocks_may_be_apart(seconds: int, code: str) -> None:
    assert clock_finding(timedelta(seconds=seconds), refused=False).code == code


def test_a_platform_that_refuses_our_time_is_believed() -> None:
    assert clock_finding(timedelta(seconds=30), refused=True).code == "clock_skew"
    assert clock_finding(None, refused=True).code == "clock_refused"
    assert clock_finding(None, refused=False).state is State.UNKNOWN


# --- evidence -------------------------------------------------------------------------------------


def test_a_product_that_the_contract_does_not_cover(shop: Shop) -> None:
    with inside(shop):
        account = make_account(shop)
        payment = make_payment(shop, account, now=NOW)
        Payment.objects.filter(pk=payment.pk).update(state=PaymentState.FAILED, code_text="NO_AUTH")
        assert product_finding(account, now=NOW).code == "product_refused"
        later = make_payment(shop, account, now=NOW + timedelta(minutes=1))
        Payment.objects.filter(pk=later.pk).update(
            state=PaymentState.SUCCEEDED, paid_at=NOW, booked_date=NOW.date()
        )
        assert product_finding(account, now=NOW).code == "products_ok"


@pytest.mark.parametrize(
    ("detail", "doubtful", "code"),
    [
        ("wrong", False, "notices_forged"),
        ("probe", False, "notices_none_due"),
        ("wrong", True, "notices_none_due"),
        ("timestamp", False, "notices_replayed"),
        ("timestamp", True, "notices_replayed"),
    ],
)
def test_wrong_signatures(shop: Shop, detail: str, doubtful: bool, code: str) -> None:
    """The platform's own probes are no forgeries, nor is what our wrong copy of its key cannot verify."""
    with inside(shop):
        account = make_account(shop)
        Notification.objects.create(
            account_id=account.pk,
            received_at=NOW,
            body_sha256=b"x",
            verdict="bad_signature",
            state="refused",
            detail=detail,
        )
        codes = [one.code for one in notice_findings(account, now=NOW, keys_doubtful=doubtful)]
    assert code in codes
    assert ("notices_forged" in codes) == (code == "notices_forged")
    assert ("notices_replayed" in codes) == (code == "notices_replayed")


def test_a_wrong_clock_makes_genuine_notices_look_old(shop: Shop) -> None:
    with inside(shop):
        account = make_account(shop)
        Notification.objects.create(
            account_id=account.pk,
            received_at=NOW,
            body_sha256=b"x",
            verdict="bad_signature",
            state="refused",
            detail="timestamp",
        )
        found = notice_findings(account, now=NOW, keys_doubtful=False, clock_doubtful=True)
    assert [one.code for one in found] == ["notices_none_due"]


def entered(account: PlatformAccount, action: str, **data: object) -> None:
    audit.record(
        action=f"account.{action}",
        subject_kind="account",
        subject_id=account.pk,
        actor=Actor.system("test"),
        at=clock.now(),
        data=data,
    )


def test_what_worked_since_it_was_entered_was_not_entered_wrong(shop: Shop) -> None:
    with inside(shop):
        account = make_account(shop)
        assert not proofs.worked_since_entered(account)
        entered(account, "connected", check="unreachable")
        assert not proofs.worked_since_entered(account)
        entered(account, "checked", check="good")
        assert proofs.worked_since_entered(account)
        # A change of the name leaves the keys as they were; another key has proved nothing yet.
        entered(account, "changed", replaced=[], check="")
        entered(account, "checked", check="bad")
        assert proofs.worked_since_entered(account)
        entered(account, "changed", replaced=["public_key"], check="unreachable")
        assert not proofs.worked_since_entered(account)
        Notification.objects.create(
            account_id=account.pk,
            received_at=clock.now() + timedelta(seconds=1),
            body_sha256=b"x",
            verdict="good",
            state="applied",
        )
        assert proofs.worked_since_entered(account)
        entered(account, "changed", replaced=["public_key"], check="good")
        assert proofs.worked_since_entered(account)


# --- words ----------------------------------------------------------------------------------------


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s", text))


def test_every_diagnosis_has_words_in_both_languages() -> None:
    for code, (title, fix) in SENTENCES.items():
        for text in (title, fix):
            with translation.override("en"):
                english = str(text)
            with translation.override("zh-hans"):
                chinese = str(text)
            assert placeholders(english) == placeholders(chinese), code
            assert not english or english != chinese, code


def test_a_finding_outlives_the_cache_in_any_language() -> None:
    lost = broken(Check.TERMINALS, "terminal_lost", name="前台", sn="100", code="")
    kept = examined(
        [lost, unknown(Check.BILLS, because=lost), fine(Check.CLOCK, seconds=1)], now=NOW
    )
    again = Examination.from_dict(json.loads(json.dumps(kept.as_dict())))
    assert again == kept
    assert again.diagnoses == ("terminal_lost",)
    with translation.override("en"):
        assert words.tell(again.troubles[0]).title == "The key of the terminal 前台 (100) is lost."


# --- the probe ------------------------------------------------------------------------------------


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def address(account: PlatformAccount) -> str:
    return notify_url(account).removeprefix("http://localhost:8000")


def ask(client: Client, account: PlatformAccount, asked: str) -> tuple[int, bytes]:
    answer = client.post(address(account), headers={probes.HEADER: asked})
    return answer.status_code, answer.content


def test_the_portal_knows_its_own_question(
    client: Client, shop: Shop, account: PlatformAccount
) -> None:
    asked = probes.question(account.ref)
    status, said = ask(client, account, asked)
    assert status == 200
    assert probes.is_answer(asked, said)
    assert not probes.is_answer(probes.question(account.ref), said)
    with inside(shop):
        assert not Notification.objects.exists()


def test_strangers_cannot_ask(client: Client, shop: Shop, account: PlatformAccount) -> None:
    asked = probes.question(account.ref)
    for wrong in ("x", asked[:-1], probes.question("another"), ""):
        assert ask(client, account, wrong)[0] == 403
    with time_machine.travel(clock.now() + timedelta(minutes=3)):
        assert ask(client, account, asked)[0] == 403
    with inside(shop):
        assert not Notification.objects.exists()


def test_a_page_is_no_answer(account: PlatformAccount) -> None:
    asked = probes.question(account.ref)
    for said in (b"", b"<html>", "客".encode(), b"\xff" * 500):
        assert not probes.is_answer(asked, said)


# --- page and command -----------------------------------------------------------------------------


def test_the_page_examines_nothing_by_itself(
    client: Client, shop: Shop, account: PlatformAccount
) -> None:
    client.force_login(shop["auditor"])
    text = client.get("/m/tea/doctor/", headers={"accept-language": "en"}).content.decode()
    assert text.count("Not examined yet") == 2
    assert "Examine everything" not in text
    for path in ("run/", "portal/", f"{account.pk}/", f"{account.pk}/rehearse/"):
        assert client.post(f"/m/tea/doctor/{path}").status_code == 403
        assert client.get(f"/m/tea/doctor/{path}").status_code == 405


@pytest.fixture
def owner(client: Client, shop: Shop, account: PlatformAccount, settings: Settings) -> Client:
    settings.WECHATPAY_API_URL = settings.PUBLIC_URL = "http://127.0.0.1:9"
    client.force_login(shop["owner"])
    return client


def test_examining_shows_what_is_wrong_and_what_to_do(owner: Client, shop: Shop) -> None:
    english = {"accept-language": "en"}
    answer = owner.post("/m/tea/doctor/run/", headers=english, follow=True)
    text = answer.content.decode()
    assert "Nobody answers at the notification address." in text
    assert "All is well." not in text
    assert 'data-code="address_unreachable"' in text
    assert 'data-code="worker_silent"' in text
    chinese = owner.get("/m/tea/doctor/", headers={"accept-language": "zh-hans"}).content.decode()
    assert 'data-code="address_unreachable"' in chinese
    assert "Nobody answers" not in chinese


def test_with_script_each_sheet_asks_for_itself(owner: Client, account: PlatformAccount) -> None:
    htmx = {"HX-Request": "true", "accept-language": "en"}
    started = owner.post("/m/tea/doctor/run/", headers=htmx).content.decode()
    assert started.count('hx-trigger="load"') == 2
    assert "<html" not in started
    sheet = owner.post(f"/m/tea/doctor/{account.pk}/", headers=htmx).content.decode()
    assert sheet.count("<section") == 1
    assert f'id="sheet-{account.pk}"' in sheet
    assert "address_unreachable" in sheet
    house = owner.post("/m/tea/doctor/portal/", headers=htmx).content.decode()
    assert 'id="sheet-0"' in house


def test_a_rehearsal_is_refused_without_a_simulator(
    owner: Client, account: PlatformAccount
) -> None:
    page = owner.get("/m/tea/doctor/", headers={"accept-language": "en"})
    assert "Rehearse" not in page.content.decode()
    answer = owner.post(
        f"/m/tea/doctor/{account.pk}/rehearse/", headers={"accept-language": "en"}, follow=True
    )
    assert "not made with real money" in answer.content.decode()


def test_accounts_of_others_are_not_examined(owner: Client, db: None) -> None:
    other = make_shop("noodles")
    with inside(other):
        theirs = make_account(other)
    assert owner.post(f"/m/tea/doctor/{theirs.pk}/").status_code == 404


def test_the_command_says_no_unless_all_is_well(owner: Client, account: PlatformAccount) -> None:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", account=account.ref, json=True, stdout=out, language="en")
    report = json.loads(out.getvalue())
    assert report["ok"] is False
    (patient,) = report["accounts"]
    assert (patient["merchant"], patient["ref"]) == ("tea", account.ref)
    wrong = {one["code"]: one for one in patient["findings"] if one["state"] == "broken"}
    assert "address_unreachable" in wrong
    assert wrong["address_unreachable"]["fix"].startswith("Whoever runs the portal")


@pytest.fixture
def without_simulator(owner: Client, settings: Settings) -> Client:
    """A development machine on which nobody has started the simulator."""
    settings.SIMULATOR_URL = "http://127.0.0.1:9"
    settings.WECHATPAY_API_URL = "http://127.0.0.1:9/wechatpay"
    return owner


def test_the_command_says_that_the_simulator_does_not_run(
    without_simulator: Client, shop: Shop, account: PlatformAccount
) -> None:
    out = StringIO()
    with inside(shop):
        notebook.keep(account.pk, examined([fine(Check.CLOCK, seconds=1)], now=NOW))
    with pytest.raises(CommandError):
        call_command(
            "doctor", account=account.ref, rehearse=True, stdout=out, language="en", json=True
        )
    (patient,) = json.loads(out.getvalue())["accounts"]
    assert [one["title"] for one in patient["findings"]] == [
        "The simulator at http://127.0.0.1:9 does not run."
    ]
    with inside(shop):
        kept = notebook.latest(account.pk)
    assert kept is not None
    assert kept.checked_at == NOW


@pytest.mark.parametrize(
    ("command", "options"), [("poll_payments", {"once": True}), ("seed_demo", {})]
)
def test_no_command_asks_where_the_simulator_does_not_run(
    without_simulator: Client, command: str, options: dict[str, bool]
) -> None:
    with pytest.raises(CommandError, match="does not run: start script/server"):
        call_command(command, stdout=StringIO(), **options)


def test_the_page_says_it_too_and_keeps_what_was_found_before(
    without_simulator: Client, shop: Shop, account: PlatformAccount
) -> None:
    english = {"accept-language": "en"}
    for path in ("run/", f"{account.pk}/"):
        page = without_simulator.post(f"/m/tea/doctor/{path}", headers=english, follow=True)
        assert "The simulator at http://127.0.0.1:9 does not run." in page.content.decode()
    sheet = without_simulator.post(
        f"/m/tea/doctor/{account.pk}/", headers={**english, "HX-Request": "true"}
    ).content.decode()
    assert 'data-code="simulator_off"' in sheet
    with inside(shop):
        assert notebook.latest(account.pk) is None


def test_the_command_is_content_with_a_house_in_order(at_work: None, db: None) -> None:
    out = StringIO()
    call_command("doctor", stdout=out, language="en")
    assert "[In order] Database" in out.getvalue()


def test_the_command_knows_no_such_account(db: None) -> None:
    with pytest.raises(CommandError, match="There is no account"):
        call_command("doctor", account="nobody", stdout=StringIO())


def test_what_was_found_is_kept_for_one_merchant_only(shop: Shop) -> None:
    other = make_shop("noodles")
    with inside(shop):
        notebook.keep(7, examined([fine(Check.CLOCK, seconds=1)], now=NOW))
        assert notebook.latest(7) is not None
    with inside(other):
        assert notebook.latest(7) is None
