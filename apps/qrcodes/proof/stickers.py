"""What a code's content says about whose it is, before anybody asks the database: our link, one that looks like it, or another."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

#: A link longer than this is none of ours, whatever it begins with.
_LONGEST: Final = 2_000
#: Where the wallets' own codes lead, for money to a person or a shop.
_WALLET_HOSTS: Final = (
    "qr.alipay.com",
    "wxp.tenpay.com",
    "payapp.weixin.qq.com",
    "u.wechat.com",
    "weixin.qq.com",
    "qr.95516.com",
    "qr.shouqianba.com",
    "qr.wosai.cn",
)
#: How such codes begin where they are no web address.
_WALLET_STARTS: Final = ("wxp://", "weixin://", "alipays://", "alipayqr://", "upwallet://")
#: How contents begin that no money goes by.
_HARMLESS: Final = ("wifi:", "begin:", "mecard:", "tel:", "smsto:", "sms:", "mailto:", "geo:")
_TOKEN = re.compile(r"/q/([0-9A-Za-z_-]{6,24})")
#: Letters of Cyrillic, Armenian and Greek, and digits, that stand for Latin letters in forged names.
_TWINS: Final = str.maketrans(
    {
        "\u0430": "a",
        "\u0432": "b",
        "\u0441": "c",
        "\u0501": "d",
        "\u0435": "e",
        "\u04bb": "h",
        "\u0456": "l",
        "\u0458": "j",
        "\u043a": "k",
        "\u04cf": "l",
        "\u043c": "m",
        "\u0578": "n",
        "\u043e": "o",
        "\u0440": "p",
        "\u051b": "q",
        "\u0433": "r",
        "\u0455": "s",
        "\u0442": "t",
        "\u0475": "v",
        "\u051d": "w",
        "\u0445": "x",
        "\u0443": "y",
        "\u03b1": "a",
        "\u03b2": "b",
        "\u03b5": "e",
        "\u03b9": "l",
        "\u03ba": "k",
        "\u03bd": "v",
        "\u03bf": "o",
        "\u03c1": "p",
        "\u03c4": "t",
        "\u03c5": "u",
        "\u03c7": "x",
        "0": "o",
        "1": "l",
        "i": "l",
        "3": "e",
        "5": "s",
    }
)


class Kind(StrEnum):
    """What a content is. OURS has a token to look up; ALTERED leads to us but is not as we print it; INSECURE names us without
    encryption or at another door; LOOK_ALIKE pretends to be us; WALLET is a wallet's own code for money or contacts; HARMLESS is
    no link: Wi-Fi, a card, a number, words."""

    OURS = "ours"
    ALTERED = "altered"
    INSECURE = "insecure"
    LOOK_ALIKE = "look_alike"
    WALLET = "wallet"
    OTHER_LINK = "other_link"
    OTHER = "other"
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True)
class Content:
    """A content judged by itself. ``token`` is that of a link of ours; ``host`` whom another link belongs to, as it is written."""

    kind: Kind
    token: str = ""
    host: str = ""


def judge_content(text: str, *, public_url: str) -> Content:
    """What ``text`` is, seen from the portal at ``public_url``."""
    plain = text.strip()
    # Browsers take a backslash for a slash, and leave out line breaks and tabs; Python's splitting does not.
    read = re.sub(r"[\t\r\n]", "", plain).replace("\\", "/")
    try:
        link = urlsplit(read)
        host = (link.hostname or "").rstrip(".")
        port = link.port
    except ValueError:
        return Content(Kind.OTHER)
    if link.scheme not in {"http", "https"} or not host or len(plain) > _LONGEST:
        return Content(_without_link(plain))
    ours = urlsplit(public_url)
    here = ours.hostname or ""
    same_place = (link.scheme, host, _port(link.scheme, port)) == (
        ours.scheme,
        here,
        _port(ours.scheme, ours.port),
    )
    if not same_place or "@" in link.netloc:
        if host == here and "@" not in link.netloc:
            return Content(Kind.INSECURE, host=_written(link.netloc))
        if host == here or _looks_like(host, here) or _names(link, here):
            return Content(Kind.LOOK_ALIKE, host=_written(host))
        is_wallet = any(host == one or host.endswith(f".{one}") for one in _WALLET_HOSTS)
        return Content(Kind.WALLET if is_wallet else Kind.OTHER_LINK, host=_written(host))
    found = _TOKEN.fullmatch(link.path)
    if found is not None and plain == f"{public_url}{link.path}":
        return Content(Kind.OURS, token=found[1])
    loose = _TOKEN.fullmatch(link.path.rstrip("/"))
    return Content(Kind.ALTERED, token=loose[1] if loose else "", host=_written(host))


def _without_link(text: str) -> Kind:
    """What something is that opens no page."""
    start = text[:24].casefold()
    if start.startswith(_WALLET_STARTS):
        return Kind.WALLET
    scheme = re.match(r"[a-z][a-z0-9+.-]*:", start)
    if scheme is None or start.startswith(_HARMLESS):
        return Kind.HARMLESS
    return Kind.OTHER


def _port(scheme: str, port: int | None) -> int:
    return port if port is not None else (443 if scheme == "https" else 80)


def _written(host: str) -> str:
    """A host as its owner wrote it, letters of other scripts in their own shape."""
    plain = unquote(host)
    try:
        return plain.encode("ascii").decode("idna")
    except (UnicodeError, ValueError):
        return plain


def _skeleton(host: str) -> str:
    """A host as a hasty eye sees it: letters that look alike are one."""
    shown = unicodedata.normalize("NFKC", _written(host)).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFKD", shown) if not unicodedata.combining(c))
    return bare.translate(_TWINS).replace("rn", "m").replace("vv", "w").replace("-", "")


def _looks_like(host: str, here: str) -> bool:
    """Whether a host would pass for ours: a hasty eye, one or two slips of the pen, ours as a part of it, another ending."""
    one, two = _skeleton(host), _skeleton(here)
    if one == two or two in one:
        return True
    name, _dot, _ending = two.rpartition(".")
    if len(name) >= 6 and (one.rpartition(".")[0] == name or name in one):
        return True
    return len(two) >= 6 and _distance(one, two, most=2) <= 2


def _names(link: SplitResult, here: str) -> bool:
    """Whether our host stands elsewhere in the link, where it means nothing."""
    return here in link.netloc.rpartition("@")[0] or here in link.path or here in link.query


def _distance(one: str, two: str, *, most: int) -> int:
    """Letters to be changed, added or left out; more than ``most`` is not counted further."""
    if abs(len(one) - len(two)) > most:
        return most + 1
    row = list(range(len(two) + 1))
    for place, letter in enumerate(one, start=1):
        before, row[0] = row[0], place
        for column, other in enumerate(two, start=1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (letter != other)),
            )
    return row[-1]
