"""The till: taking a payment by the code on the customer's phone."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.checkout.forms import TillForm
from apps.checkout.selectors import Stage, get_charge, takes_barcodes, unsettled, wallet_of
from apps.checkout.services import PaidAfterAll, TillHeld, take_at_till
from apps.checkout.views.desk import desk_voice
from apps.checkout.views.frame import see_other, subject_for
from apps.checkout.views.place import remember, remembered, whose
from apps.core import clock
from apps.core.doors import new_token
from apps.core.htmx import render_page, wants_fragment
from apps.core.templatetags.portal import platform_label
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Store
from apps.merchants.selectors import list_stores, list_terminals
from apps.payments.services import AmountOutOfRange, BarcodeRefused, close_order
from apps.platforms.barcodes import shapes
from apps.platforms.messages import About, explain, says_nothing_moved
from apps.risk.rules import Outcome
from apps.risk.services import TillVerdict
from apps.risk.wording import till_words

#: The field that a refusal belongs to; all others belong to the code.
_FIELDS = {"no_store": "store", "no_terminal": "terminal"}
#: Stages at which nothing more is to come.
_OVER = frozenset({Stage.PAID, Stage.REFUSED, Stage.REVERSED})


@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("payments.take")
def till(request: MerchantRequest) -> HttpResponse:
    """Amount and code; a POST takes the payment and leads to its page (303).

    A form with mistakes comes back with 422 and what was typed, but for the code.
    """
    stores = list(list_stores(only_active=True))
    terminals = list(list_terminals(only_active=True))
    if request.method != "POST":
        initial = remembered(request, stores=stores, terminals=terminals)
        form = TillForm(stores=stores, terminals=terminals, initial=initial)
        return _show(request, form, stores)
    form = TillForm(request.POST, stores=stores, terminals=terminals)
    if not form.is_valid():
        return _show(request, form, stores)
    wanted = form.cleaned_data
    store = next(store for store in stores if store.pk == wanted["store"])
    try:
        payment = take_at_till(
            store_id=store.pk,
            amount=wanted["amount"],
            subject=subject_for(request.merchant, store),
            note=wanted["note"],
            auth_code=wanted["code"],
            nonce=wanted["nonce"],
            terminal_id=wanted["terminal"],
            after=wanted["after"],
            member=request.member,
            now=clock.now(),
            actor=request.actor(),
            sure_minor=wanted["sure"],
            may_release="risk.manage" in request.permissions,
        )
    except TillHeld as held:
        return _ask(request, form, stores, held.verdict)
    except PaidAfterAll as paid:
        messages.warning(request, _("The code before was paid after all. Nothing more was taken."))
        return _to_charge(request, paid.order_id)
    except BarcodeRefused as refused:
        form.add_error(_FIELDS.get(refused.reason, "code"), refused.message)
        return _show(request, form, stores)
    except AmountOutOfRange:
        form.add_error("amount", _("No payment may have this amount."))
        return _show(request, form, stores)
    remember(request, store_id=store.pk, terminal_id=wanted["terminal"])
    return _to_charge(request, payment.order_id)


def _ask(
    request: MerchantRequest, form: TillForm, stores: list[Store], verdict: TillVerdict
) -> HttpResponse:
    """Why nothing was taken, and what to do; scanned once more with the same amount it is taken, if this member may."""
    may_release = "risk.manage" in request.permissions
    data = request.POST.copy()
    data.pop("sure", None)
    if may_release or verdict.rule.outcome is Outcome.CONFIRM:
        data["sure"] = str(verdict.amount_minor)
    form.data = data
    return _show(request, form, stores, held=till_words(verdict, may_release=may_release))


def _to_charge(request: MerchantRequest, order_id: int) -> HttpResponse:
    return see_other(reverse("till:till_order", args=[request.merchant.slug, order_id]))


def _show(
    request: MerchantRequest,
    form: TillForm,
    stores: list[Store],
    *,
    held: tuple[str, str] | None = None,
) -> HttpResponse:
    wallets = {
        wallet: {"pattern": pattern, "name": platform_label(wallet)}
        for wallet, pattern in shapes().items()
    }
    context = {
        "form": form,
        "held": held,
        "stores": stores,
        "takes": takes_barcodes(),
        "wallets": wallets,
        "nonce": new_token(20),
        "unsettled": unsettled(request.member, now=clock.now()),
        # The keyboard begins where something is still missing.
        "focus": "code" if form.is_bound and not form.errors.get("amount") else "amount",
    }
    status = 422 if form.errors or held else 200
    return render_page(request, "checkout/till.html", context, status=status)


@never_cache
@require_safe
@merchant_view("payments.take")
def till_order(request: MerchantRequest, order_id: int) -> HttpResponse:
    """Where a payment by code stands, live until it is over."""
    charge = get_charge(order_id, taken_by=whose(request))
    if charge is None:
        raise Http404
    now = clock.now()
    payment, stage = charge.payment, charge.stage(now=now)
    left = max(0, int((payment.expires_at - now).total_seconds()))
    context = {
        "charge": charge,
        "order": charge.order,
        "payment": payment,
        "stage": stage.value,
        "over": stage in _OVER,
        "seconds_left": left,
        "clock_left": f"{left // 60}:{left % 60:02d}",
        "wallet": wallet_of(payment),
        "nobody_answers": charge.nobody_answers,
        "may_go_on": charge.may_go_on(now=now),
        "why": explain(
            payment.platform, payment.code_text, fallback=payment.message, about=About.PAYMENT
        ),
        "says_nothing_moved": says_nothing_moved(
            payment.platform, payment.code_text, about=About.PAYMENT
        ),
        "nonce": new_token(20),
    }
    if not wants_fragment(request):
        context |= desk_voice(request, now=now)
    return render_page(request, "checkout/till_order.html", context, partial="charge")


@require_POST
@merchant_view("payments.take")
def till_give_up(request: MerchantRequest, order_id: int) -> HttpResponse:
    """Take no payment for this order any more; what the customer pays in the last moment still counts."""
    charge = get_charge(order_id, taken_by=whose(request))
    if charge is None:
        raise Http404
    close_order(order_id=order_id, now=clock.now(), actor=request.actor())
    return redirect("till:till_order", request.merchant.slug, order_id)
