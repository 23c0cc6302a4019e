"""Reading codes: lists, links, whether a code takes payments now, what its placard says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, get_args

from django.conf import settings
from django.db.models import Count, Q

from apps.core.clock import business_date, business_period
from apps.core.doors import new_token
from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.core.tenancy import ScopedQuerySet
from apps.merchants.models import Merchant, Store
from apps.platforms.gateway import Platform
from apps.platforms.registry import capabilities_of
from apps.platforms.selectors import accounts_serving
from apps.platforms.wallets import wallets_of as wallets_taken
from apps.qrcodes.artwork import USUAL_WALLETS, WALLET_MARKS, Language, Placard
from apps.qrcodes.models import CodeState, QRCode, Scan, Scenario

PAGE_SIZE: Final = 24
#: How many events the history of a code shows.
HISTORY_LIMIT: Final = 50


class Unusable(StrEnum):
    """Why a code takes no payment at a moment."""

    PAUSED = "paused"
    RETIRED = "retired"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    STORE_CLOSED = "store_closed"


@dataclass(frozen=True, slots=True)
class CodeFilters:
    """What the list shows. ``state``: "" for all but retired, "all", or a state as ``display_state`` gives it."""

    store_id: int | None = None
    kind: str = ""
    state: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A code as the list shows it."""

    code: QRCode
    state: str
    scans_today: int


@dataclass(frozen=True, slots=True)
class CodePage:
    """One page of codes, newest first; ``newer`` and ``older`` are ids to go on from, None at an end."""

    rows: list[CodeRow]
    newer: int | None
    older: int | None


def display_state(code: QRCode, now: datetime) -> str:
    """The state that people are shown: ``active``, ``paused``, ``retired``, ``not_yet`` or ``expired``."""
    if code.state != CodeState.ACTIVE:
        return str(code.state)
    if code.valid_from is not None and now < code.valid_from:
        return Unusable.NOT_YET.value
    if code.valid_until is not None and now >= code.valid_until:
        return Unusable.EXPIRED.value
    return CodeState.ACTIVE.value


def usable(code: QRCode, now: datetime) -> Unusable | None:
    """Why the code takes no payment at ``now``, or None when it does."""
    state = display_state(code, now)
    if state != CodeState.ACTIVE:
        return Unusable(state)
    return None if code.store.is_active else Unusable.STORE_CLOSED


def _in_state(codes: ScopedQuerySet[QRCode], state: str, now: datetime) -> ScopedQuerySet[QRCode]:
    early = Q(valid_from__gt=now)
    late = Q(valid_until__lte=now)
    match state:
        case "":
            return codes.exclude(state=CodeState.RETIRED)
        case "active":
            return codes.filter(state=CodeState.ACTIVE).exclude(early).exclude(late)
        case "not_yet":
            return codes.filter(early, state=CodeState.ACTIVE)
        case "expired":
            return codes.filter(late, state=CodeState.ACTIVE).exclude(early)
        case "paused" | "retired":
            return codes.filter(state=state)
        case _:
            return codes


def list_codes(filters: CodeFilters, *, now: datetime) -> ScopedQuerySet[QRCode]:
    """The codes of the stores in scope that pass the filters, newest first."""
    codes: ScopedQuerySet[QRCode] = QRCode.objects.visible().select_related("scenario", "store")
    codes = _in_state(codes, filters.state, now)
    if filters.store_id is not None:
        codes = codes.filter(store_id=filters.store_id)
    if filters.kind:
        codes = codes.filter(scenario__kind=filters.kind)
    if filters.text:
        codes = codes.filter(
            Q(scenario__name__icontains=filters.text)
            | Q(scenario__name_en__icontains=filters.text)
            | Q(token__startswith=filters.text)
        )
    return codes.order_by("-pk")


def page_codes(
    filters: CodeFilters,
    *,
    merchant: Merchant,
    now: datetime,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE_SIZE,
) -> CodePage:
    """One page of ``list_codes``: older than the id ``after``, newer than the id ``before``, or the newest."""
    codes = list_codes(filters, now=now)
    if before is not None:
        found = list(codes.filter(pk__gt=before).order_by("pk")[: size + 1])
        has_newer, has_older = len(found) > size, True
        found = found[:size][::-1]
    else:
        if after is not None:
            codes = codes.filter(pk__lt=after)
        found = list(codes[: size + 1])
        has_newer, has_older = after is not None, len(found) > size
        found = found[:size]
    scans = scans_today((code.pk for code in found), merchant=merchant, now=now)
    return CodePage(
        rows=[CodeRow(code, display_state(code, now), scans.get(code.pk, 0)) for code in found],
        newer=found[0].pk if found and has_newer else None,
        older=found[-1].pk if found and has_older else None,
    )


def scans_today(code_ids: Iterable[int], *, merchant: Merchant, now: datetime) -> dict[int, int]:
    """How often each code was opened since the business day began; codes without a scan are absent."""
    ids = list(code_ids)
    if not ids:
        return {}
    day = business_date(now, merchant.day_starts_at)
    start, end = business_period(day, merchant.day_starts_at)
    counted = (
        Scan.objects.filter(code_id__in=ids, at__gte=start, at__lt=end)
        .order_by()
        .values("code_id")
        .annotate(count=Count("pk"))
    )
    return {row["code_id"]: row["count"] for row in counted}


def has_codes() -> bool:
    """Whether the stores in scope have any code, retired ones too."""
    return bool(QRCode.objects.visible().exists())


def get_code(code_id: int) -> QRCode:
    """A code of the stores in scope with its scenario, store and terminal. Raises QRCode.DoesNotExist."""
    codes = QRCode.objects.visible().select_related("scenario", "store", "terminal")
    code: QRCode = codes.get(pk=code_id)
    return code


def codes_of_terminals(terminal_ids: Iterable[int]) -> dict[int, list[QRCode]]:
    """The codes that belong to each of these terminals, oldest first; retired ones do not count."""
    found: dict[int, list[QRCode]] = {}
    codes = QRCode.objects.visible().filter(terminal_id__in=list(terminal_ids))
    for code in codes.exclude(state=CodeState.RETIRED).select_related("scenario").order_by("pk"):
        if code.terminal_id is not None:
            found.setdefault(code.terminal_id, []).append(code)
    return found


def unassigned_codes(*, store_id: int) -> list[QRCode]:
    """The codes of a store that belong to no terminal, oldest first; retired ones do not count."""
    codes = QRCode.objects.visible().filter(store_id=store_id, terminal__isnull=True)
    return list(codes.exclude(state=CodeState.RETIRED).select_related("scenario").order_by("pk"))


def link_of(code: QRCode) -> str:
    """What is printed: it never changes for a code."""
    return f"{settings.PUBLIC_URL}/q/{code.token}"


def amount_of(code: QRCode) -> Money | None:
    """The fixed amount, or None where the payer types it."""
    return None if code.amount_minor is None else Money(code.amount_minor, code.currency)


def wallets_of(code: QRCode) -> tuple[str, ...]:
    """The wallets named on the placard: those that an account of the store takes, or the usual while none is connected."""
    platforms = {Platform(one.platform) for one in accounts_serving(store_id=code.store_id)}
    taken = {wallet for one in platforms for wallet in wallets_taken(one, capabilities_of(one))}
    return tuple(mark for mark in WALLET_MARKS if mark in taken) or USUAL_WALLETS


def _spoken(chinese: str, english: str, language: Language) -> str:
    if not english or english == chinese or language == "zh-hans":
        return chinese
    return english if language == "en" else f"{chinese} {english}"


def placard_of(
    code: QRCode, *, merchant: Merchant, language: Language, wallets: tuple[str, ...]
) -> Placard:
    """What the code's placard says in ``language``; a name without an English form keeps its Chinese one."""
    store = code.store
    # A shop with one place often gives both the same name; once is enough.
    store_name = "" if store.name == merchant.name else _spoken(store.name, store.name_en, language)
    return Placard(
        link=link_of(code),
        shop_name=_spoken(merchant.name, merchant.name_en, language),
        store_name=store_name,
        scenario=_spoken(code.scenario.name, code.scenario.name_en, language),
        amount=amount_of(code),
        wallets=wallets,
        language=language,
        reference=code.token,
    )


def trial_placards(*, store: Store, merchant: Merchant, name: str, name_en: str) -> list[Placard]:
    """What the placards of a code would say that is not made yet, in each language."""
    scenario = Scenario(store=store, name=name, name_en=name_en)
    code = QRCode(store=store, scenario=scenario, token=new_token())
    return [
        placard_of(code, merchant=merchant, language=language, wallets=USUAL_WALLETS)
        for language in get_args(Language)
    ]


def history_of(code: QRCode) -> list[AuditEvent]:
    """What happened to a code, newest first."""
    return list(
        AuditEvent.objects.filter(subject_kind="code", subject_id=code.pk).order_by("-at", "-pk")[
            :HISTORY_LIMIT
        ]
    )
