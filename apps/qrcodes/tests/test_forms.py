"""The sentences that answer wrong amounts."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from apps.core.money import Money
from apps.merchants.forms import MerchantForm, StoreForm
from apps.merchants.tests.teams import NOW
from apps.qrcodes.forms import TermsForm, read_amount


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("12.5", 1250),
        (" ¥1,200 ", 120_000),
        ("１２．５０", 1250),
        ("￥0.01", 1),
        (".5", 50),
        ("12.500", 1250),
        ("100000000", 10_000_000_000),
    ],
)
def test_amounts_as_people_type_them(text: str, minor: int) -> None:
    assert read_amount(text) == Money(minor)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0", "zero"),
        ("0.00", "zero"),
        ("0.001", "too_fine"),
        ("1.005", "too_fine"),
        ("-5", "negative"),
        ("−5", "negative"),
        ("1000000000000", "too_large"),
        ("100000000.01", "too_large"),
        ("9" * 60, "too_large"),
        ("1e3", "invalid"),
        ("NaN", "invalid"),
        ("1,2", "invalid"),
        ("十元", "invalid"),
    ],
)
def test_each_mistake_has_its_own_sentence(text: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_amount(text)
    assert refused.value.code == code


@pytest.mark.parametrize("field", ["name", "name_en"])
def test_a_name_that_cannot_be_printed_is_refused_with_its_characters(field: str) -> None:
    """Of a code, whose name hangs on a wall, and of merchants and stores, whose names stand beside it."""
    for form in (
        TermsForm({field: "柜台🍵"}, stores=[], questions=[], now=NOW),
        MerchantForm({field: "柜台🍵"}),
        StoreForm({field: "柜台🍵"}),
    ):
        (words,) = form.errors[field]
        assert "🍵" in words
        assert form.errors.as_data()[field][0].code == "unprintable"
    for form in (
        TermsForm({field: "柜台"}, stores=[], questions=[], now=NOW),
        MerchantForm({field: "柜台"}),
        StoreForm({field: "柜台"}),
    ):
        assert field not in form.errors
