"""The pages of a merchant's platform accounts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.htmx import render_page
from apps.core.names import named
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms import registry, selectors, services, wording
from apps.platforms.agreement_wording import percent
from apps.platforms.forms import AccountForm
from apps.platforms.gateway import Capability, CheckState, Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.wallets import wallets_of


def _account_or_404(account_id: int) -> PlatformAccount:
    try:
        return selectors.get_account(account_id)
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error


def _simulator_url() -> str:
    return f"{settings.SIMULATOR_URL}/control/" if settings.SIMULATOR_URL else ""


def _to_detail(request: MerchantRequest, account_id: int) -> HttpResponse:
    return redirect("platforms:account_detail", request.merchant.slug, account_id)


def _broken_words(account: PlatformAccount) -> str:
    check = services.last_check(account)
    if check is None or check.state is not CheckState.BAD:
        return ""
    return wording.check_words(account.platform, check)


@require_GET
@merchant_view("platforms.view")
def account_list(request: MerchantRequest) -> HttpResponse:
    """Every account with its state and what did not take effect today."""
    now = clock.now()
    today = clock.business_date(now, request.merchant.day_starts_at)
    since, _until = clock.business_period(today, request.merchant.day_starts_at)
    stores = selectors.stores_by_account()
    trouble = selectors.trouble_by_account(since=since)
    moved = request.GET.get("moved", "")
    accounts = [
        {
            "account": account,
            "wallets": wallets_of(
                Platform(account.platform), registry.capabilities_of(account.platform)
            ),
            # After a press the page comes anew: the keyboard stays where it was.
            "focus": request.GET.get("way", "") if moved == str(account.pk) else "",
            "stores": [named(store) for store in stores.get(account.pk, [])],
            "badge": wording.check_badge(account.check_state),
            "trouble": trouble.get(account.pk, 0),
            "broken_words": _broken_words(account),
        }
        for account in selectors.list_accounts()
    ]
    return render_page(request, "platforms/account_list.html", {"accounts": accounts, "now": now})


@require_GET
@merchant_view("platforms.manage")
def account_choose(request: MerchantRequest) -> HttpResponse:
    """Which platform to connect."""
    texts = {
        Platform.WECHATPAY: _("API v3 with the WeChat Pay public key, or platform certificates."),
        Platform.ALIPAY: _("Open platform application with RSA2 keys or certificates."),
        Platform.UNIONPAY: _("Online gateway (ACP 5.1.0) with the merchant's certificate file."),
        Platform.SHOUQIANBA: _(
            "Vendor number with its key, and an activation code for a terminal."
        ),
    }
    choices = [
        {"value": known.value, "text": texts[known]} for known in registry.connected_platforms()
    ]
    return render_page(
        request,
        "platforms/account_choose.html",
        {"choices": choices, "simulator_url": _simulator_url()},
    )


def _form_page(
    request: MerchantRequest, form: AccountForm, *, account: PlatformAccount | None = None
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "platform": form.platform.value,
        "account": account,
        "simulator_url": _simulator_url(),
        "untried": wording.untried_words(form.platform),
    }
    status = 422 if form.is_bound and form.errors else 200
    return render_page(request, "platforms/account_form.html", context, status=status)


def _refused(form: AccountForm, refusal: services.CredentialsRefused) -> None:
    form.offer_unchecked = isinstance(refusal, services.PlatformUnreachable)
    form.refuse(refusal.errors)


@require_http_methods(["GET", "POST"])
@merchant_view("platforms.manage")
def account_connect(request: MerchantRequest, platform: str) -> HttpResponse:
    """Ask for the credentials of a new account, try them, store them."""
    if platform not in registry.connected_platforms():
        raise Http404
    form = AccountForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        platform=Platform(platform),
        stores=selectors.list_stores(),
    )
    if form.is_bound and form.is_valid():
        try:
            account = services.connect_account(
                platform=platform,
                credentials=form.credentials(),
                actor=request.actor(),
                now=clock.now(),
                **form.terms(),
            )
        except services.CredentialsRefused as refusal:
            _refused(form, refusal)
        else:
            _say_connected(request, account)
            return _to_detail(request, account.pk)
    return _form_page(request, form)


def _say_connected(request: MerchantRequest, account: PlatformAccount) -> None:
    if account.check_state == CheckState.GOOD.value:
        words = _("Connected. The platform accepted the credentials.")
        untried = wording.untried_words(account.platform)
        messages.success(request, f"{words} {untried}".strip())
    else:
        messages.warning(
            request, _("Stored without a check. Check the credentials before you take payments.")
        )


@require_http_methods(["GET", "POST"])
@merchant_view("platforms.manage")
def account_edit(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Change name, fee rate, stores and, where given anew, credentials."""
    account = _account_or_404(account_id)
    served = selectors.stores_of(account)
    known = {store.pk: store for store in [*selectors.list_stores(), *served]}
    try:
        stored = services.fingerprints_of(account).keys()
    except CannotOpen:
        messages.error(request, _keys_lost())
        return _to_detail(request, account_id)
    form = AccountForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        platform=Platform(account.platform),
        stores=list(known.values()),
        account=account,
        chosen=[store.pk for store in served],
        stored=stored,
    )
    if form.is_bound and form.is_valid():
        try:
            services.update_account(
                account_id=account_id,
                keys=form.key_values(),
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
                **form.terms(),
            )
        except services.CredentialsRefused as refusal:
            _refused(form, refusal)
        else:
            replaced = {field.name for field in registry.untried_fields(account.platform)}
            untried = replaced & form.key_values().keys()
            words = wording.untried_words(account.platform) if untried else ""
            change = selectors.waiting_change(account_id) if form.key_values() else None
            if change is not None:
                messages.warning(
                    request,
                    _("Saved. The new keys hold as soon as another member has confirmed them."),
                )
                return redirect(
                    "approvals:approval_detail", request.merchant.slug, change.approval_id
                )
            messages.success(request, " ".join([_("Saved."), words]).strip())
            return _to_detail(request, account_id)
    return _form_page(request, form, account=account)


def _keys_lost() -> str:
    return _(
        "The stored credentials cannot be opened with this server's encryption keys. "
        "Restore the key, or connect the account anew."
    )


def _able(account: PlatformAccount) -> frozenset[Capability]:
    """What the platform can do, less what the contract leaves out."""
    able = registry.capabilities_of(account.platform)
    if not account.takes_barcodes:
        able -= {Capability.BARCODE}
    if account.platform == Platform.WECHATPAY and not account.takes_h5:
        able -= {Capability.BROWSER}
    return able


@require_GET
@merchant_view("platforms.view")
def account_detail(request: MerchantRequest, account_id: int) -> HttpResponse:
    """One account: state, what can be done, facts, history."""
    account = _account_or_404(account_id)
    fields = registry.credential_fields(account.platform)
    try:
        fingerprints = services.fingerprints_of(account)
        credentials = services.credentials_of(account)
        ends = dict(registry.certificate_facts(account.platform, credentials))
        renews = registry.renews(account.platform, credentials)
        keys_lost = ""
    except CannotOpen:
        fingerprints, ends, renews, keys_lost = {}, {}, False, _keys_lost()
    unused = registry.replaced_fields(account.platform, fingerprints) | {
        field.name for field in fields if field.way
    }
    check = services.last_check(account)
    context = {
        "account": account,
        "badge": wording.check_badge(account.check_state),
        "check_words": wording.check_words(account.platform, check) if check else "",
        "check_tone": {CheckState.BAD: "bad", CheckState.UNREACHABLE: "wait"}.get(check.state, "")
        if check
        else "",
        "fee_percent": percent(account.fee_rate_ppm),
        "stores": selectors.stores_of(account),
        "keys": [
            {
                "label": field.label,
                "fingerprint": fingerprints.get(field.name, ""),
                "ends_at": ends.get(field.name),
            }
            for field in fields
            # Of several ways to sign only the one in use.
            if field.name not in {"merchant_no", "app_id"}
            and (field.name in fingerprints or field.name not in unused)
        ],
        "keys_lost": keys_lost,
        "renews": renews,
        "change": selectors.waiting_change(account_id),
        "notify_url": services.notify_url(account),
        "needs_https": not (
            settings.NOTIFY_ALLOW_HTTP or settings.PUBLIC_URL.startswith("https://")
        ),
        "capabilities": wording.capability_words(_able(account)),
        "notifications": [
            {
                "row": row,
                "words": wording.notification_words(row),
                "badge": wording.notification_badge(row),
            }
            for row in selectors.page_notifications(
                selectors.NotificationFilters(account_id=account_id), size=5
            ).rows
        ],
        "events": [wording.event_entry(event) for event in selectors.history_of(account)],
        "now": clock.now(),
    }
    return render_page(request, "platforms/account_detail.html", context)


@require_POST
@merchant_view("platforms.manage")
def account_check(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Try the stored credentials now."""
    try:
        check = services.recheck_account(
            account_id=account_id, actor=request.actor(), now=clock.now()
        )
    except services.AccountNotFound as error:
        raise Http404 from error
    except CannotOpen:
        messages.error(request, _keys_lost())
        return _to_detail(request, account_id)
    account = _account_or_404(account_id)
    words = wording.check_words(account.platform, check)
    if check.state is CheckState.GOOD:
        messages.success(request, words)
    elif check.state.value != account.check_state:
        # Otherwise the account's page says it by itself.
        messages.warning(request, words)
    return _to_detail(request, account_id)


@require_POST
@merchant_view("platforms.manage")
def account_move(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Move an account one place up or down in the order of preference (``way``: up or down)."""
    up = request.POST.get("way") != "down"
    try:
        services.move_account(account_id=account_id, up=up, actor=request.actor(), now=clock.now())
    except services.AccountNotFound as error:
        raise Http404 from error
    here = reverse("platforms:account_list", args=[request.merchant.slug])
    return redirect(f"{here}?moved={account_id}&way={'up' if up else 'down'}#preference")


@require_http_methods(["GET", "POST"])
@merchant_view("platforms.manage")
def account_pause(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Ask before an account stops taking payments, then stop it."""
    account = _account_or_404(account_id)
    if request.method == "POST":
        if services.set_active(
            account_id=account_id, active=False, actor=request.actor(), now=clock.now()
        ):
            messages.success(request, _("Paused. Customers can no longer pay through it."))
        return _to_detail(request, account_id)
    here = reverse("platforms:account_pause", args=[request.merchant.slug, account_id])
    detail = reverse("platforms:account_detail", args=[request.merchant.slug, account_id])
    return render_page(
        request,
        "platforms/account_pause.html",
        {"account": account, "action": here, "cancel_url": detail},
    )


@require_POST
@merchant_view("platforms.manage")
def account_resume(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Let an account take payments again."""
    try:
        changed = services.set_active(
            account_id=account_id, active=True, actor=request.actor(), now=clock.now()
        )
    except services.AccountNotFound as error:
        raise Http404 from error
    if changed:
        messages.success(request, _("Resumed. Customers can pay through it again."))
    return _to_detail(request, account_id)
