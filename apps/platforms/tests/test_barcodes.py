"""Wallets told from the digits of their codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.platforms.barcodes import clean_barcode, wallet_of_barcode
from apps.platforms.gateway import Platform


@pytest.mark.parametrize(
    ("digits", "wallet"),
    [
        ("100000000000000000", Platform.WECHATPAY),
        ("134567890123456789", Platform.WECHATPAY),
        ("159999999999999999", Platform.WECHATPAY),
        ("169999999999999999", None),
        ("1345678901234567890", None),
        ("13456789012345678", None),
        ("2512345678901234", Platform.ALIPAY),
        ("289012345678901234", Platform.ALIPAY),
        ("301234567890123456789012", Platform.ALIPAY),
        ("3012345678901234567890123", None),
        ("251234567890123", None),
        ("241234567890123456", None),
        ("311234567890123456", None),
        ("6212345678901234567", Platform.UNIONPAY),
        ("621234567890123456", None),
        ("6112345678901234567", None),
        ("", None),
        ("13456789012345678a", None),
    ],
)
def test_the_wallet_of_a_code(digits: str, wallet: Platform | None) -> None:
    assert wallet_of_barcode(digits) is wallet


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        (" 1345 6789 0123 4567 89\n", "134567890123456789"),
        ("1345-6789-0123-4567-89", "134567890123456789"),
        ("１３４５６７８９０１２３４５６７８９", "134567890123456789"),
        ("https://example.com/1", "https://example.com/1"),
        ("", ""),
    ],
)
def test_what_people_and_scanners_type(typed: str, digits: str) -> None:
    assert clean_barcode(typed) == digits


@given(st.text(max_size=40))
def test_any_text_is_survived(text: str) -> None:
    assert wallet_of_barcode(clean_barcode(text)) in {None, *Platform}


@given(st.from_regex(r"(1[0-5][0-9]{16}|(2[5-9]|30)[0-9]{14,22}|62[0-9]{17})", fullmatch=True))
def test_no_code_belongs_to_two_wallets(digits: str) -> None:
    wallets = {
        wallet_of_barcode(digits),
        Platform.WECHATPAY if digits[0] == "1" else None,
        Platform.UNIONPAY if digits[0] == "6" else None,
        Platform.ALIPAY if digits[0] in "23" else None,
    }
    assert len(wallets - {None}) == 1
