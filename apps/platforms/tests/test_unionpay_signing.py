"""UnionPay's signatures and certificates, against what is published, and the cutting of answers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from apps.platforms import rsa
from apps.platforms.connectors.unionpay import signing
from apps.platforms.tests.unionpay_server import (
    OWNER,
    PASSWORD,
    certificate,
    pem,
    pfx,
    signature_of,
    signed_with_sha1,
)
from apps.platforms.tests.vectors import vector
from apps.platforms.tests.wechatpay_server import private_pem

NOW = datetime(2026, 5, 2, 3, 0, tzinfo=UTC)


class TestPublished:
    def test_a_request(self) -> None:
        v = vector("unionpay 5.1.0 signature")
        fields = dict(pair.split("=", 1) for pair in v["signed_text"].split("&"))
        message = signing.filled({**fields, "reqReserved": "  ", "orderDesc": ""})
        text = signing.signed_text({**message, "signature": "not signed"})
        assert text == v["signed_text"]
        assert signing.digest(text).decode() == v["digest"]
        public = rsa.load_public_key(v["public_key"])
        assert rsa.verifies(public, signing.digest(text), v["signature"])
        assert not rsa.verifies(public, text.encode(), v["signature"])


def test_what_is_signed_verifies_at_the_platform() -> None:
    signer = signing.load_signer(pfx(), PASSWORD)
    sent = signing.sign(signer, {"b": " 2 ", "a": "一", "signMethod": "01", "empty": " "})
    assert sent["certId"] == str(certificate("merchant").serial_number)
    assert "empty" not in sent
    assert sent["b"] == "2"
    assert sent["signature"] == signature_of("merchant", sent)


class TestVerifying:
    @staticmethod
    def message(
        signer: str = "unionpay", *, pem_text: str = "", key: str = "", **more: str
    ) -> dict[str, str]:
        fields = {"respCode": "00", "respMsg": "成功[0000000]", **more}
        fields["signPubKeyCert"] = pem_text or pem(signer)
        return {**fields, "signature": signature_of(key or signer, fields)}

    @staticmethod
    def verify(message: dict[str, str], **changes: object) -> None:
        arguments = {
            "root": pem("root"),
            "middle": pem("middle"),
            "owners": [OWNER],
            "now": NOW,
            **changes,
        }
        signing.verify(message, **arguments)  # type: ignore[arg-type]

    def refused(self, message: dict[str, str], **changes: object) -> str:
        with pytest.raises(signing.SignatureRefused) as caught:
            self.verify(message, **changes)
        return caught.value.reason

    def test_a_good_one(self) -> None:
        self.verify(self.message())

    def test_a_new_certificate_under_the_same_chain(self) -> None:
        self.verify(self.message("renewed"))

    def test_a_chain_signed_with_sha1(self) -> None:
        leaf, middle = signed_with_sha1("unionpay"), signed_with_sha1("middle")
        message = self.message(pem_text=pem(leaf))
        self.verify(message, middle=pem(middle), root=pem(signed_with_sha1("root")))

    def test_old_and_new_pinned_certificates_at_the_same_time(self) -> None:
        both = {
            "root": pem("other root") + pem("root"),
            "middle": pem("other middle") + pem("middle"),
        }
        self.verify(self.message(), **both)
        self.verify(self.message("other chain"), **both)

    def test_blank_fields_whether_signed_or_not(self) -> None:
        self.verify(self.message(blank=""))
        self.verify({**self.message(), "blank": ""})
        assert self.refused({**self.message(), "blank": " "}) == "wrong"

    @pytest.mark.parametrize(
        ("signer", "reason"),
        [
            ("self-signed", "chain"),
            ("other chain", "chain"),
            ("other owner", "owner"),
            ("expired", "expired"),
            ("middle", "chain"),
            ("root", "chain"),
        ],
    )
    def test_foreign_certificates(self, signer: str, reason: str) -> None:
        assert self.refused(self.message(signer)) == reason

    def test_a_good_certificate_with_another_key(self) -> None:
        assert self.refused(self.message(key="self-signed")) == "wrong"

    @pytest.mark.parametrize(
        ("now", "reason"),
        [
            (datetime(2019, 12, 31, tzinfo=UTC), "expired"),
            (datetime(2046, 1, 1, tzinfo=UTC), "expired"),
        ],
    )
    def test_out_of_its_time(self, now: datetime, reason: str) -> None:
        assert self.refused(self.message(), now=now) == reason

    def test_without_pinned_certificates(self) -> None:
        assert self.refused(self.message(), root="") == "chain"
        assert self.refused(self.message(), middle=" ") == "chain"
        assert self.refused(self.message(), root=pem("middle")) == "chain"

    @pytest.mark.parametrize("name", ["signature", "signPubKeyCert"])
    def test_incomplete(self, name: str) -> None:
        assert self.refused({**self.message(), name: ""}) == "missing"

    def test_not_a_certificate(self) -> None:
        assert self.refused(self.message(pem_text="-----BEGIN CERTIFICATE-----")) == "certificate"
        assert self.refused(self.message(pem_text="证书")) == "certificate"

    @pytest.mark.parametrize("name", ["respCode", "respMsg", "signPubKeyCert", "new"])
    def test_every_field_counts(self, name: str) -> None:
        message = self.message()
        changed = message[name] + "\n" if name in message else "1"
        assert self.refused({**message, name: changed}) == "wrong"

    def test_line_ends_of_the_certificate_are_signed(self) -> None:
        message = self.message()
        assert "\r\n" in message["signPubKeyCert"]
        unix = message["signPubKeyCert"].replace("\r\n", "\n")
        assert self.refused({**message, "signPubKeyCert": unix}) == "wrong"


class TestMerchantCertificate:
    @pytest.mark.parametrize(
        ("text", "password", "reason"),
        [
            ("", PASSWORD, "empty"),
            ("rubbish!", PASSWORD, "garbled"),
            (base64.b64encode(b"rubbish").decode(), PASSWORD, "garbled"),
            (pfx()[:-400], PASSWORD, "garbled"),
            (pfx(), "111111", "password"),
            (pfx(), "", "password"),
            (pem("merchant"), PASSWORD, "garbled"),
        ],
    )
    def test_what_cannot_be_used(self, text: str, password: str, reason: str) -> None:
        with pytest.raises(signing.UnusableCertificate) as caught:
            signing.load_signer(text, password)
        assert caught.value.reason == reason
        assert password == "" or password not in str(caught.value)

    def test_however_pasted(self) -> None:
        lines = "\n".join(pfx()[at : at + 64] for at in range(0, len(pfx()), 64))
        for text in (lines, f"data:application/x-pkcs12;base64,{pfx()}", f"  {pfx()}\r\n"):
            assert signing.load_signer(text, PASSWORD).valid_until.year == 2045

    def test_the_key_is_not_shown(self) -> None:
        assert "key" not in repr(signing.load_signer(pfx(), PASSWORD)).lower()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (" ", "empty"),
            (private_pem("x"), "private"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "garbled"),
            ("hello", "garbled"),
        ],
    )
    def test_certificates_that_are_none(self, text: str, reason: str) -> None:
        with pytest.raises(signing.UnusableCertificate) as caught:
            signing.load_certificates(text)
        assert caught.value.reason == reason

    def test_a_certificate_as_bare_base64(self) -> None:
        text = base64.b64encode(certificate("root").public_bytes(Encoding.DER)).decode()
        assert signing.load_certificates(text) == (certificate("root"),)


_NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,11}", fullmatch=True)
_PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="&{}[]"), max_size=20)
_VALUES = st.one_of(
    _PLAIN,
    _PLAIN.map(lambda text: f"{{a={text}&b=[{text}&]}}"),
    _PLAIN.map(lambda text: f"成功[{text}&]{text}"),
)


@given(fields=st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=8))
def test_answers_are_read_as_written(fields: dict[str, str]) -> None:
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    assert signing.read_answer(body) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"<html><a href='x'>502</a></html>",
        b'{"respCode":"00"}',
        b"respCode",
        b"respCode=00&",
        b"respCode=00&&a=1",
        b"=1",
        b"respCode=00&respCode=03",
        b"respMsg={a=1&respCode=00",
        b"&".join(b"a%d=1" % number for number in range(201)),
        b"[" * 1_000_000,
    ],
)
def test_other_answers_are_refused(body: bytes) -> None:
    with pytest.raises(signing.Unreadable):
        signing.read_answer(body)


def test_nothing_is_decoded() -> None:
    body = b"signature=a+b/c==&url=https%3A%2F%2Fx&pem=-----BEGIN-----\r\nQQ==\r\n"
    assert signing.read_answer(body) == {
        "signature": "a+b/c==",
        "url": "https%3A%2F%2Fx",
        "pem": "-----BEGIN-----\r\nQQ==\r\n",
    }


@given(
    pairs=st.lists(
        st.tuples(_NAMES.filter(lambda name: name != "encoding"), _PLAIN),
        max_size=8,
        unique_by=lambda pair: pair[0],
    ),
    charset=st.sampled_from(["UTF-8", "utf-8", "GBK"]),
)
def test_forms_are_read_as_written(pairs: Sequence[tuple[str, str]], charset: str) -> None:
    codec = "gb18030" if charset == "GBK" else "utf-8"
    fields = {**dict(pairs), "encoding": charset}
    found, used = signing.read_form(urlencode(fields, encoding=codec).encode())
    assert (found, used) == (fields, codec)


@pytest.mark.parametrize(
    "body",
    [
        b"a=1&a=2",
        b"encoding=utf-16",
        b"encoding=UTF-8&a=%ff",
        b"a=1%26b%3D2",
        b"a=\xe4",
        b"&".join(b"a%d=1" % number for number in range(201)),
    ],
)
def test_forms_of_two_meanings_are_refused(body: bytes) -> None:
    with pytest.raises(signing.Unreadable):
        signing.read_form(body)


def test_what_another_merchant_had_signed_is_not_cut_up_into_a_notice_to_us() -> None:
    """UnionPay signs for all merchants with one certificate, and a remark is the merchant's own text."""
    ours = "merId=777290058110048&orderId=P202605011021330000000000&queryId=522605011021335616528"
    theirs = {
        "bizType": "000000",
        "merId": "777290058199999",
        "orderId": "THEIROWN1",
        "reqReserved": f"x&{ours}",
        "respCode": "00",
        "signPubKeyCert": pem("unionpay"),
        "txnAmt": "8880",
    }
    signature = signature_of("unionpay", theirs)
    before, _, after = signing.signed_text(theirs).partition(f"&{ours}&")
    cut = {"bizType": before.removeprefix("bizType="), "signature": signature}
    cut |= dict(pair.split("=", 1) for pair in f"{ours}&{after}".split("&"))
    assert signing.signed_text(cut) == signing.signed_text(theirs)
    signing.verify(cut, root=pem("root"), middle=pem("middle"), owners=[OWNER], now=NOW)
    with pytest.raises(signing.Unreadable):
        signing.read_form(urlencode(cut).encode())


def test_the_digest_is_hashed_twice() -> None:
    once = hashlib.sha256("a=一".encode()).hexdigest()
    assert signing.digest("a=一") == once.encode()
    assert signing.digest("a=一", "gb18030") != once.encode()
