"""Alipay's signatures, against what is published, and the cutting of answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import Money
from apps.platforms import rsa
from apps.platforms.connectors.alipay import signing, wire
from apps.platforms.gateway import Credentials, Outcome
from apps.platforms.tests.vectors import vector


class TestPublished:
    def test_a_request(self) -> None:
        v = vector("alipay request signature")
        parameters = dict(pair.split("=", 1) for pair in v["signed_text"].split("&"))
        text = signing.request_text({**parameters, "sign": "not signed", "return_url2": ""})
        assert text == v["signed_text"]
        assert rsa.verifies(rsa.load_public_key(v["public_key"]), text.encode(), v["signature"])

    def test_a_notice(self) -> None:
        v = vector("alipay notification")
        body = v["form_body"].encode()
        public = rsa.load_public_key(v["public_key"])
        fields, charset = signing.read_form(body)
        signing.verify_form(public, fields, charset)
        ours = Credentials(app_id="9021000122682882", merchant_no="2088721003899159", keys={})
        notice = wire.notification(fields, ours)
        assert notice.payment is not None
        assert notice.payment.outcome is Outcome.SUCCEEDED
        assert notice.payment.amount == Money(1)
        assert notice.payment.paid_at == datetime(2023, 12, 21, 8, 26, 43, tzinfo=UTC)
        changed, _ = signing.read_form(body.replace(b"total_amount=0.01", b"total_amount=0.02"))
        with pytest.raises(signing.SignatureRefused):
            signing.verify_form(public, changed, charset)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(inner=st.dictionaries(st.text(), _JSON), sign=st.text(), ascii_only=st.booleans())
def test_the_signed_part_is_cut_out_to_the_byte(
    inner: dict[str, object], sign: str, ascii_only: bool
) -> None:
    try:
        raw = json.dumps(inner, ensure_ascii=ascii_only).replace("/", r"\/")
        body = f'{{ "a_response" : {raw} , "sign":{json.dumps(sign)}}}'.encode()
    except UnicodeEncodeError:
        return
    members, found = signing.cut_answer(body)
    assert members == {"a_response": raw}
    assert found == sign


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1,"a":2}',
        b'{"sign":5}',
        b"\xff",
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_other_answers_are_refused(body: bytes) -> None:
    with pytest.raises(signing.Unreadable):
        signing.cut_answer(body)


@given(
    fields=st.dictionaries(
        st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(lambda name: name != "charset"),
        st.text(st.characters(codec="gb18030", exclude_categories=["Cs"]), max_size=20),
        max_size=8,
    ),
    charset=st.sampled_from(["utf-8", "GBK"]),
)
def test_forms_are_read_as_written(fields: dict[str, str], charset: str) -> None:
    codec = "gb18030" if charset == "GBK" else "utf-8"
    body = urlencode({**fields, "charset": charset}, encoding=codec).encode()
    found, used = signing.read_form(body)
    assert found == {**fields, "charset": charset}
    assert used == codec


@pytest.mark.parametrize(
    "body", [b"a=1&a=2&charset=utf-8", b"charset=utf-16", b"charset=utf-8&a=%ff", b"a=\xe4"]
)
def test_forms_of_two_meanings_are_refused(body: bytes) -> None:
    with pytest.raises(signing.Unreadable):
        signing.read_form(body)
