from __future__ import annotations

import dataclasses
import io
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from apps.core.money import Money
from apps.qrcodes.artwork import (
    PAPERS,
    DesignRefused,
    Paper,
    TextTooLong,
    UnprintableText,
    render_pdf,
)
from apps.qrcodes.artwork.colours import cmyk, luminance
from apps.qrcodes.artwork.placard import WALLET_MARKS
from apps.qrcodes.tests.artwork_judge import (
    LINK,
    code_box,
    decode,
    needs_pdftoppm,
    placard,
    rasterise_pdf,
)

#: As much text as a placard takes: the code is smallest here.
FULL = placard(
    shop_name="北京市海淀区中关村老王兰州牛肉拉面连锁餐饮有限责任公司（旗舰店）",
    store_name="海淀区中关村大街二十七号中关村大厦一层东侧底商一百零八号铺面分店",
    scenario="二层露台靠窗第十二号长桌（可坐八人，需提前预订）",
    amount=Money(9_999_999_999),
    wallets=("wechatpay", "alipay", "unionpay"),
    accent="#FFFFFF",
)
KINDS = [
    placard(),
    placard(amount=None, language="zh-hans", accent="#000000"),
    placard(
        language="en", shop_name="Old Wang Noodle House", wallets=("alipay",), accent="#F5D547"
    ),
    placard(store_name="", scenario="", wallets=(), reference="", amount=None),
    FULL,
]


def _reader(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data))


def _text(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in _reader(data).pages)


def _content(data: bytes) -> str:
    return "\n".join(
        page.get_contents().get_data().decode("latin-1")  # type: ignore[union-attr]
        for page in _reader(data).pages
    )


@needs_pdftoppm
class TestScanning:
    @pytest.mark.parametrize("paper", PAPERS)
    @pytest.mark.parametrize("dpi", [72, 150, 300])
    def test_every_kind_decodes_at_every_resolution(
        self, paper: Paper, dpi: int, tmp_path: Path
    ) -> None:
        pages = rasterise_pdf(render_pdf(KINDS, paper=paper), tmp_path, dpi=dpi)
        assert [decode(page) for page in pages] == [[LINK]] * len(KINDS)
        width, height = PAPERS[paper]
        assert pages[0].size == pytest.approx((width / 25.4 * dpi, height / 25.4 * dpi), abs=1.5)

    @pytest.mark.parametrize("paper", PAPERS)
    def test_four_modules_around_the_code_are_white(self, paper: Paper, tmp_path: Path) -> None:
        for page in rasterise_pdf(render_pdf([KINDS[0], FULL], paper=paper), tmp_path, dpi=300):
            grey = page.convert("L")
            left, top, edge = code_box(grey)
            quiet = int(edge / 29 * 4)
            around = grey.crop((left - quiet, top - quiet, left + edge + quiet, top + edge + quiet))
            around.paste(255, (quiet - 2, quiet - 2, quiet + edge + 2, quiet + edge + 2))
            assert around.getextrema() == (255, 255)
            # The least that is asked of print is 0.4 mm a module; ours stay well above.
            assert edge / 29 / 300 * 25.4 >= 0.9

    def test_ruler_is_fifty_true_millimetres(self, tmp_path: Path) -> None:
        paper: Paper
        for paper in PAPERS:
            (page,) = rasterise_pdf(
                render_pdf(placard(reference=""), paper=paper), tmp_path, dpi=300
            )
            foot = page.convert("L").crop((0, round(page.height * 0.945), page.width, page.height))
            box = foot.point(lambda value: 255 if value < 200 else 0).getbbox()
            assert box is not None
            assert (box[2] - box[0]) / 300 * 25.4 == pytest.approx(50, abs=0.35)


class TestPrintShop:
    def test_every_font_is_embedded_as_a_subset(self) -> None:
        fonts: dict[str, Any] = {}
        for page in _reader(render_pdf(KINDS)).pages:
            resources: Any = page["/Resources"]
            used = (reference.get_object() for reference in resources["/Font"].values())
            fonts |= {font["/BaseFont"]: font for font in used}
        assert {re.sub(r"^/[A-Z]{6}\+", "", name) for name in fonts} == {
            "NotoSansSC-Regular",
            "NotoSansSC-Bold",
        }
        for font in fonts.values():
            assert "/FontFile2" in font["/FontDescriptor"]

    def test_only_process_colours_and_pure_black_modules(self) -> None:
        content = _content(render_pdf(KINDS))
        assert not re.search(r"\b(rg|RG|g|G|cs|CS)\n", content)
        assert not re.search(r" Do\b", content)
        inks = re.findall(r"(\S+ \S+ \S+ \S+) k\nn \d+ \d+ \d+ 1 re", content)
        assert inks == ["0 0 0 1"] * len(KINDS)

    def test_modules_are_one_path(self) -> None:
        content = _content(render_pdf(placard()))
        (path,) = re.findall(r"n (?:\d+ \d+ \d+ 1 re\s+)+f", content)
        assert path.count(" re") > 200

    def test_page_sizes_and_metadata(self) -> None:
        reader = _reader(render_pdf([placard(), FULL], paper="A4"))
        assert len(reader.pages) == 2
        box = reader.pages[0].mediabox
        assert (float(box.width), float(box.height)) == pytest.approx((595.28, 841.89), abs=0.01)
        assert reader.metadata is not None
        assert reader.metadata.title == "老王面馆 · 中关村店 · 桌号 12"
        assert reader.metadata.producer == "Merchant Portal"

    def test_text_can_be_searched(self) -> None:
        text = _text(render_pdf(placard(shop_name="龑记鿏面𬭛馆")))
        for words in (
            "龑记鿏面𬭛馆", "中关村店", "桌号 12", "¥1,288.50", "扫码付款", "Scan to pay",
            "微信支付 WeChat Pay", "支付宝 Alipay", "Q-7F3K", "50 mm",
        ):  # fmt: skip
            assert words in text

    def test_each_language_stands_alone(self) -> None:
        english = _text(
            render_pdf(
                placard(language="en", shop_name="Wang", store_name="", scenario="Counter 1")
            )
        )
        assert "Scan to pay" in english
        assert not re.search(r"[\u4e00-\u9fff]", english)
        chinese = _text(render_pdf(placard(language="zh-hans")))
        assert "扫码付款" in chinese
        assert "Scan" not in chinese
        assert "Alipay" not in chinese

    def test_same_bytes_every_time_and_small(self) -> None:
        first = render_pdf(KINDS)
        assert first == render_pdf(KINDS)
        assert len(render_pdf(placard())) < 60_000

    def test_threads_do_not_disturb_each_other(self) -> None:
        expected = {shop: render_pdf(placard(shop_name=shop)) for shop in ("甲乙丙丁", "戊己庚辛")}
        results: list[bool] = []

        def work(shop: str) -> None:
            results.extend(render_pdf(placard(shop_name=shop)) == expected[shop] for _ in range(5))

        threads = [threading.Thread(target=work, args=(shop,)) for shop in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 10


class TestRefusals:
    def test_missing_glyphs_of_all_pages_are_named_before_printing(self) -> None:
        with pytest.raises(UnprintableText) as refusal:
            render_pdf([placard(), placard(shop_name="𠮷野家"), placard(scenario="مرحبا 😀")])
        assert refusal.value.characters == ("𠮷", "م", "ر", "ح", "ب", "ا", "😀")

    @pytest.mark.parametrize("field", ["shop_name", "store_name", "scenario", "reference"])
    def test_three_hundred_characters_are_refused(self, field: str) -> None:
        with pytest.raises(TextTooLong):
            render_pdf(placard(**{field: "面" * 300}))

    def test_a_link_too_long_for_the_paper(self) -> None:
        long = "https://pay.example.com/q/" + "aB3" * 180
        with pytest.raises(DesignRefused, match="module_too_fine"):
            render_pdf(dataclasses.replace(FULL, link=long), paper="A6", level="H")
        assert render_pdf(dataclasses.replace(FULL, link=long), paper="A4", level="H")

    def test_no_placard_and_unknown_paper(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            render_pdf([])
        with pytest.raises(ValueError, match="A6, A5, A4"):
            render_pdf(placard(), paper="A0")

    def test_markup_and_direction_marks_are_printed_as_plain_text(self) -> None:
        text = _text(render_pdf(placard(shop_name="<b>A&B</b>\u202e(x)", scenario="a)\\(b")))
        assert "<b>A&B</b>(x)" in text
        assert "a)\\(b" in text


class TestColours:
    def test_black_and_greys_use_black_ink_only(self) -> None:
        assert cmyk("#000000").cmyk() == (0, 0, 0, 1)
        assert cmyk("#808080").cmyk()[:3] == (0, 0, 0)
        assert cmyk("#FFFFFF").cmyk() == (0, 0, 0, 0)
        assert cmyk("#FF0000").cmyk() == (0, 1, 1, 0)

    @pytest.mark.parametrize("mark", WALLET_MARKS.values(), ids=list(WALLET_MARKS))
    def test_white_letters_can_be_read_on_every_wallet_colour(self, mark: Any) -> None:
        assert 1.05 / (luminance(mark.colour) + 0.05) >= 4.5
