"""The list of codes."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores
from apps.qrcodes.forms import CodeFilterForm
from apps.qrcodes.selectors import (
    CodeFilters,
    has_codes,
    page_codes,
)


def _chips(request: MerchantRequest, form: CodeFilterForm) -> list[dict[str, str]]:
    chips = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in ("", None):
            continue
        words = dict(getattr(field.field, "choices", ())).get(value, value)
        rest = request.GET.copy()
        for key in (field.name, "after", "before"):
            rest.pop(key, None)
        chips.append(
            {"name": str(field.label), "value": str(words), "remove_url": f"?{rest.urlencode()}"}
        )
    return chips


@merchant_view("codes.view")
@require_safe
def code_list(request: MerchantRequest) -> HttpResponse:
    """The codes of the stores that the member reaches."""
    now = clock.now()
    stores = list(list_stores())
    form = CodeFilterForm(request.GET, stores=stores)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    chosen = form.cleaned_data
    filters = CodeFilters(
        store_id=chosen.get("store"),
        kind=chosen.get("kind", ""),
        state=chosen.get("state", ""),
        text=chosen.get("q", "").strip(),
    )
    page = page_codes(
        filters,
        merchant=request.merchant,
        now=now,
        after=keyset.decode_id(request.GET.get("after", "")),
        before=keyset.decode_id(request.GET.get("before", "")),
    )
    chips = _chips(request, form)
    context = {
        "form": form,
        "page": page,
        "chips": chips,
        "any_codes": bool(page.rows) or has_codes(),
        "can_create": any(store.is_active for store in stores),
    }
    return render_page(request, "qrcodes/code_list.html", context, partial="codes")
