"""Shouqianba's signatures, against numbers that were not made by our code.

Shouqianba publishes no examples. The sums of messages were made with ``md5sum``; the rule for a page's address is the one of
WeChat Pay's old interface, whose documentation publishes an example.
"""

from __future__ import annotations

import pytest

from apps.platforms import rsa
from apps.platforms.connectors.shouqianba import signing
from apps.platforms.tests.wechatpay_server import key, public_pem, rsa_sign

KEY = "7d3f0c2b9a614e5f8c1d2e3f4a5b6c7d"
BODY = b'{"client_sn":"P1","sn":"1"}'


class TestMessages:
    @pytest.mark.parametrize(
        ("body", "digest"),
        [
            ('{"client_sn":"P1","subject":"茶"}', "03f247bdb72c1951e2d4efd29589a0ef"),
            ("", "e06eda432836f67fbf1588e87c682c97"),
        ],
    )
    def test_the_body_and_then_the_key(self, body: str, digest: str) -> None:
        assert signing.body_sign(body.encode(), KEY) == digest

    def test_who_calls_stands_before_it(self) -> None:
        header = signing.authorization(sn="91800012", key=KEY, body=b"")
        assert header == "91800012 e06eda432836f67fbf1588e87c682c97"


class TestPages:
    #: From the documentation of WeChat Pay's old interface ("Secure specification", signature algorithm).
    PUBLISHED = {  # a table of constants
        "appid": "wxd930ea5d5a258f4f",
        "mch_id": "10000100",
        "device_info": "1000",
        "body": "test",
        "nonce_str": "ibuaiVcKdpRxkhJA",
    }
    SIGN = "9A0A8659F005D6984697E2CA0A9CF3B7"

    def test_a_published_example_of_the_same_rule(self) -> None:
        sign = signing.page_sign(self.PUBLISHED, "192006250b4c09247ec02edce69f6a2d")
        assert sign == self.SIGN

    def test_what_is_not_signed(self) -> None:
        more = {**self.PUBLISHED, "sign": "X", "sign_type": "MD5", "reflect": ""}
        assert signing.page_sign(more, "192006250b4c09247ec02edce69f6a2d") == self.SIGN

    def test_values_are_signed_as_they_are(self) -> None:
        text = signing.page_text({"subject": "a&b=c 茶", "return_url": "https://s.test/?a=1"})
        assert text == "return_url=https://s.test/?a=1&subject=a&b=c 茶"


class TestCallbacks:
    OURS = rsa.load_public_key(public_pem("shouqianba platform"))

    def verify(self, authorization: str, body: bytes = BODY) -> None:
        signing.verify_callback(key=self.OURS, authorization=authorization, body=body)

    def test_with_and_without_the_terminals_number(self) -> None:
        sign = rsa_sign("shouqianba platform", BODY)
        self.verify(f"100111220000000001 {sign}")
        self.verify(sign)
        # The number in front is not signed, and so proves nothing.
        self.verify(f"somebody {sign}")

    @pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b"P1", b"P2"), b""])
    def test_other_bytes(self, body: bytes) -> None:
        with pytest.raises(signing.SignatureRefused) as caught:
            self.verify(rsa_sign("shouqianba platform", BODY), body)
        assert caught.value.reason == "wrong"

    def test_a_strangers_signature(self) -> None:
        assert key("stranger") is not key("shouqianba platform")
        with pytest.raises(signing.SignatureRefused):
            self.verify(rsa_sign("stranger", BODY))

    def test_the_sum_that_one_client_looks_for_is_not_taken(self) -> None:
        with pytest.raises(signing.SignatureRefused):
            self.verify(f"100111220000000001 {signing.body_sign(BODY, KEY)}")

    @pytest.mark.parametrize("authorization", ["", "   "])
    def test_none(self, authorization: str) -> None:
        with pytest.raises(signing.SignatureRefused) as caught:
            self.verify(authorization)
        assert caught.value.reason == "missing"
