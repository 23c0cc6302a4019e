from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from apps.core.money import Money
from apps.qrcodes.artwork import (
    InvalidContent,
    Placard,
    TextTooLong,
    UnprintableText,
    render_png,
    render_svg,
)
from apps.qrcodes.tests.artwork_judge import (
    LINK,
    SVG,
    decode,
    open_png,
    placard,
    quiet_zone,
    rasterise,
)

HOSTILE = '<script>alert("1")</script>&amp;\'--> ]]>'


class TestPlacard:
    @pytest.mark.parametrize(
        "link",
        [
            "",
            "ftp://x.cn/q/1",
            "javascript:alert(1)",
            "https://面.cn/q/1",
            "https://a b",
            "https://x/\n",
        ],
    )
    def test_only_plain_web_addresses(self, link: str) -> None:
        with pytest.raises(InvalidContent):
            placard(link=link)

    @pytest.mark.parametrize(
        "changes",
        [
            {"language": "fr"},
            {"accent": "red"},
            {"accent": '#fff"/>'},
            {"wallets": ("alipay", "cash")},
        ],
    )
    def test_unknown_choices_are_refused(self, changes: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r".+"):
            placard(**changes)

    def test_price(self) -> None:
        assert placard(amount=Money(123456789)).price == "¥1,234,567.89"
        assert placard(amount=Money(5)).price == "¥0.05"
        assert placard(amount=None).price == ""

    def test_only_link_and_shop_are_needed(self) -> None:
        assert Placard(link=LINK, shop_name="老王").title == "老王"


class TestPng:
    @pytest.mark.parametrize("size_px", [74, 128, 300, 1024, 2000])
    @pytest.mark.parametrize("captioned", [False, True])
    def test_decodes_at_every_size(self, size_px: int, captioned: bool) -> None:
        image = open_png(render_png(placard(), size_px=size_px, captioned=captioned))
        assert decode(image) == [LINK]
        assert image.width == size_px
        assert image.height > size_px if captioned else image.height == size_px
        assert quiet_zone(image.crop((0, 0, size_px, size_px))) >= 4

    def test_states_its_resolution(self) -> None:
        image = open_png(render_png(placard(), dpi=600))
        assert image.info["dpi"] == pytest.approx((600, 600), abs=0.02)

    def test_same_bytes_every_time(self) -> None:
        assert render_png(placard(), captioned=True) == render_png(placard(), captioned=True)

    def test_caption_names_what_it_cannot_print(self) -> None:
        with pytest.raises(UnprintableText) as refusal:
            render_png(placard(shop_name="𠮷野家"), captioned=True)
        assert refusal.value.characters == ("𠮷",)
        assert decode(open_png(render_png(placard(shop_name="𠮷野家")))) == [LINK]

    def test_caption_that_is_too_long_is_refused(self) -> None:
        with pytest.raises(TextTooLong):
            render_png(placard(shop_name="面" * 300), captioned=True)


class TestSvg:
    @pytest.mark.parametrize("captioned", [False, True])
    @pytest.mark.parametrize("scale", [2, 3, 10])
    def test_decodes(self, captioned: bool, scale: int) -> None:
        image = rasterise(render_svg(placard(), captioned=captioned), scale=scale)
        assert decode(image) == [LINK]
        assert quiet_zone(image.crop((0, 0, image.width, image.width))) == 4

    def test_is_vector_only_with_one_path_for_the_modules_and_true_size(self) -> None:
        root = ET.fromstring(render_svg(placard(), width_mm=80))
        assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
            "svg", "title", "path", "g", "text",
        }  # fmt: skip
        assert [path.attrib["fill"] for path in root.iter(f"{SVG}path")] == ["#fff", "#000"]
        assert root.attrib["width"] == "80mm"
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        assert float(root.attrib["height"].removesuffix("mm")) == pytest.approx(
            80 * height / width, abs=0.01
        )
        assert all("style" not in element.attrib for element in root.iter())

    def test_caption_says_everything(self) -> None:
        root = ET.fromstring(render_svg(placard()))
        assert [text.text for text in root.iter(f"{SVG}text")] == [
            "老王面馆", "中关村店 · 桌号 12", "¥1,288.50", "扫码付款 Scan to pay", "Q-7F3K",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "name",
        [HOSTILE, "مطعم الشرق", "😀 𠮷野家", "a\x00\x0b\u202eb\ufffe\uffff\ud800c", "\u0331"],
    )
    def test_hostile_names_stay_text(self, name: str) -> None:
        svg = render_svg(placard(shop_name=name, scenario=name))
        root = ET.fromstring(svg)
        assert not [e for e in root.iter() if e.tag.endswith("script")]
        assert decode(rasterise(svg, scale=3)) == [LINK]

    def test_markup_in_a_name_is_shown_as_written(self) -> None:
        root = ET.fromstring(render_svg(placard(shop_name="<b>A&B</b>")))
        assert next(root.iter(f"{SVG}text")).text == "<b>A&B</b>"

    def test_three_hundred_characters_are_refused(self) -> None:
        with pytest.raises(TextTooLong):
            render_svg(placard(shop_name="面" * 300))

    def test_same_bytes_every_time(self) -> None:
        assert render_svg(placard()) == render_svg(placard())
