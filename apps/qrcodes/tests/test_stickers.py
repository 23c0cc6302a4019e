"""Fifty stickers that are not ours, and those that are: told by what they hold."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Final

import pytest
import qrcode
from django.test import override_settings
from PIL import Image, ImageDraw

from apps.core.doors import new_token
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.services import set_store_active
from apps.merchants.tests.teams import ACTOR, NOW, make_merchant, make_store
from apps.qrcodes.models import QRCode
from apps.qrcodes.proof import Harm, Subject, harmed, read_codes
from apps.qrcodes.proof.photos import codes_in, open_photo
from apps.qrcodes.proof.stickers import Kind, judge_content
from apps.qrcodes.proofwords import verdict_words
from apps.qrcodes.selectors import Unusable, Verdict, identify, link_of
from apps.qrcodes.services import create_code, pause_code, retire_code

HERE: Final = "https://pay.example.com"
TOKEN: Final = "Ab3dE7xK9mQz"

#: Links that pretend to be ours.
LOOK_ALIKES: Final = [
    f"https://pay.example.com@evil.example/q/{TOKEN}",
    f"https://pay.example.com:x@evil.example/q/{TOKEN}",
    f"https://pay.example.com.evil.example/q/{TOKEN}",
    f"https://pay-example.com/q/{TOKEN}",
    f"https://payexample.com/q/{TOKEN}",
    f"https://pay.examp1e.com/q/{TOKEN}",
    f"https://pay.exampie.com/q/{TOKEN}",
    f"https://pay.exarnple.com/q/{TOKEN}",
    f"https://pay.exampel.com/q/{TOKEN}",
    f"https://pay.exmple.com/q/{TOKEN}",
    f"https://pay.eexample.com/q/{TOKEN}",
    f"https://pay.example.cn/q/{TOKEN}",
    f"https://pay.example.co/q/{TOKEN}",
    f"https://pay.example.com.cn/q/{TOKEN}",
    f"https://www.pay.example.com/q/{TOKEN}",
    f"https://pay.еxample.com/q/{TOKEN}",
    f"https://рay.example.com/q/{TOKEN}",
    f"https://pay.exаmplе.com/q/{TOKEN}",
    f"https://xn--pay-6cd.example.com/../pay.example.com/q/{TOKEN}",
    f"https://pаy.example.com/q/{TOKEN}",
    f"https://pay.éxample.com/q/{TOKEN}",
    f"https://evil.example/pay.example.com/q/{TOKEN}",
    f"https://evil.example/go?to=https://pay.example.com/q/{TOKEN}",
    f"https://secure-pay.example.com/q/{TOKEN}",
    f"https://evil.example\\@pay.example.com/q/{TOKEN}",
    f"https://pay%2eexample.com/q/{TOKEN}",
    f"https://pay_example.com/q/{TOKEN}",
    f"https://ｐay.example.com/q/{TOKEN}x@evil.example/",
]
#: Links that lead to us and are not what we print.
ALTERED: Final = [
    f"{HERE}/q/{TOKEN}?from=sticker",
    f"{HERE}/q/{TOKEN}#x",
    f"{HERE}/q/{TOKEN}/",
    f"{HERE}/pay/{TOKEN}",
    f"{HERE}//q/{TOKEN}",
    f"{HERE}/q/../q/{TOKEN}",
    f"HTTPS://PAY.EXAMPLE.COM/q/{TOKEN}",
    f"{HERE}/q/",
    f"{HERE}/q/<script>",
    f"https://pay.example.com./q/{TOKEN}",
    f"https://pay.exam\tple.com/q/{TOKEN}",
]
#: Our name without encryption, or at another door.
INSECURE: Final = [
    f"http://pay.example.com/q/{TOKEN}",
    f"https://pay.example.com:8443/q/{TOKEN}",
    f"http://pay.example.com:443/q/{TOKEN}",
]
#: Personal codes of wallets, and those of other tills.
WALLETS: Final = [
    "https://qr.alipay.com/fkx12345abcdef",
    "HTTPS://QR.ALIPAY.COM/FKX12345ABCDEF",
    "https://qr.95516.com/00010000/62000000",
    "https://qr.shouqianba.com/20031234567",
    "https://u.wechat.com/EAbCdEf",
    "wxp://f2f0AbCdEf",
    "weixin://wxpay/bizpayurl?pr=abc",
    "alipays://platformapi/startapp?appId=1",
]
OTHER_LINKS: Final = [
    "https://qr.alipay.com.evil.example/fkx1",
    "https://notqr.alipay.com.cn/fkx1",
    "https://example.org/q/Ab3dE7xK9mQz",
    "https://t.co/abc",
    "http://192.0.2.7/q/Ab3dE7xK9mQz",
    "https://shop.test/pay",
]
OTHERS: Final = [
    "javascript:alert(1)",
    "https://[::1",
    "data:text/html,x",
    "intent://pay#Intent;end",
]
HARMLESS: Final = [
    "WIFI:T:WPA;S:shop;P:secret;;",
    "BEGIN:VCARD\nFN:Wang\nEND:VCARD",
    "6212345678901234",
    "请到前台付款",
    "tel:+8657112345678",
    "",
]
#: Whatever may cost the shop money.
FOREIGN: Final = [*LOOK_ALIKES, *ALTERED, *INSECURE, *WALLETS, *OTHER_LINKS, *OTHERS]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (LOOK_ALIKES, Kind.LOOK_ALIKE),
        (ALTERED, Kind.ALTERED),
        (INSECURE, Kind.INSECURE),
        (WALLETS, Kind.WALLET),
        (OTHER_LINKS, Kind.OTHER_LINK),
        (OTHERS, Kind.OTHER),
        (HARMLESS, Kind.HARMLESS),
    ],
)
def test_each_foreign_content_is_called_what_it_is(texts: list[str], kind: Kind) -> None:
    assert {text: judge_content(text, public_url=HERE).kind for text in texts} == dict.fromkeys(
        texts, kind
    )


def test_there_are_fifty_of_them_and_only_the_printed_link_is_ours() -> None:
    assert len(set(FOREIGN)) >= 50
    judged = judge_content(f"{HERE}/q/{TOKEN}", public_url=HERE)
    assert (judged.kind, judged.token) == (Kind.OURS, TOKEN)


def test_a_forged_host_is_shown_as_it_is_written() -> None:
    judged = judge_content("https://xn--pay-8cd.example.com/", public_url=HERE)
    assert not judged.host.isascii() or judged.host.startswith("xn--")


def _photo(content: str, seed: int) -> bytes:
    """A photograph of a sticker, made by another hand than ours would print it."""
    code = qrcode.QRCode(border=4, box_size=8)
    code.add_data(content)
    image = code.make_image().get_image().convert("L")
    size = code.modules_count
    subject = Subject(image, content, size, "M")
    seen = harmed(subject, Harm(px=5, blur=0.4, rotation=12.0 * seed, tilt=20, noise=6, seed=seed))
    out = io.BytesIO()
    seen.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


@pytest.mark.django_db
def test_photographs_of_ours_and_of_foreign_stickers_are_told_apart() -> None:
    with override_settings(PUBLIC_URL=HERE):
        merchant, _, store = make_merchant()
        other, _, other_store = make_merchant()
        with enter_scope(Scope(other.pk)):
            theirs = create_code(
                store_id=other_store.pk, kind="counter", name="前台", actor=ACTOR, now=NOW
            )
        with enter_scope(Scope(merchant.pk)):
            codes: list[QRCode] = [
                create_code(store_id=store.pk, kind="table", name=f"桌号 {n}", actor=ACTOR, now=NOW)
                for n in range(4)
            ]
            pause_code(code_id=codes[1].pk, actor=ACTOR, now=NOW)
            retire_code(code_id=codes[2].pk, actor=ACTOR, now=NOW)
            wanted: list[tuple[str, Verdict | None]] = [
                (link_of(codes[0]), Verdict.OURS),
                (link_of(codes[1]), Verdict.STOPPED),
                (link_of(codes[2]), Verdict.RETIRED),
                (link_of(theirs), Verdict.OTHER_MERCHANT),
                (f"{HERE}/q/{new_token()}", Verdict.UNKNOWN),
                *((text, None) for text in FOREIGN),
            ]
            for seed, (text, verdict) in enumerate(wanted):
                (reading,) = codes_in(open_photo(_photo(text, seed)))
                assert reading.text == text
                told = identify(reading.text, now=NOW)
                assert verdict is None or told.verdict is verdict, text
                assert told.verdict.is_foreign == (told.code is None), text
                assert verdict_words(told).title
            assert identify(link_of(codes[0]), now=NOW).code == codes[0]


@pytest.mark.django_db
def test_a_code_of_a_store_out_of_reach_is_ours_but_not_shown() -> None:
    merchant, _, store = make_merchant()
    other = make_store(merchant)
    with enter_scope(Scope(merchant.pk)):
        code = create_code(store_id=other.pk, kind="table", name="桌号", actor=ACTOR, now=NOW)
        link = link_of(code)
    with enter_scope(Scope(merchant.pk, frozenset({store.pk}))):
        told = identify(link, now=NOW)
    assert (told.verdict, told.code) == (Verdict.ELSEWHERE, None)


@pytest.mark.django_db
def test_an_expired_code_is_stopped() -> None:
    merchant, _, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        code = create_code(
            store_id=store.pk,
            kind="event",
            name="夜市",
            valid_until=NOW + timedelta(hours=1),
            actor=ACTOR,
            now=NOW,
        )
        told = identify(link_of(code), now=NOW + timedelta(hours=1))
    assert told.verdict is Verdict.STOPPED


@pytest.mark.django_db
def test_a_code_of_a_closed_store_takes_no_payments() -> None:
    merchant, _, store = make_merchant()
    with enter_scope(Scope(merchant.pk)):
        code = create_code(store_id=store.pk, kind="table", name="桌号", actor=ACTOR, now=NOW)
        assert identify(link_of(code), now=NOW).verdict is Verdict.OURS
        make_store(merchant)
        set_store_active(store_id=store.pk, active=False, actor=ACTOR, now=NOW)
        told = identify(link_of(code), now=NOW)
    assert (told.verdict, told.why) == (Verdict.STOPPED, Unusable.STORE_CLOSED)
    assert told.version is not None


def test_a_striped_foreign_sticker_beside_ours_is_found() -> None:
    """A code that is read at once must not hide another that is read in a smaller copy only."""
    sheet = Image.new("L", (3400, 1700), 255)
    for left, text, box in ((0, "ours", 9), (1500, "foreign", 40)):
        code = qrcode.QRCode(border=4, box_size=box)
        code.add_data(text)
        image = code.make_image().get_image().convert("L")
        if left:
            # As a worn thermal printer leaves it: every other line is missing.
            pen = ImageDraw.Draw(image)
            for top in range(0, image.height, 16):
                pen.rectangle((0, top, image.width, top + 7), fill=255)
        sheet.paste(image, (left, 60))
    assert [reading.text for reading in read_codes(sheet)] == ["ours"]
    found = {reading.text: reading.corners for reading in codes_in(sheet)}
    assert set(found) == {"ours", "foreign"}
    assert all(x > 1500 for x, _y in found["foreign"])


def test_several_codes_in_one_picture_are_all_found() -> None:
    sheet = Image.new("L", (900, 450), 255)
    for place, text in enumerate(("one", "two")):
        code = qrcode.QRCode(border=4, box_size=8)
        code.add_data(text)
        sheet.paste(code.make_image().get_image().convert("L"), (450 * place, 40))
    assert sorted(reading.text for reading in codes_in(sheet)) == ["one", "two"]
