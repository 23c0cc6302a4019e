"""Stores: list, add, change, close, open again."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.core.names import named
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.forms import StoreForm
from apps.merchants.models import Store
from apps.merchants.selectors import get_store, list_stores
from apps.merchants.services import (
    LastStore,
    StoreNameTaken,
    add_store,
    set_store_active,
    update_store,
)

NAME_TAKEN = gettext_lazy("Another of your stores has this name. Choose one that tells them apart.")


def _store_or_404(store_id: int) -> Store:
    try:
        return get_store(store_id)
    except Store.DoesNotExist as error:
        raise Http404 from error


@merchant_view("stores.view")
@require_safe
def store_list(request: MerchantRequest) -> HttpResponse:
    """The stores that the member reaches."""
    return render(request, "merchants/store_list.html", {"stores": list(list_stores())})


def _form_page(request: MerchantRequest, form: StoreForm, store: Store | None) -> HttpResponse:
    status = 422 if form.errors else 200
    return render(
        request, "merchants/store_form.html", {"form": form, "store": store}, status=status
    )


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def store_add(request: MerchantRequest) -> HttpResponse:
    """A new store."""
    form = StoreForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            store = add_store(**form.cleaned_data, actor=request.actor(), now=clock.now())
        except StoreNameTaken:
            form.add_error("name", str(NAME_TAKEN))
        else:
            messages.success(request, _("%(name)s was added.") % {"name": named(store)})
            return redirect("merchants:store_list", request.merchant.slug)
    return _form_page(request, form, None)


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def store_edit(request: MerchantRequest, store_id: int) -> HttpResponse:
    """A store's names and address."""
    store = _store_or_404(store_id)
    initial = {"name": store.name, "name_en": store.name_en, "address": store.address}
    form = StoreForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            update_store(
                store_id=store.pk, **form.cleaned_data, actor=request.actor(), now=clock.now()
            )
        except StoreNameTaken:
            form.add_error("name", str(NAME_TAKEN))
        else:
            messages.success(request, _("Saved."))
            return redirect("merchants:store_list", request.merchant.slug)
    return _form_page(request, form, store)


def _switch(request: MerchantRequest, store_id: int, *, active: bool) -> HttpResponse:
    store = _store_or_404(store_id)
    if request.method == "POST":
        try:
            set_store_active(
                store_id=store.pk, active=active, actor=request.actor(), now=clock.now()
            )
        except LastStore:
            messages.error(
                request, _("This is your last open store. Open another one before closing it.")
            )
        else:
            done = _("%(name)s is open again.") if active else _("%(name)s is closed.")
            messages.success(request, done % {"name": named(store)})
        return redirect("merchants:store_list", request.merchant.slug)
    return render(request, "merchants/store_switch.html", {"store": store, "opening": active})


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def store_close(request: MerchantRequest, store_id: int) -> HttpResponse:
    """Confirm that a store closes."""
    return _switch(request, store_id, active=False)


@merchant_view("stores.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def store_open(request: MerchantRequest, store_id: int) -> HttpResponse:
    """Confirm that a store opens again."""
    return _switch(request, store_id, active=True)
