"""The active filters of a list."""

from __future__ import annotations

from django import forms

from apps.merchants.access import MerchantRequest


def chips_of(request: MerchantRequest, form: forms.Form) -> list[dict[str, str]]:
    """A chip for each filter in force, with the address that takes it out."""
    chips = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in {"", None}:
            continue
        rest = request.GET.copy()
        rest.pop(field.name, None)
        words = dict(getattr(field.field, "choices", ()))
        named = words.get(value) or words.get(str(value), value)
        chips.append(
            {"name": str(field.label), "value": str(named), "remove_url": f"?{rest.urlencode()}"}
        )
    return chips
