"""Alipay's signatures, against what is published, and the cutting of answers."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import Money
from apps.platforms import rsa
from apps.platforms.connectors.alipay import signing, wire
from apps.platforms.gateway import Credentials, Outcome
from apps.platforms.tests.alipay_server import certificate, elliptic_root, sn
from apps.platforms.tests.vectors import vector
from apps.platforms.tests.wechatpay_server import private_pem

ALIPAY = rsa.load_private_key(private_pem("alipay platform"))


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
    cut = signing.cut_answer(body)
    assert cut.members == {"a_response": raw}
    assert (cut.sign, cut.certificate_sn, cut.charset) == (sign, "", "utf-8")


#: Second bytes of these are a backslash, a brace and a bar in GBK.
TRAPS = "诚乗亅亇"


@given(
    text=st.text(st.characters(codec="gbk", exclude_categories=["Cs"]), max_size=30),
    named=st.sampled_from(["", "text/html;charset=GBK", 'text/html; charset="gbk"; x=1']),
)
def test_answers_in_gbk_are_cut_to_the_byte(text: str, named: str) -> None:
    raw = json.dumps({"sub_msg": text + TRAPS}, ensure_ascii=False)
    body = f'{{"a_response":{raw},"sign":"s","alipay_cert_sn":"c"}}'.encode("gbk")
    cut = signing.cut_answer(body, content_type=named)
    assert cut.members["a_response"].encode(cut.charset) == raw.encode("gbk")
    assert (cut.sign, cut.certificate_sn) == ("s", "c")
    if named:
        assert json.loads(cut.members["a_response"])["sub_msg"] == text + TRAPS


@pytest.mark.parametrize(
    ("named", "charset"),
    [
        ("", "utf-8"),
        ("text/html", "utf-8"),
        ("text/html;charset=utf-8", "utf-8"),
        ("text/html;charset=GBK", "gb18030"),
        ("text/html;charset=klingon", "utf-8"),
    ],
)
def test_the_character_set_of_an_answer(named: str, charset: str) -> None:
    assert signing.cut_answer(b'{"a":{}}', content_type=named).charset == charset
    # What it names wrongly is found out.
    assert signing.cut_answer('{"a":"¢"}'.encode(), content_type=named).members["a"]
    assert signing.cut_answer('{"a":"支付"}'.encode("gbk"), content_type=named).charset == "gb18030"


class TestCertificateNumbers:
    def test_of_one(self) -> None:
        for name in ("alipay app", "alipay platform", "alipay root"):
            assert signing.certificate_sn(certificate(name)) == sn(name)

    def test_of_the_root_bundle(self) -> None:
        """Only roots signed by RSA count, in the order of the file."""
        roots = [certificate("alipay root"), elliptic_root(), certificate("other root")]
        assert signing.root_sn(roots) == f"{sn('alipay root')}_{sn('other root')}"

    def test_the_published_request_carries_such_numbers(self) -> None:
        """The vectors hold no certificate, only what one looks like on the wire."""
        signed = vector("alipay request signature")["signed_text"]
        numbers = dict(pair.split("=", 1) for pair in signed.split("&"))
        assert re.fullmatch(r"[0-9a-f]{32}", numbers["app_cert_sn"])
        assert re.fullmatch(r"[0-9a-f]{32}(_[0-9a-f]{32})*", numbers["alipay_root_cert_sn"])
        assert re.fullmatch(r"[0-9a-f]{32}", sn("alipay app"))


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
        b'{"alipay_cert_sn":5}',
        b'{"a":1,"sign":"x","a":2}',
        b'{"a":1,"sign":"x","sign":"y"}',
        b'{"a":1,"\\u0061":2}',
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
        st.text(st.characters(codec="gb18030", exclude_categories=["Cs"]), max_size=20).filter(
            lambda value: not re.search("&[A-Za-z_.0-9]+=", value)
        ),
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
    "value",
    ["龙井 & 酥", "A&B", "1&1=2", "a=b&c", "Tea & milk=good", "order%3D1%26table%3D7", "&=", "x&"],
)
def test_what_only_looks_a_little_like_a_field_still_verifies(value: str) -> None:
    signed = {"charset": "utf-8", "out_trade_no": "P1", "passback_params": value, "subject": value}
    text = signing.signed_text(signed, without=frozenset())
    notice = {**signed, "sign": rsa.sign(ALIPAY, text.encode()), "sign_type": "RSA2"}
    fields, charset = signing.read_form(urlencode(notice).encode())
    signing.verify_form(ALIPAY.public_key(), fields, charset)
    assert fields["subject"] == value


def test_what_somebody_had_signed_as_a_subject_is_not_cut_up_into_another_notice() -> None:
    theirs = {
        "app_id": "2021000000000001",
        "body": "x&charset=utf-8&out_trade_no=P202605011021330000000000&total_amount=88.80&trade_status=TRADE_SUCCESS&x=",
        "charset": "utf-8",
        "out_trade_no": "CHEAP1",
        "total_amount": "0.01",
    }
    text = signing.signed_text(theirs, without=frozenset())
    sign = rsa.sign(ALIPAY, text.encode())
    head, _, rest = text.partition("&charset=")
    forged, _, tail = f"charset={rest}".partition("&x=")
    cut = dict(pair.split("=", 1) for pair in f"{head}&{forged}".split("&")) | {"x": tail}
    assert cut["total_amount"] == "88.80"
    assert signing.signed_text(cut, without=frozenset()) == text
    signing.verify_form(ALIPAY.public_key(), {**cut, "sign": sign}, "utf-8")
    with pytest.raises(signing.Unreadable):
        signing.read_form(urlencode({**cut, "sign": sign}).encode())


@pytest.mark.parametrize(
    "body", [b"a=1&a=2&charset=utf-8", b"charset=utf-16", b"charset=utf-8&a=%ff", b"a=\xe4"]
)
def test_forms_of_two_meanings_are_refused(body: bytes) -> None:
    with pytest.raises(signing.Unreadable):
        signing.read_form(body)
