"""The way in: landing page, first merchant, invitations, a person's own name."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.forms import ProfileForm
from apps.accounts.models import User
from apps.accounts.services import rename_user
from apps.core import clock
from apps.core.names import named
from apps.merchants.access import DoorRequest, actor_of, door_view, public, signed_in
from apps.merchants.forms import StartForm
from apps.merchants.mailbox import latest_mails
from apps.merchants.models import Membership, Merchant
from apps.merchants.selectors import (
    first_merchant_of,
    get_invitation,
    invitation_state,
    store_names,
)
from apps.merchants.services import (
    InvitationClosed,
    UnknownStores,
    WrongPerson,
    accept_invitation,
    is_address_of,
    start_first_merchant,
)

#: Where the session keeps an invitation's token while its reader signs up: the way back by mail loses the address.
INVITATION_KEY = "invitation"


def _has_mailbox() -> bool:
    return bool(getattr(settings, "DEV_MAILBOX", False))


def _user(request: HttpRequest) -> User:
    # Only called behind @signed_in, which lets nobody else pass.
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def _dashboard(merchant: Merchant) -> HttpResponse:
    return redirect("reports:dashboard", merchant.slug)


@public
@require_safe
def landing(request: HttpRequest) -> HttpResponseBase:
    """What the portal is; who is signed in goes on to work."""
    if isinstance(request.user, User):
        return redirect("start")
    return render(request, "merchants/landing.html", {"has_mailbox": _has_mailbox()})


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponseBase:
    """After log-in: to an invitation that waits, to the first merchant, or to the form that makes one."""
    user = _user(request)
    token = request.session.get(INVITATION_KEY)
    if request.method != "POST" and isinstance(token, str):
        return redirect("invitation", token)
    merchant = first_merchant_of(user)
    if merchant is not None:
        return _dashboard(merchant)
    form = StartForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        merchant = start_first_merchant(
            owner=user, actor=actor_of(request), now=clock.now(), **form.cleaned_data
        )
        messages.success(request, _("%(name)s is ready.") % {"name": named(merchant)})
        return _dashboard(merchant)
    status = 422 if form.errors else 200
    return render(request, "merchants/start.html", {"form": form}, status=status)


@door_view("invitation")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: DoorRequest) -> HttpResponseBase:
    """Who invites, to what; one button joins."""
    now = clock.now()
    invited = get_invitation(request.door.subject_id)
    state = invitation_state(invited, now)
    user = request.user if isinstance(request.user, User) else None
    is_theirs = user is not None and is_address_of(user, invited.email)
    if request.method == "POST" and user is not None:
        try:
            accept_invitation(invitation_id=invited.pk, user=user, actor=actor_of(request), now=now)
        except InvitationClosed as closed:
            state = closed.state
        except WrongPerson:
            is_theirs = False
        except UnknownStores:
            messages.error(
                request, _("A store of this invitation no longer exists. Ask for a new invitation.")
            )
        else:
            request.session.pop(INVITATION_KEY, None)
            messages.success(
                request, _("You joined %(merchant)s.") % {"merchant": named(request.merchant)}
            )
            return _dashboard(request.merchant)
    if state == "invited" and (user is None or is_theirs):
        request.session[INVITATION_KEY] = request.get_full_path().rstrip("/").rpartition("/")[2]
    else:
        request.session.pop(INVITATION_KEY, None)
    names = store_names()
    context = {
        "invited": invited,
        "inviting": request.merchant,
        "state": state,
        "is_theirs": is_theirs,
        "is_member": user is not None
        and Membership.objects.filter(
            merchant=request.merchant, user=user, is_active=True
        ).exists(),
        "stores": None
        if invited.store_ids is None
        else [names[pk] for pk in invited.store_ids if pk in names],
    }
    status = 200 if state == "invited" or request.method != "POST" else 409
    return render(request, "merchants/invitation.html", context, status=status)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponseBase:
    """A person's own name."""
    user = _user(request)
    form = ProfileForm(request.POST or None, initial={"name": user.name})
    if request.method == "POST" and form.is_valid():
        rename_user(user=user, name=form.cleaned_data["name"])
        messages.success(request, _("Saved."))
        return redirect("profile")
    status = 422 if form.errors else 200
    return render(request, "accounts/profile.html", {"form": form}, status=status)


@public
@require_safe
def dev_mailbox(request: HttpRequest) -> HttpResponseBase:
    """The mails that a development machine did not send; elsewhere the page does not exist."""
    if not _has_mailbox():
        raise Http404
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    mails = latest_mails(Path(folder)) if folder else []
    response = render(request, "merchants/mailbox.html", {"mails": mails})
    response["Cache-Control"] = "no-store"
    return response
