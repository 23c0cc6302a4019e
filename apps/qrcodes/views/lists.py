"""The list of codes, and what is chosen in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.forms import BoundField
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Store
from apps.merchants.selectors import list_stores
from apps.qrcodes.actwords import ACTS
from apps.qrcodes.batches import MOST_CODES
from apps.qrcodes.forms import CodeFilterForm
from apps.qrcodes.selectors import (
    CodeFilters,
    count_open_alerts,
    has_codes,
    list_codes,
    list_folders,
    list_labels,
    page_codes,
)
from apps.qrcodes.views.frame import number_of

#: What the list's own fields are called; the choice goes on with them when it is "all that are shown".
FILTERS = ("q", "store", "kind", "state", "folder", "label", "batch")
#: A filter of the list by the name it has beside a choice, where "kind" is what is to be done.
_SENT_AS = {"kind": "code_kind"}


def _filters(form: CodeFilterForm) -> CodeFilters:
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    chosen = form.cleaned_data
    return CodeFilters(
        store_id=chosen.get("store"),
        kind=chosen.get("kind", ""),
        state=chosen.get("state", ""),
        text=chosen.get("q", "").strip(),
        folder_id=chosen.get("folder"),
        label=chosen.get("label", ""),
        batch_id=chosen.get("batch"),
    )


def _filter_form(data: Mapping[str, Any], stores: Sequence[Store]) -> CodeFilterForm:
    return CodeFilterForm(data, stores=stores, folders=list_folders(), labels=list_labels())


def chosen_ids(request: MerchantRequest) -> list[int]:
    """The codes that a form names: ``ids`` as the confirmation carries them, all that the list's filters show, or those ticked.

    In the order of their making; one more than ``MOST_CODES`` where there are too many.
    """
    data = request.POST
    if "ids" in data:
        texts = data["ids"].split(",")
    elif "all" in data:
        sent = {name: data.get(_SENT_AS.get(name, name), "") for name in FILTERS}
        form = _filter_form(sent, list(list_stores()))
        if not form.is_valid():
            # Without a filter that exists no more, more would be chosen than was seen.
            return []
        filters = _filters(form)
        codes = list_codes(
            filters, now=clock.now(), day_starts_at=request.merchant.day_starts_at
        ).order_by("pk")
        return list(codes.values_list("pk", flat=True)[: MOST_CODES + 1])
    else:
        texts = data.getlist("code")
    ids = {number for text in texts if (number := number_of(text)) is not None}
    return sorted(ids)[: MOST_CODES + 1]


def chosen_filters(request: MerchantRequest) -> list[tuple[str, str, str, str]]:
    """The filters that "all that are shown" was chosen by, of which each: the name it is sent as, its value, and both in words.

    A search that filters nothing is one line without a value; [] where codes were ticked.
    """
    data = request.POST
    if "all" not in data:
        return []
    sent = {name: data.get(_SENT_AS.get(name, name), "") for name in FILTERS}
    form = _filter_form(sent, list(list_stores()))
    form.is_valid()
    lines = [("all", "1", "", "")]
    for field, words in _chosen(form):
        sent_as = _SENT_AS.get(field.name, field.name)
        lines.append((sent_as, sent[field.name], str(field.label), words))
    return lines


def _chosen(form: CodeFilterForm) -> Iterator[tuple[BoundField, str]]:
    """The fields that filter, each with what it says in words."""
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in ("", None):
            continue
        yield field, str(dict(getattr(field.field, "choices", ())).get(value, value))


def _chips(request: MerchantRequest, form: CodeFilterForm) -> list[dict[str, str]]:
    chips = []
    for field, words in _chosen(form):
        rest = request.GET.copy()
        for key in (field.name, "after", "before"):
            rest.pop(key, None)
        chips.append(
            {"name": str(field.label), "value": words, "remove_url": f"?{rest.urlencode()}"}
        )
    return chips


@merchant_view("codes.view")
@require_safe
def code_list(request: MerchantRequest) -> HttpResponse:
    """The codes of the stores that the member reaches."""
    now = clock.now()
    stores = list(list_stores())
    form = _filter_form(request.GET, stores)
    page = page_codes(
        _filters(form),
        merchant=request.merchant,
        now=now,
        after=keyset.decode_id(request.GET.get("after", "")),
        before=keyset.decode_id(request.GET.get("before", "")),
    )
    context = {
        "form": form,
        "page": page,
        "chips": _chips(request, form),
        "any_codes": bool(page.rows) or has_codes(),
        "alert_count": count_open_alerts(),
        "can_create": any(store.is_active for store in stores),
        "acts": ACTS,
        "filters": [
            (_SENT_AS.get(name, name), request.GET[name])
            for name in FILTERS
            if request.GET.get(name)
        ],
    }
    return render_page(request, "qrcodes/code_list.html", context, partial="codes")
