"""Acts on many codes: what was done, what they leave out, and what could still be undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id, current_scope
from apps.qrcodes.models import ActKind, CodeAct, CodeState, CodeVersion, QRCode
from apps.qrcodes.selectors.bulk import LIST_LIMIT, chosen_codes, own_rows

#: What state an act puts codes into.
STATES: Final[Mapping[str, CodeState]] = {
    ActKind.PAUSE: CodeState.PAUSED,
    ActKind.RESUME: CodeState.ACTIVE,
    ActKind.RETIRE: CodeState.RETIRED,
}


def list_acts(*, member_id: int) -> list[CodeAct]:
    """The last things done to many codes at once, the newest first."""
    rows = own_rows(CodeAct.objects.get_queryset(), member_id).defer("before", "left_ids")
    return list(rows.order_by("-pk")[:LIST_LIMIT])


def get_act(act_id: int, *, member_id: int) -> CodeAct:
    """Raises CodeAct.DoesNotExist."""
    act: CodeAct = own_rows(CodeAct.objects.get_queryset(), member_id).get(pk=act_id)
    return act


def against_state(code: QRCode, state: CodeState) -> str:
    """Why a code is not put into a state by an act (``already``, ``retired``); "" where it is."""
    if code.state == state:
        return "already"
    return "retired" if code.state == CodeState.RETIRED else ""


def against_moving(code: QRCode, planned: Collection[int]) -> str:
    """Why a code is not moved to another store, whichever it is (``retired``, ``planned``); "" where it may be.

    ``planned``: the codes with a planned change. It names the store of the day it was planned: it would move the code back.
    """
    if code.state == CodeState.RETIRED:
        return "retired"
    return "planned" if code.pk in planned else ""


def planned_ids(code_ids: Iterable[int], *, now: datetime) -> frozenset[int]:
    """Those of these codes that have a planned change."""
    planned = CodeVersion.objects.filter(
        code_id__in=list(code_ids), starts_at__gt=now, withdrawn_at=None
    )
    return frozenset(planned.values_list("code_id", flat=True).distinct())


def sure_to_stay(
    codes: Sequence[QRCode], kind: ActKind, *, now: datetime
) -> dict[str, list[QRCode]]:
    """The codes that an act will leave out whatever else is chosen for it, by the reason."""
    stay: dict[str, list[QRCode]] = defaultdict(list)
    planned = planned_ids([code.pk for code in codes], now=now) if kind == ActKind.STORE else ()
    for code in codes:
        if kind == ActKind.STORE:
            reason = against_moving(code, planned)
        elif kind in STATES:
            reason = against_state(code, STATES[kind])
        elif kind == ActKind.UNLABEL and not code.labels:
            reason = "already"
        else:
            reason = ""
        if reason:
            stay[reason].append(code)
    return dict(stay)


def left_codes(act: CodeAct, *, most: int) -> dict[str, list[QRCode]]:
    """The codes that an act left out, by the reason: at most ``most`` in all, of those that can still be seen."""
    ids = [code_id for of_reason in act.left_ids.values() for code_id in of_reason]
    by_id = {code.pk: code for code in chosen_codes(ids)} if ids else {}
    named: dict[str, list[QRCode]] = {}
    for reason, of_reason in sorted(act.left_ids.items()):
        seen = [by_id[code_id] for code_id in of_reason if code_id in by_id][:most]
        most -= len(seen)
        named[reason] = seen
    return named


#: How many codes of each act are still as the act left them, and how many of them the scope reaches. As ``services.undo_act``
#: decides it, code by code.
_STILL: Final = """
WITH acts AS (
    SELECT id, kind, target, made_at, before,
           array_remove(string_to_array(words, ', '), '') AS given
    FROM qrcodes_codeact
    WHERE merchant_id = %(merchant)s AND id = ANY(%(acts)s) AND undone_at IS NULL AND kind <> 'retire'
)
SELECT a.id, count(c.id), count(*) FILTER (WHERE CASE a.kind
    WHEN 'folder' THEN c.folder_id IS NOT DISTINCT FROM a.target
        AND (b.was = 'null' OR EXISTS (SELECT FROM qrcodes_codefolder f
             WHERE f.merchant_id = %(merchant)s AND f.id = (b.was #>> '{}')::bigint))
    WHEN 'label' THEN to_jsonb(c.labels) = b.was || coalesce((SELECT jsonb_agg(one ORDER BY place)
        FROM unnest(a.given) WITH ORDINALITY g(one, place) WHERE NOT b.was ? one), '[]')
    WHEN 'unlabel' THEN to_jsonb(c.labels) = b.was - a.given
    WHEN 'store' THEN c.state <> 'retired'
        AND (SELECT max(v.number) FROM qrcodes_codeversion v
             WHERE v.merchant_id = %(merchant)s AND v.code_id = c.id) = (b.was ->> 2)::int
        AND EXISTS (SELECT FROM merchants_store s WHERE s.merchant_id = %(merchant)s AND s.is_active
             AND s.id = (b.was ->> 0)::bigint AND (%(stores)s::bigint[] IS NULL OR s.id = ANY(%(stores)s)))
    ELSE c.state_changed_at = a.made_at END)
FROM acts a
CROSS JOIN LATERAL jsonb_each(a.before) b(code, was)
LEFT JOIN qrcodes_qrcode c ON c.merchant_id = %(merchant)s AND c.id = b.code::bigint
    AND (%(stores)s::bigint[] IS NULL OR c.store_id = ANY(%(stores)s))
GROUP BY a.id
"""


def still_undoable(acts: Sequence[CodeAct]) -> dict[int, int]:
    """How many codes undoing each act would restore, by the act's id; acts with none are absent. One statement for all of them."""
    stores = current_scope().store_ids
    rows = sql.every(
        _STILL,
        {
            "merchant": current_merchant_id(),
            "acts": [act.pk for act in acts],
            "stores": None if stores is None else sorted(stores),
        },
    )
    counts = {act.pk: act.count for act in acts}
    # With part of its codes out of reach an act is not undone by this member.
    return {act_id: left for act_id, seen, left in rows if left and seen == counts[act_id]}
