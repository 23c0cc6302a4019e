"""Nothing secret reaches a log line."""

from __future__ import annotations

import logging

import pytest
from django.test import RequestFactory

from apps.core.logging import CalmRequests, RedactionFilter, redact

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"loaded {PEM} from the form",
        PEM[:40] + "SECRET",
        'headers {"Authorization": "Bearer SECRET"}',
        "Authorization: WECHATPAY2-SHA256-RSA2048 mchid=1,signature=SECRET",
        "Wechatpay-Signature: SECRET",
        "POST body app_id=1&sign=SECRET&charset=utf-8",
        '{"api_v3_key": "SECRET", "mchid": "1"}',
        "{'password': 'SECRET with blanks', 'email': 'a@b.c'}",
        "postgresql://portal:SECRET@db/portal",
        "redis://:SECRET@cache/0",
        'escaped {\\"private_key\\": \\"SECRET\\"}',
        "Cookie: sessionid=SECRET; csrftoken=SECRET",
        "auth_code=SECRET",
        "openid=SECRET",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert "MIIEvQ" not in redact(text)
    assert "[hidden]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "GET /m/teahouse/transactions?page=2 200",
        "design=modern assigned=3 order_no=P20261124001 amount=1250",
        "http://localhost:8000/q/abc the sign of the times",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_arguments_and_tracebacks_are_redacted_and_the_record_passes() -> None:
    try:
        raise ValueError("password=SECRET")
    except ValueError as error:
        record = logging.LogRecord(
            "portal",
            logging.ERROR,
            __file__,
            1,
            "call failed: %s",
            ("sign=SECRET",),
            (ValueError, error, error.__traceback__),
        )
    assert RedactionFilter().filter(record) is True
    text = logging.Formatter().format(record)
    assert "SECRET" not in text
    assert "call failed: sign=[hidden]" in text
    assert "Traceback" in text


@pytest.mark.parametrize(
    ("status", "path", "passes", "traceback"),
    [
        (403, "/m/tea/", True, False),
        (500, "/m/tea/", True, True),
        (503, "/readyz", False, True),
        (503, "/m/tea/", True, True),
    ],
)
def test_refusals_are_one_line_and_not_ready_is_no_error(
    status: int, path: str, passes: bool, traceback: bool
) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "x", None, None)
    record.exc_info = (ValueError, ValueError("x"), None)
    record.status_code = status
    record.request = RequestFactory().get(path)
    assert CalmRequests().filter(record) is passes
    assert bool(record.exc_info) is traceback
