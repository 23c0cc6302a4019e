from __future__ import annotations

import time

import pytest

from apps.qrcodes.artwork import TextTooLong, UnprintableText, missing_glyphs
from apps.qrcodes.artwork.fitting import Fitted, fit
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, measure, require_printable, tidy


class TestMissingGlyphs:
    @pytest.mark.parametrize(
        "text",
        [
            "老王面馆 Café №1 ¥12.50",
            "鿏䶮㙍𬭛𫓧",
            "囧〇々，。！（旗舰店）",
            "Cafe\u0301",
            "",
            "a\tb\nc\u3000d",
        ],
    )
    def test_none_in_what_the_font_has(self, text: str) -> None:
        assert missing_glyphs(text) == ()

    def test_names_each_once_in_order(self) -> None:
        assert missing_glyphs("𠮷野家😀老王𠮷مرحبا") == ("𠮷", "😀", "م", "ر", "ح", "ب", "ا")

    def test_marks_without_ink_are_not_missing(self) -> None:
        assert missing_glyphs("老\u202e王\u200d面\ufe0f馆\x07") == ()

    def test_a_lone_combining_mark_and_half_a_pair_are_missing(self) -> None:
        assert missing_glyphs("x\u0331\ud83d") == ("\u0331", "\ud83d")

    def test_refusal_names_characters_and_code_points(self) -> None:
        with pytest.raises(UnprintableText, match=r"𠮷 \(U\+20BB7\), U\+0331") as refusal:
            require_printable("老王", "𠮷", "x\u0331")
        assert refusal.value.characters == ("𠮷", "\u0331")


class TestTidy:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("  老王 \n\t 面馆\u3000", "老王 面馆"),
            ("abc\u202edef\u2066", "abcdef"),
            ("a\x00b\x1bc", "abc"),
            ("Cafe\u0301", "Café"),
            ("a \u200b b", "a b"),
            ("a\ufffeb\ud800c", "a\ufffdb\ufffdc"),
        ],
    )
    def test_one_harmless_line(self, text: str, expected: str) -> None:
        assert tidy(text) == expected


def _set(text: str, *, lines: int = 3, width: float = 80) -> Fitted:
    return fit(text, width=width, size=10, smallest=4, lines=lines, font=BOLD)


class TestFit:
    def test_a_short_text_keeps_its_size(self) -> None:
        assert _set("老王面馆") == Fitted(10, ("老王面馆",))

    def test_nothing_takes_no_line(self) -> None:
        assert _set("").lines == ()

    def test_first_shrinks_then_wraps_then_refuses(self) -> None:
        shrunk = _set("老王面馆中关村店铺")
        assert shrunk.lines == ("老王面馆中关村店铺",)
        assert 8 < shrunk.size < 10
        assert len(_set("老" * 16).lines) == 2
        assert len(_set("老" * 45).lines) == 3
        with pytest.raises(TextTooLong) as refusal:
            _set("老" * 61)
        assert refusal.value.text == "老" * 61

    @pytest.mark.parametrize(
        "text",
        [
            "老" * 23,
            "Old Wang Famous Hand Pulled Noodle House",
            "W" * 30,
            "北京市海淀区中关村老王兰州牛肉拉面（旗舰店）有限责任公司",
        ],
    )
    def test_every_line_fits_and_nothing_is_lost(self, text: str) -> None:
        fitted = _set(text)
        assert 4 <= fitted.size <= 10
        assert all(measure(line, BOLD) * fitted.size <= 80.001 for line in fitted.lines)
        assert "".join(fitted.lines).replace(" ", "") == text.replace(" ", "")

    def test_words_and_brackets_stay_whole_and_lines_are_even(self) -> None:
        fitted = fit(
            "二层露台靠窗第十二号长桌（可坐八人，需提前预订）",
            width=66, size=6, smallest=3.4, lines=2, font=BOLD,
        )  # fmt: skip
        assert fitted.lines == ("二层露台靠窗第十二号长桌", "（可坐八人，需提前预订）")
        assert _set("Old Wang Noodle House and Dumplings").lines == (
            "Old Wang Noodle",
            "House and Dumplings",
        )

    def test_a_monstrous_text_is_refused_at_once(self) -> None:
        started = time.perf_counter()
        with pytest.raises(TextTooLong):
            fit("面" * 200_000, width=80, size=10, smallest=4, lines=3, font=REGULAR)
        assert time.perf_counter() - started < 2
