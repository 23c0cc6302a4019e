"""Amounts, days, choices and files as people hand them in."""

from __future__ import annotations

from datetime import date

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory

from apps.core.fields import (
    DayField,
    FenField,
    YuanField,
    is_too_long,
    offer,
    read_yuan,
    usable_file,
)
from apps.core.money import MAX_AMOUNT_MINOR, Money


@pytest.mark.parametrize(
    ("text", "minor"),
    [("12.5", 1250), ("¥1,200", 120_000), ("１２．３０", 1230), ("−0.01", -1), (" 0 ", 0)],
)
def test_yuan_as_people_type_them(text: str, minor: int) -> None:
    assert read_yuan(text) == Money(minor)


@pytest.mark.parametrize("text", ["", "1.005", "1,20", "1e3", "twelve", "NaN", "12.50 yuan"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_yuan(text)
    assert caught.value.code == "invalid"


def test_the_largest_amount() -> None:
    most = Money(MAX_AMOUNT_MINOR).to_yuan()
    assert read_yuan(most).minor == MAX_AMOUNT_MINOR
    with pytest.raises(ValidationError) as caught:
        read_yuan(Money(MAX_AMOUNT_MINOR).to_yuan().replace(".00", ".01"))
    assert caught.value.code == "too_large"


def test_a_field_gives_money_or_fen_or_nothing() -> None:
    assert YuanField().clean("3.20") == Money(320)
    assert FenField().clean("3.20") == 320
    assert FenField(required=False).clean(" ") is None
    with pytest.raises(ValidationError) as caught:
        FenField(error_messages={"negative": "the other side"}).clean("-1")
    assert caught.value.messages == ["the other side"]


def test_days_are_those_of_this_century() -> None:
    assert DayField().clean("2026-11-24") == date(2026, 11, 24)
    assert DayField(required=False).clean("") is None
    for text, code in (("1999-12-31", "far"), ("2100-01-01", "far"), ("24.11.2026", "invalid")):
        with pytest.raises(ValidationError) as caught:
            DayField().clean(text)
        assert caught.value.code == code


class ChoiceForm(forms.Form):
    """One choice, and a text."""

    one = forms.TypedChoiceField(coerce=int)
    text = forms.CharField(required=False)


def test_choices_are_offered_by_name() -> None:
    form = ChoiceForm({"one": "2"})
    offer(form, one=[(1, "first"), (2, "second")])
    assert form.is_valid()
    assert form.cleaned_data["one"] == 2
    with pytest.raises(TypeError):
        offer(form, text=[(1, "first")])


def test_a_file_is_neither_empty_nor_too_large() -> None:
    four = SimpleUploadedFile("bill.csv", b"four")
    assert usable_file(four, limit=4, too_large="") is four
    for content, code in ((b"", "empty"), (b"fives", "too_large")):
        with pytest.raises(ValidationError) as caught:
            usable_file(SimpleUploadedFile("bill.csv", content), limit=4, too_large="too large")
        assert caught.value.code == code


def test_a_body_is_judged_by_its_header() -> None:
    around = 256 * 1024
    for length, too_long in (
        ("", False),
        ("many", False),
        (str(around + 4), False),
        (str(around + 5), True),
    ):
        request = RequestFactory().generic("POST", "/", b"", CONTENT_LENGTH=length)
        assert is_too_long(request, limit=4) is too_long
