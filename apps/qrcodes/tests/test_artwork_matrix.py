from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from apps.qrcodes.artwork import InvalidContent, qr_png, qr_svg
from apps.qrcodes.artwork.matrix import modules, runs
from apps.qrcodes.artwork.shapes import svg_path
from apps.qrcodes.tests.artwork_judge import LINK, decode, open_png, quiet_zone, rasterise

CONTENTS = [
    LINK,
    "weixin://wxpay/bizpayurl?pr=p4lpSuKzz",
    "https://qr.alipay.com/bax03206ug0kulveltqc80a8?t=1&u=2",
    "HTTPS://PAY.EXAMPLE.COM/Q/7F3K",
]


class TestModules:
    @pytest.mark.parametrize("content", CONTENTS)
    def test_runs_hold_exactly_the_dark_modules(self, content: str) -> None:
        matrix = modules(content)
        dark = {(x + i, y) for x, y, length in runs(matrix) for i in range(length)}
        assert dark == {
            (x, y) for y, row in enumerate(matrix) for x, module in enumerate(row) if module
        }

    def test_runs_do_not_touch_each_other(self) -> None:
        ends = {(x + length, y) for x, y, length in runs(modules(LINK))}
        assert not ends & {(x, y) for x, y, _ in runs(modules(LINK))}

    @pytest.mark.parametrize("content", ["", "a b", "收款", "line\nbreak", "x" * 601, "\x00"])
    def test_other_than_short_plain_ascii_is_refused(self, content: str) -> None:
        with pytest.raises(InvalidContent):
            modules(content)

    def test_a_short_link_stays_below_thirty_modules(self) -> None:
        assert len(modules(LINK)) == 29


class TestBareCodes:
    @pytest.mark.parametrize("content", CONTENTS)
    @pytest.mark.parametrize("size_px", [96, 200, 512, 1333])
    def test_png_decodes_at_every_size(self, content: str, size_px: int) -> None:
        image = open_png(qr_png(content, size_px=size_px))
        assert image.size == (size_px, size_px)
        assert decode(image) == [content]
        assert quiet_zone(image) >= 4

    @pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
    def test_every_error_correction_level_decodes(self, level: str) -> None:
        image = open_png(qr_png(LINK, level=level))  # type: ignore[arg-type]
        assert decode(image) == [LINK]

    def test_too_few_pixels_are_refused_with_the_number_needed(self) -> None:
        with pytest.raises(ValueError, match="take 74"):
            qr_png(LINK, size_px=73)
        assert decode(open_png(qr_png(LINK, size_px=74))) == [LINK]

    @pytest.mark.parametrize("content", CONTENTS)
    def test_svg_decodes_and_has_nothing_that_a_strict_policy_refuses(self, content: str) -> None:
        markup = qr_svg(content)
        image = rasterise(markup.encode(), scale=4)
        assert decode(image) == [content]
        assert quiet_zone(image) == 4
        assert "style" not in markup
        assert "<script" not in markup
        assert len(markup) < 4500

    def test_svg_is_one_path_for_all_modules(self) -> None:
        root = ET.fromstring(qr_svg(LINK, border=2))
        paths = list(root)
        assert len(paths) == 2
        assert paths[1].attrib["d"] == svg_path(modules(LINK), border=2, shape="square")
        assert root.attrib["viewBox"] == "0 0 33 33"

    def test_label_is_escaped(self) -> None:
        root = ET.fromstring(qr_svg(LINK, label="<b>&\"'"))
        assert root[0].text == "<b>&\"'"
        assert root.attrib["role"] == "img"
