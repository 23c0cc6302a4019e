"""Platform codes in plain words."""

from __future__ import annotations

import polib
import pytest
from django.conf import settings
from django.utils import translation

from apps.platforms import messages
from apps.platforms.connectors.alipay import client as alipay_client
from apps.platforms.connectors.alipay import connector as alipay_connector
from apps.platforms.connectors.alipay import payments as alipay_payments
from apps.platforms.connectors.alipay import wire as alipay_wire
from apps.platforms.connectors.wechatpay import client, connector, payments
from apps.platforms.gateway import Platform, StatementUnreadable


@pytest.mark.parametrize("platform", list(Platform))
def test_our_own_codes_have_words(platform: Platform) -> None:
    for code in ("timeout", "network", "bad_signature", "bad_answer", "bad_key", "http_502"):
        assert str(messages.explain(platform, code))


def test_every_code_that_the_connectors_know_has_words() -> None:
    wechat = (
        client._NOT_FOUND
        | client._TRANSIENT
        | client._ABOUT_US
        | client._RETRY_SAME
        | set(client._REFUSALS.values())
        | payments._CLOSED
        | payments._DOUBTFUL
        | payments._WAITING
        | payments._CODE_REFUSED
        | set(connector._AT_FAULT)
        | set(connector._UNTRUSTED)
        | {payments.PAYER_SHORT, "card_missing", "no_platform_key"}
    )
    assert wechat <= messages.known_codes(Platform.WECHATPAY)
    alipay = (
        alipay_client._NOT_FOUND
        | alipay_client._ABOUT_US
        | alipay_client._RETRY_SAME
        | alipay_payments._CLOSE_DOUBTFUL
        | alipay_payments._CANCEL_DOUBTFUL
        | alipay_payments._CODE_REFUSED
        | set(alipay_connector._AT_FAULT)
        | {alipay_wire.WAITING, "certificate_garbled", "certificate_empty"}
    )
    assert alipay <= messages.known_codes(Platform.ALIPAY)


def test_unknown_codes() -> None:
    with translation.override("en"):
        assert "X_Y" in str(messages.explain(Platform.ALIPAY, "X_Y"))
        assert messages.explain(Platform.ALIPAY, "X_Y", fallback="words") == "words"
        assert messages.explain(Platform.ALIPAY, "") == ""
        assert "502" in str(messages.explain(Platform.ALIPAY, "http_502"))


@pytest.mark.parametrize(
    ("platform", "code"),
    [
        (Platform.UNIONPAY, "64"),
        (Platform.WECHATPAY, "NOTENOUGH"),
        (Platform.WECHATPAY, "NOT_ENOUGH"),
    ],
)
def test_of_a_payment_and_of_a_refund_a_code_says_different_things(
    platform: Platform, code: str
) -> None:
    with translation.override("en"):
        payment = str(messages.explain(platform, code, about=messages.About.PAYMENT))
        refund = str(messages.explain(platform, code, about=messages.About.REFUND))
    assert "payer" in payment
    assert "refund" not in payment
    assert "refund" in refund
    assert "payer" not in refund
    # What is not told apart has one sentence.
    general = messages.explain(platform, "timeout")
    assert messages.explain(platform, "timeout", about=messages.About.PAYMENT) == general


def test_whether_the_words_say_that_nothing_moved() -> None:
    for language in ("en", "zh-hans"):
        with translation.override(language):
            assert messages.says_nothing_moved(Platform.WECHATPAY, "PAYERROR")
            assert messages.says_nothing_moved(Platform.UNIONPAY, "01")
            assert not messages.says_nothing_moved(Platform.WECHATPAY, "NO_AUTH")
            assert not messages.says_nothing_moved(Platform.ALIPAY, "NEVER_HEARD_OF")
            assert not messages.says_nothing_moved(Platform.ALIPAY, "")


def test_a_merchant_number_that_may_be_mistyped() -> None:
    with translation.override("en"):
        assert "Check the merchant number" in str(messages.explain(Platform.UNIONPAY, "31"))


def test_a_bill_that_cannot_be_read() -> None:
    with translation.override("en"):
        error = StatementUnreadable("bad_row", "x", line=7, column="订单金额")
        words = str(messages.explain_statement(error))
        assert words.startswith("Line 7, column 订单金额: A row")
        assert str(messages.explain_statement(StatementUnreadable("personal_bill", "x")))


def test_no_blame_and_no_exclamation() -> None:
    with translation.override("en"):
        for platform in Platform:
            for code in messages.known_codes(platform):
                assert "!" not in str(messages.explain(platform, code))


def test_every_sentence_is_translated() -> None:
    part = settings.BASE_DIR / "locale" / "parts" / "connectors.po"
    if not part.is_file():
        pytest.skip("the catalogues are merged")
    known = {entry.msgid for entry in polib.pofile(str(part)) if entry.msgstr}
    with translation.override("en"):
        for platform in Platform:
            for code in messages.known_codes(platform):
                for about in (None, *messages.About):
                    assert str(messages.explain(platform, code, about=about)) in known
