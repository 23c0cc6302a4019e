"""Designs, logos, and how much of a code a logo may cover."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, get_args

import pytest
import qrcode
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from qrcode.util import create_data

from apps.qrcodes.artwork import PLAIN, Design, DesignRefused, Logo, LogoRefused, read_logo
from apps.qrcodes.artwork.coverage import (
    bears,
    blocks,
    codeword_map,
    damage,
    largest_patch,
    patch,
    size_of,
    version_of,
)
from apps.qrcodes.artwork.images import PICTURE_DPI, picture_facts, render_picture
from apps.qrcodes.artwork.logos import KEPT_EDGE, MAX_KEPT_BYTES, in_inks, on_ground
from apps.qrcodes.artwork.matrix import LEVELS, Level, modules
from apps.qrcodes.tests.artwork_judge import LINK, decode, open_png, placard
from apps.qrcodes.tests.artwork_logos import BAD_LOGOS, picture, red_logo

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06X}")


class TestDesign:
    @pytest.mark.parametrize(
        ("changes", "field", "key"),
        [
            ({"level": "X"}, "level", "unknown"),
            ({"shape": "star"}, "shape", "unknown"),
            ({"language": "fr"}, "language", "unknown"),
            ({"foreground": "red"}, "foreground", "not_a_colour"),
            ({"background": "#FFF"}, "background", "not_a_colour"),
            ({"accent": '#12345"'}, "accent", "not_a_colour"),
            ({"foreground": "#FFFFFF", "background": "#000000"}, "foreground", "inverted"),
            ({"foreground": "#FFFF00"}, "foreground", "too_little_contrast"),
            ({"background": "#808080"}, "foreground", "too_little_contrast"),
            ({"logo_percent": 9}, "logo_percent", "logo_size"),
            ({"logo_percent": 31}, "logo_percent", "logo_size"),
            ({"logo": red_logo(), "level": "M"}, "level", "level_too_low"),
            ({"logo": red_logo(), "level": "L"}, "level", "level_too_low"),
        ],
    )
    def test_what_would_not_scan_is_refused_by_field(
        self, changes: dict[str, Any], field: str, key: str
    ) -> None:
        with pytest.raises(DesignRefused) as refusal:
            Design(**changes)
        assert (refusal.value.field, refusal.value.key) == (field, key)

    @given(foreground=COLOURS, background=COLOURS)
    @settings(max_examples=60, deadline=None)
    def test_whatever_colours_pass_are_read(self, foreground: str, background: str) -> None:
        try:
            look = Design(foreground=foreground, background=background)
        except DesignRefused:
            return
        image = open_png(render_picture(placard(), width_mm=40, dpi=150, design=look))
        assert decode(image) == [LINK]

    def test_a_logo_too_large_says_how_large_it_may_be(self) -> None:
        design = Design(level="Q", logo=red_logo(), logo_percent=30)
        with pytest.raises(DesignRefused, match="logo_too_large") as refusal:
            design.matrix(LINK)
        most = int(refusal.value.facts["most"])
        assert Design(level="Q", logo=red_logo(), logo_percent=most).matrix(LINK)
        with pytest.raises(DesignRefused):
            Design(level="Q", logo=red_logo(), logo_percent=most + 3).matrix(LINK)


class TestCoverage:
    @pytest.mark.parametrize("version", [1, 2, 5, 6, 7, 10, 14, 21, 27])
    @pytest.mark.parametrize("level", get_args(Level))
    def test_codewords_lie_where_qrcode_lays_them(self, version: int, level: Level) -> None:
        code = qrcode.QRCode(
            version=version, error_correction=LEVELS[level], border=0, mask_pattern=0
        )
        code.add_data(b"x" * 5, optimize=0)
        code.make(fit=False)
        laid = create_data(version, LEVELS[level], code.data_list)
        read = [0] * len(laid)
        for (x, y), number in codeword_map(version).items():
            if number < len(read):
                # Modules come in the order of their bits; mask 0 turns every other one.
                bit = bool(code.modules[y][x]) ^ ((x + y) % 2 == 0)
                read[number] = read[number] << 1 | bit
        assert read == laid

    @given(
        version=st.integers(1, 14), level=st.sampled_from(get_args(Level)), half=st.integers(0, 12)
    )
    @settings(max_examples=150, deadline=None)
    def test_what_it_bears_stays_within_half_of_every_blocks_repair(
        self, version: int, level: Level, half: int
    ) -> None:
        edge = 2 * half + 1
        if edge > size_of(version):
            return
        if bears(version, level, edge):
            hurt = damage(version, level, edge)
            for count, block in zip(hurt, blocks(version, level), strict=True):
                assert 2 * count <= block.repairs
            assert edge <= largest_patch(version, level)
            # Finder patterns, and the timing patterns between them, stay whole.
            assert min(patch(size_of(version), edge)) > 6

    @pytest.mark.parametrize("level", ["Q", "H"])
    @pytest.mark.parametrize("length", [11, 24, 60, 120, 250])
    def test_the_largest_patch_full_of_noise_still_reads_with_damage_elsewhere(
        self, level: Level, length: int
    ) -> None:
        link = ("https://pay.example.com/q/" + "aB3xK9" * 50)[:length]
        matrix = [list(row) for row in modules(link, level)]
        version = version_of(len(matrix))
        for y in patch(len(matrix), largest_patch(version, level)):
            for x in patch(len(matrix), largest_patch(version, level)):
                matrix[y][x] = not matrix[y][x]
        image = Image.new("L", (len(matrix) + 8,) * 2, 255)
        for y, row in enumerate(matrix):
            for x, dark in enumerate(row):
                if dark:
                    image.putpixel((x + 4, y + 4), 0)
        big = image.resize((image.width * 6,) * 2, Image.Resampling.NEAREST)
        # A scratch of three modules at the right edge.
        ImageDraw.Draw(big).rectangle((big.width - 54, 110, big.width - 30, 128), fill=255)
        assert decode(big) == [link]


class TestLogos:
    @pytest.mark.parametrize("name", BAD_LOGOS)
    def test_bad_files_are_refused_with_their_reason(self, name: str) -> None:
        key, data = BAD_LOGOS[name]
        with pytest.raises(LogoRefused) as refusal:
            read_logo(data)
        assert refusal.value.key == key

    @pytest.mark.parametrize(
        ("kind", "mode"),
        [
            ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "L"), ("PNG", "1"), ("PNG", "I;16"),
            ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("WEBP", "RGBA"),
        ],
    )  # fmt: skip
    def test_good_files_of_every_kind(self, kind: str, mode: str) -> None:
        if mode == "I;16":
            image = Image.new("I;16", (300, 200), 65535)
            image.paste(0, (50, 50, 250, 150))
            out = io.BytesIO()
            image.save(out, kind)
            logo = read_logo(out.getvalue())
            kept = on_ground(logo, "#FFFFFF")
            assert kept.getpixel((2, 2)) == (255, 255, 255)
        else:
            logo = read_logo(picture(kind, mode=mode))
            kept = on_ground(logo, "#00FF00")
        assert max(logo.width, logo.height) <= KEPT_EDGE
        assert kept.size == (logo.width, logo.height)
        middle = kept.getpixel((logo.width // 2, logo.height // 2))
        assert isinstance(middle, tuple)
        assert middle[1] < 160
        assert read_logo(logo.data).width == logo.width

    def test_metadata_is_left_behind_and_the_camera_is_turned(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # taken on its side
        exif[0x010F] = "Maker of cameras"
        logo = read_logo(picture("JPEG", size=(300, 200), exif=exif, comment=b"secret place"))
        assert logo.height > logo.width
        assert b"Maker" not in logo.data
        assert b"secret" not in logo.data
        chunks = [logo.data[at : at + 4] for at in range(len(logo.data) - 4)]
        assert not {b"tEXt", b"eXIf", b"iCCP", b"iTXt"} & set(chunks)

    def test_a_photograph_is_kept_small(self) -> None:
        noise = Image.effect_noise((2000, 1500), 90)
        photo = Image.merge("RGB", [noise, noise.rotate(90).resize(noise.size), noise.rotate(180)])
        out = io.BytesIO()
        photo.save(out, "JPEG", quality=80)
        logo = read_logo(out.getvalue())
        assert len(logo.data) <= MAX_KEPT_BYTES

    @given(
        data=st.binary(max_size=300),
        start=st.sampled_from(
            [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x10\0\0\0WEBPVP8 "]
        ),
    )
    @settings(max_examples=200, deadline=None)
    def test_no_bytes_get_further_than_a_reason(self, data: bytes, start: bytes) -> None:
        with suppress(LogoRefused):
            assert isinstance(read_logo(start + data), Logo)

    @given(width=st.integers(32, 900), height=st.integers(32, 900))
    @settings(max_examples=25, deadline=None)
    def test_what_is_kept_is_bounded_and_keeps_its_proportions(
        self, width: int, height: int
    ) -> None:
        logo = read_logo(picture(size=(width, height)))
        assert max(logo.width, logo.height) <= KEPT_EDGE
        assert logo.width / logo.height == pytest.approx(width / height, rel=0.08)
        assert len(logo.data) <= MAX_KEPT_BYTES

    def test_greys_of_a_logo_are_black_ink_only(self) -> None:
        inks = in_inks(Image.new("RGB", (2, 2), (128, 128, 128)))
        assert inks.getpixel((0, 0)) == (0, 0, 0, 127)
        assert in_inks(Image.new("RGB", (2, 2), (255, 0, 0))).getpixel((0, 0)) == (0, 255, 255, 0)


class TestPictures:
    @pytest.mark.parametrize("dpi", PICTURE_DPI)
    @pytest.mark.parametrize("width_mm", [30, 60, 200])
    def test_the_file_states_its_size(self, width_mm: int, dpi: int) -> None:
        look = Design(shape="rounded", level="H", logo=red_logo(), foreground="#102040")
        data = render_picture(placard(), width_mm=width_mm, dpi=dpi, design=look)
        image = open_png(data)
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.1)
        assert image.width / image.info["dpi"][0] * 25.4 == pytest.approx(width_mm, abs=0.2)
        assert decode(image) == [LINK]
        module = picture_facts(LINK, look, width_mm=width_mm, dpi=dpi).module_px
        box = image.convert("L").point(lambda value: 255 if value < 200 else 0).getbbox()
        assert box is not None
        assert min(*box[:2], image.width - box[2], image.height - box[3]) >= 4 * module

    def test_too_narrow_says_what_would_do(self) -> None:
        with pytest.raises(DesignRefused, match="too_narrow") as refusal:
            picture_facts(LINK, PLAIN, width_mm=15, dpi=150)
        least = int(refusal.value.facts["least_mm"])
        assert picture_facts(LINK, PLAIN, width_mm=least, dpi=150).module_mm >= 0.4

    def test_unusual_and_too_large(self) -> None:
        for width, dpi, key in ((14, 300, "unusual_size"), (60, 72, "unusual_size"), (400, 600, "too_many_pixels")):  # fmt: skip
            with pytest.raises(DesignRefused, match=key):
                picture_facts(LINK, PLAIN, width_mm=width, dpi=dpi)

    def test_same_bytes_every_time(self) -> None:
        look = Design(shape="rounded", level="H", logo=red_logo())
        first = render_picture(placard(), width_mm=50, dpi=300, design=look, captioned=True)
        assert first == render_picture(placard(), width_mm=50, dpi=300, design=look, captioned=True)
