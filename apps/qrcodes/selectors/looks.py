"""What is drawn: the words of a code's placard and the merchant's designs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast, get_args

from django.conf import settings

from apps.core.doors import new_token
from apps.merchants.models import Merchant, Store
from apps.platforms.gateway import Platform
from apps.platforms.registry import capabilities_of
from apps.platforms.selectors import accounts_serving
from apps.platforms.wallets import wallets_of as wallets_taken
from apps.qrcodes.artwork import (
    PLAIN,
    USUAL_WALLETS,
    WALLET_MARKS,
    Design,
    Language,
    Logo,
    Placard,
)
from apps.qrcodes.models import ArtworkDesign, QRCode, Scenario
from apps.qrcodes.selectors.codes import amount_of, link_of


def wallets_of(code: QRCode) -> tuple[str, ...]:
    """The wallets named on the placard: those that an account of the store takes, or the usual while none is connected."""
    platforms = {Platform(one.platform) for one in accounts_serving(store_id=code.store_id)}
    taken = {wallet for one in platforms for wallet in wallets_taken(one, capabilities_of(one))}
    return tuple(mark for mark in WALLET_MARKS if mark in taken) or USUAL_WALLETS


def in_language(chinese: str, english: str, language: Language) -> str:
    """A name as a placard in ``language`` says it; without an English form the Chinese one stands for both."""
    if not english or english == chinese or language == "zh-hans":
        return chinese
    return english if language == "en" else f"{chinese} {english}"


def placard_of(
    code: QRCode, *, merchant: Merchant, language: Language, wallets: tuple[str, ...]
) -> Placard:
    """What the code's placard says in ``language``; a name without an English form keeps its Chinese one."""
    store = code.store
    # A shop with one place often gives both the same name; once is enough.
    store_name = (
        "" if store.name == merchant.name else in_language(store.name, store.name_en, language)
    )
    return Placard(
        link=link_of(code),
        shop_name=in_language(merchant.name, merchant.name_en, language),
        store_name=store_name,
        scenario=in_language(code.scenario.name, code.scenario.name_en, language),
        amount=amount_of(code),
        wallets=wallets,
        language=language,
        reference=code.token,
    )


def placards_of(
    code_ids: Iterable[int], *, merchant: Merchant, design: Design
) -> dict[int, tuple[QRCode, Placard]]:
    """As ``dressed_placard``, of many codes: each code and its placard by id. One query more for each store among them."""
    codes = QRCode.objects.visible().filter(pk__in=list(code_ids))
    wallets: dict[int, tuple[str, ...]] = {}
    found: dict[int, tuple[QRCode, Placard]] = {}
    for code in codes.select_related("scenario", "store"):
        if code.store_id not in wallets:
            wallets[code.store_id] = wallets_of(code) if design.wallet_marks else ()
        placard = placard_of(
            code, merchant=merchant, language=design.language, wallets=wallets[code.store_id]
        )
        found[code.pk] = (code, replace(placard, accent=design.accent))
    return found


def trial_placards(*, store: Store, merchant: Merchant, name: str, name_en: str) -> list[Placard]:
    """What the placards of a code would say that is not made yet, in each language."""
    scenario = Scenario(store=store, name=name, name_en=name_en)
    code = QRCode(store=store, scenario=scenario, token=new_token())
    return [
        placard_of(code, merchant=merchant, language=language, wallets=USUAL_WALLETS)
        for language in get_args(Language)
    ]


def sample_link() -> str:
    """A link as long as every code's: what a design is tried with before there is a code."""
    return f"{settings.PUBLIC_URL}/q/{'0' * len(new_token())}"


def sample_placard(*, merchant: Merchant, design: Design) -> Placard:
    """A placard of a table that does not exist, to look at a design."""
    return Placard(
        link=sample_link(),
        shop_name=in_language(merchant.name, merchant.name_en, design.language),
        scenario=in_language("桌号 8", "Table 8", design.language),
        wallets=USUAL_WALLETS if design.wallet_marks else (),
        language=design.language,
        accent=design.accent,
        reference="SAMPLE",
    )


def list_designs() -> list[ArtworkDesign]:
    """The merchant's designs by name, the default first; logos are not read."""
    return list(ArtworkDesign.objects.defer("logo").order_by("-is_default", "name", "pk"))


def get_design(design_id: int) -> ArtworkDesign:
    """A design with its logo. Raises ArtworkDesign.DoesNotExist."""
    row: ArtworkDesign = ArtworkDesign.objects.get(pk=design_id)
    return row


def logo_of(row: ArtworkDesign) -> Logo | None:
    """The logo of a stored design."""
    return None if row.logo is None else Logo(bytes(row.logo), row.logo_width, row.logo_height)


def look_of(row: ArtworkDesign) -> Design:
    """What a stored design draws. Raises DesignRefused for one that was kept before today's rules."""
    return Design(
        level=cast("Any", row.level),
        shape=cast("Any", row.shape),
        foreground=row.foreground,
        background=row.background,
        accent=row.accent,
        logo=logo_of(row),
        logo_percent=row.logo_percent,
        language=cast("Language", row.language),
        wallet_marks=row.wallet_marks,
    )


def default_look() -> Design:
    """The merchant's default design, or the plain one. Raises DesignRefused, as ``look_of``."""
    row = ArtworkDesign.objects.filter(is_default=True).first()
    return PLAIN if row is None else look_of(row)


def dressed_placard(code: QRCode, *, merchant: Merchant, design: Design) -> Placard:
    """What the code's placard says in the language and colour of ``design``, with or without wallet marks."""
    wallets = wallets_of(code) if design.wallet_marks else ()
    placard = placard_of(code, merchant=merchant, language=design.language, wallets=wallets)
    return replace(placard, accent=design.accent)
