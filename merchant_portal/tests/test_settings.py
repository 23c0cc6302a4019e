"""Production refuses to start half configured; development makes its secrets once."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from merchant_portal.settings import base, env, running
from merchant_portal.settings.secrets import load_or_create

PROJECT = Path(__file__).resolve().parents[2]

COMPLETE = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ",
    "ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(range(32))).decode(),
    "DATABASE_URL": "postgresql://portal:hidden-word@db.example.com/portal",
    "CELERY_BROKER_URL": "redis://redis.example.com/0",
    "ALLOWED_HOSTS": "pay.example.com",
    "PUBLIC_URL": "https://pay.example.com",
}


def load_production(tmp_path: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = kept | COMPLETE | changes | {"PORTAL_DATA_DIR": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-c", "import merchant_portal.settings.production"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_starts_when_everything_is_given(tmp_path: Path) -> None:
    loaded = load_production(tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert list(tmp_path.iterdir()) == [], "production must not write secrets"


@pytest.mark.parametrize("name", sorted(COMPLETE))
def test_production_refuses_to_start_without(name: str, tmp_path: Path) -> None:
    loaded = load_production(tmp_path, **{name: ""})
    assert loaded.returncode != 0
    assert name in loaded.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "too-short"),
        ("SECRET_KEY", "a" * 60),
        ("ENCRYPTION_KEYS", "k1:c2hvcnQ="),
        ("ENCRYPTION_KEYS", base64.b64encode(bytes(32)).decode()),
        ("ENCRYPTION_KEYS", "k1:not base64 at all"),
        ("DATABASE_URL", "mysql://portal:hidden-word@db/portal"),
        ("DATABASE_URL", "postgresql://portal:hidden-word@db.example.com"),
        ("PUBLIC_URL", "http://pay.example.com"),
    ],
)
def test_production_refuses_a_senseless_value_without_repeating_it(
    name: str, value: str, tmp_path: Path
) -> None:
    loaded = load_production(tmp_path, **{name: value})
    assert loaded.returncode != 0
    message = loaded.stderr.splitlines()[-1]
    assert name in message
    if name != "PUBLIC_URL":
        assert value not in message
        assert "hidden-word" not in message


def test_development_secrets_are_made_once_for_all_processes(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secrets.json"
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        found = list(processes.map(load_or_create, [path] * 12))
    assert all(secrets == found[0] for secrets in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    name, _, key = found[0]["encryption_key"].partition(":")
    assert name
    assert len(base64.b64decode(key)) == 32
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.json"]


def test_damaged_development_secrets_are_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"secret_key": "only half"}))
    with pytest.raises(ImproperlyConfigured, match=r"secrets\.json"):
        load_or_create(path)
    assert json.loads(path.read_text()) == {"secret_key": "only half"}


def test_a_database_url_keeps_its_parts_and_options() -> None:
    found = env.database("postgresql://us%40er:p%3Aw@db:5433/books?sslmode=require")
    assert found["NAME"] == "books"
    assert found["USER"] == "us@er"
    assert found["PASSWORD"] == "p:w"
    assert found["HOST"] == "db"
    assert found["PORT"] == "5433"
    assert found["OPTIONS"] == {"sslmode": "require"}


def test_forms_may_lead_to_the_platforms_and_nowhere_else() -> None:
    policy = base.content_security_policy(
        "https://one.example.com/a?b", "http://localhost:9100/x", "", "https://one.example.com/c"
    )
    assert policy["DIRECTIVES"]["form-action"] == [
        "'self'",
        "http://localhost:9100",
        "https://one.example.com",
    ]
    assert policy["DIRECTIVES"]["default-src"] == ["'none'"]


@pytest.mark.parametrize("value", ["2", "maybe"])
def test_a_flag_is_on_or_off(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_DEBUG", value)
    with pytest.raises(ImproperlyConfigured, match="PORTAL_DEBUG"):
        env.flag("PORTAL_DEBUG")


#: Every setting that holds an address to which a platform's calls or customers are sent.
_PLATFORM_ADDRESSES = sorted(
    name
    for name in vars(base)
    if name.endswith("_URL") and name.startswith(("WECHATPAY", "ALIPAY", "UNIONPAY", "SHOUQIANBA"))
)


def load_dev(tmp_path: Path, **changes: str) -> dict[str, str]:
    """What the development settings say of addresses, in a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    names = [*_PLATFORM_ADDRESSES, "SIMULATOR_URL", "PUBLIC_URL"]
    program = (
        "import json, merchant_portal.settings.dev as dev;"
        f"print(json.dumps({{name: getattr(dev, name) for name in {names!r}}}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=kept | changes | {"PORTAL_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(loaded.stdout))


def test_no_development_process_calls_a_real_platform_by_itself(tmp_path: Path) -> None:
    assert len(_PLATFORM_ADDRESSES) >= 10
    found = load_dev(tmp_path)
    assert found.pop("PUBLIC_URL") == "http://localhost:8000"
    strangers = [
        name for name, url in found.items() if not f"{url}/".startswith("http://localhost:9100/")
    ]
    assert strangers == []


def test_a_command_beside_the_server_finds_its_simulator(tmp_path: Path) -> None:
    told = {"PUBLIC_URL": "http://localhost:8003", "SIMULATOR_URL": "http://localhost:9105"}
    (tmp_path / running.NAME).write_text(json.dumps(told))
    found = load_dev(tmp_path)
    assert {name: found[name] for name in told} == told
    assert found["ALIPAY_GATEWAY_URL"] == "http://localhost:9105/alipay/gateway.do"
    # What the environment says comes first: an address of one's own, too.
    wanted = {"SIMULATOR_URL": "http://localhost:9999", "ALIPAY_GATEWAY_URL": "https://a.example/"}
    found = load_dev(tmp_path, **wanted)
    assert found["WECHATPAY_API_URL"] == "http://localhost:9999/wechatpay"
    assert found["ALIPAY_GATEWAY_URL"] == "https://a.example/"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"SIMULATOR_URL": 7, "PUBLIC_URL": ""}'])
def test_a_broken_file_of_the_server_is_no_file(tmp_path: Path, text: str) -> None:
    (tmp_path / running.NAME).write_text(text)
    assert running.told(tmp_path) == {}
