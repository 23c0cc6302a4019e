"""Every printed format in every kind of design: drawn by poppler, read by another program's decoder, looked into."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from apps.qrcodes.artwork import (
    FORMATS,
    PLAIN,
    Design,
    DesignRefused,
    Placard,
    TextTooLong,
    UnprintableText,
    format_of,
    missing_glyphs,
    render_pdf,
    render_preview,
    render_svg,
    write_pdf,
)
from apps.qrcodes.artwork.design import SMALLEST_MODULE_MM
from apps.qrcodes.artwork.fitting import fit
from apps.qrcodes.artwork.fonts import BOLD, measure
from apps.qrcodes.tests.artwork_judge import (
    LINK,
    SVG,
    decode,
    needs_pdftoppm,
    placard,
    rasterise_pdf,
)
from apps.qrcodes.tests.artwork_logos import red_logo

DESIGNS = {
    "plain": PLAIN,
    "strong": Design(level="H"),
    "rounded": Design(shape="rounded", level="Q", foreground="#0B3D91", accent="#0B3D91"),
    "logo": Design(level="H", logo=red_logo(), logo_percent=24),
    "everything": Design(
        level="H",
        shape="rounded",
        foreground="#5A0F14",
        background="#FFF4E0",
        accent="#F5D547",
        logo=red_logo(),
        language="en",
        wallet_marks=False,
    ),
}


def dressed(design: Design, **changes: object) -> Placard:
    """A placard as the portal dresses it in a design."""
    wallets = ("wechatpay", "alipay", "unionpay") if design.wallet_marks else ()
    return placard(accent=design.accent, language=design.language, wallets=wallets, **changes)


def reader(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data))


@needs_pdftoppm
class TestScanning:
    @pytest.mark.parametrize("name", DESIGNS)
    @pytest.mark.parametrize("key", FORMATS)
    def test_every_piece_of_every_page_decodes(self, key: str, name: str, tmp_path: Path) -> None:
        design, form = DESIGNS[name], FORMATS[key]
        pages = rasterise_pdf(
            render_pdf(dressed(design), paper=key, design=design), tmp_path, dpi=200
        )
        faces = sum(len(cells) for cells in form.groups)
        assert [decode(page) for page in pages] == [[LINK] * faces]
        expected = (form.width / 25.4 * 200, form.height / 25.4 * 200)
        assert pages[0].size == pytest.approx(expected, abs=1.5)

    def test_a_batch_fills_sheets_one_after_the_other(self, tmp_path: Path) -> None:
        links = [f"https://pay.example.com/q/Ab3dE7xK{number:03}" for number in range(17)]
        batch = [placard(link=link) for link in links]
        pages = rasterise_pdf(render_pdf(batch, paper="round-50"), tmp_path, dpi=150)
        found = [decode(page) for page in pages]
        assert [len(one) for one in found] == [15, 2]
        assert {text for one in found for text in one} == set(links)

    def test_both_faces_of_a_tent_stand_upright_when_it_is_folded(self, tmp_path: Path) -> None:
        (page,) = rasterise_pdf(render_pdf(placard(), paper="tent"), tmp_path, dpi=150)
        found = zxingcpp.read_barcodes(page.convert("L"))
        upper = [one for one in found if one.position.top_left.y < page.height / 2]
        assert len(found) == 4
        # Its own upper edge is the lower one on the flat sheet.
        assert [one.position.top_left.y > one.position.bottom_left.y for one in upper] == [True] * 2
        lower = [one for one in found if one not in upper]
        assert [one.position.top_left.y < one.position.bottom_left.y for one in lower] == [True] * 2
        # Both shop's names are next to the fold.
        accent = page.getpixel((page.width // 4 - 200, page.height // 2 - 60))
        assert accent == page.getpixel((page.width // 4 - 200, page.height // 2 + 60))
        assert accent != (255, 255, 255)


class TestMeasures:
    @pytest.mark.parametrize("key", FORMATS)
    @needs_pdftoppm
    def test_the_stated_module_is_the_printed_one(self, key: str, tmp_path: Path) -> None:
        form = FORMATS[key]
        stated = form.module_mm(placard(), PLAIN)
        content = reader(render_pdf(placard(), paper=key)).pages[0].get_contents()
        assert content is not None
        text = content.get_data().decode("latin-1")
        # The scales on the stack where the modules are drawn multiply to points a module.
        (scale,) = {round(_scale_at(text, at), 4) for at in re_starts(text)}
        assert scale / 72 * 25.4 == pytest.approx(stated, rel=0.001)
        assert stated >= SMALLEST_MODULE_MM

    def test_modules_too_fine_for_a_format_are_refused(self) -> None:
        long = placard(link="https://pay.example.com/q/" + "aB3" * 40)
        with pytest.raises(DesignRefused, match="module_too_fine"):
            render_pdf(long, paper="square-30", design=Design(level="H"))
        assert render_pdf(long, paper="A4", design=Design(level="H"))

    def test_an_unknown_format(self) -> None:
        with pytest.raises(DesignRefused, match="unknown_format"):
            format_of("A0")

    def test_pieces_and_crop_marks_stay_on_the_paper(self) -> None:
        for form in FORMATS.values():
            for cells in form.groups:
                for cell in cells:
                    assert 0 <= cell.x <= form.width - form.cell[0] + 0.001
                    assert 0 <= cell.y <= form.height - form.cell[1] + 0.001
            if form.kind == "sticker":
                # A printer's grip of 3 mm, marks of 5 mm.
                first = form.groups[0][0]
                assert min(first.x, first.y) >= 8


def re_starts(text: str) -> list[int]:
    """Where paths of modules begin."""
    return [match.start() for match in re.finditer(r"\nn \d+ \d+ \d+ 1 re", text)]


def _scale_at(text: str, end: int) -> float:
    stack, scale = [], 1.0
    for line in text[:end].split("\n"):
        if line.strip() == "q" or line.startswith("q "):
            stack.append(scale)
        elif line.strip() == "Q":
            scale = stack.pop()
        elif line.endswith(" cm"):
            a, b, *_rest = (float(part) for part in line.split()[:-1])
            scale *= (a * a + b * b) ** 0.5
    return scale


class TestPrintShop:
    @pytest.mark.parametrize("name", DESIGNS)
    @pytest.mark.parametrize("key", FORMATS)
    def test_vectors_in_process_colours_with_embedded_subsets(self, key: str, name: str) -> None:
        design = DESIGNS[name]
        document = reader(render_pdf(dressed(design), paper=key, design=design))
        for page in document.pages:
            resources: Any = page["/Resources"]
            images = [one.get_object() for one in resources.get("/XObject", {}).values()]
            assert len(images) == (design.logo is not None)
            for image in images:
                assert image["/ColorSpace"] == "/DeviceCMYK"
                assert "/SMask" not in image
            assert resources.get("/ColorSpace", {}) == {}
            content: Any = page.get_contents()
            operators = content.get_data().decode("latin-1")
            assert not re.search(r"(^|\s)(rg|RG|g|G|cs|CS|scn|SCN|sh|BI)(\s|$)", operators)
            for font in resources["/Font"].values():
                assert re.match(r"/[A-Z]{6}\+NotoSansSC-(Regular|Bold)$", font["/BaseFont"])
                assert "/FontFile2" in font["/FontDescriptor"]

    @pytest.mark.parametrize("key", FORMATS)
    def test_same_bytes_every_time(self, key: str) -> None:
        design = DESIGNS["everything"]
        first = render_pdf(dressed(design), paper=key, design=design)
        assert first == render_pdf(dressed(design), paper=key, design=design)

    def test_black_modules_are_black_ink_alone(self) -> None:
        for key in FORMATS:
            content: Any = reader(render_pdf(placard(), paper=key)).pages[0].get_contents()
            inks = re.findall(
                r"(\S+ \S+ \S+ \S+) k\nn \d+ \d+ \d+ 1 re", content.get_data().decode("latin-1")
            )
            assert set(inks) == {"0 0 0 1"}

    def test_a_large_batch_is_written_as_it_comes(self) -> None:
        """Each page is in the file before the next is asked for."""
        out = io.BytesIO()
        sizes: list[int] = []

        def coming() -> Iterator[Placard]:
            for number in range(30):
                sizes.append(out.tell())
                yield placard(scenario=f"桌号 {number}")

        assert write_pdf(out, coming(), form=FORMATS["A4"]) == 30
        grown = [after - before for before, after in pairwise(sizes[1:])]
        assert min(grown) > 500
        assert max(grown) < 8_000
        assert "桌号 29" in reader(out.getvalue()).pages[29].extract_text()


class TestDrawings:
    @pytest.mark.parametrize("name", DESIGNS)
    def test_svg_holds_paths_and_at_most_a_logo(self, name: str) -> None:
        design = DESIGNS[name]
        root = ET.fromstring(render_svg(dressed(design), design=design))
        images = list(root.iter(f"{SVG}image"))
        assert len(images) == (design.logo is not None)
        assert all(one.attrib["href"].startswith("data:image/png;base64,") for one in images)
        assert not list(root.iter(f"{SVG}script"))

    @pytest.mark.parametrize("key", FORMATS)
    def test_previews_are_drawn_for_every_format(self, key: str) -> None:
        design = DESIGNS["everything"]
        root = ET.fromstring(render_preview(FORMATS[key], dressed(design), design))
        uses = list(root.iter(f"{SVG}use"))
        assert len(uses) == sum(len(cells) for cells in FORMATS[key].groups)

    def test_hostile_names_are_text_in_the_preview(self) -> None:
        hostile = '<script>alert("1")</script>&\'--> ]]>'
        data = render_preview(FORMATS["A6"], placard(shop_name=hostile), PLAIN)
        root = ET.fromstring(data)
        assert not list(root.iter(f"{SVG}script"))
        texts = "".join(element.text or "" for element in root.iter(f"{SVG}text"))
        assert "<script>" in texts


class TestNames:
    def test_which_chinese_characters_the_fonts_have(self) -> None:
        """All of GB 2312 and of the unified block that GBK knows; of Extension A all but ten, of Extension B only some."""
        counts = {
            name: len(missing_glyphs("".join(map(chr, range(first, last + 1)))))
            for name, first, last in (
                ("unified", 0x4E00, 0x9FEF),
                ("extension A", 0x3400, 0x4DB5),
                ("newer", 0x4DB6, 0x4DBF),
                ("extension B", 0x20000, 0x2A6DF),
            )
        }
        assert counts == {
            "unified": 0,
            "extension A": 0,
            "newer": 10,
            "extension B": 42_666,
        }

    @pytest.mark.parametrize("key", FORMATS)
    @pytest.mark.parametrize("name", ["🍜面馆", "مطعم", "𠮷野家", "מסעדה"])
    def test_what_the_font_lacks_is_named_before_printing(self, key: str, name: str) -> None:
        with pytest.raises(UnprintableText) as refusal:
            render_pdf(placard(shop_name=name), paper=key)
        assert set(refusal.value.characters) <= set(name)

    @pytest.mark.parametrize("key", FORMATS)
    def test_three_hundred_characters_are_refused(self, key: str) -> None:
        with pytest.raises(TextTooLong):
            render_pdf(placard(scenario="面" * 300, shop_name="面" * 300), paper=key)

    @given(
        text=st.text(
            st.characters(min_codepoint=0x4E00, max_codepoint=0x4FFF), min_size=1, max_size=80
        ),
        width=st.floats(20, 100),
        lines=st.integers(1, 3),
    )
    @settings(max_examples=150, deadline=None)
    def test_what_fits_is_whole_and_inside(self, text: str, width: float, lines: int) -> None:
        try:
            fitted = fit(text, width=width, size=10, smallest=2, lines=lines, font=BOLD)
        except TextTooLong:
            assert measure(text, BOLD) * 2 * 1.1 > width * lines - 2 * 2 * lines
            return
        assert "".join(fitted.lines) == text
        assert len(fitted.lines) <= lines
        assert 2 <= fitted.size <= 10
        assert all(measure(line, BOLD) * fitted.size <= width + 0.001 for line in fitted.lines)

    def test_a_long_name_still_fits_where_it_can(self) -> None:
        long = placard(shop_name="北京市海淀区中关村老王兰州牛肉拉面馆", scenario="二楼靠窗 12")
        for key in FORMATS:
            assert render_pdf(replace(long), paper=key)
