"""The team: members, what their roles allow, invitations."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.forms import InvitationForm, MemberForm, reach_of
from apps.merchants.models import Invitation, Membership, Role
from apps.merchants.selectors import (
    get_invitation,
    get_member,
    list_invitations,
    list_members,
    list_stores,
    role_matrix,
    store_names,
)
from apps.merchants.services import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    LastOwner,
    OwnMembership,
    UnknownStores,
    change_member,
    invite,
    resend_invitation,
    set_member_active,
    withdraw_invitation,
)

LAST_OWNER = gettext_lazy(
    "This is the last owner. Make somebody else an owner first, so that the merchant keeps one."
)
OWN_MEMBERSHIP = gettext_lazy("You cannot change your own membership. Ask another owner.")
UNKNOWN_STORES = gettext_lazy("One of these stores does not exist any more. Choose again.")
CLOSED = gettext_lazy("This invitation was accepted or withdrawn meanwhile.")


def _member_or_404(membership_id: int) -> Membership:
    try:
        return get_member(membership_id)
    except Membership.DoesNotExist as error:
        raise Http404 from error


def _invitation_or_404(invitation_id: int) -> Invitation:
    try:
        return get_invitation(invitation_id)
    except Invitation.DoesNotExist as error:
        raise Http404 from error


def _to_team(request: MerchantRequest) -> HttpResponse:
    return redirect("merchants:member_list", request.merchant.slug)


@merchant_view("team.view")
@require_safe
def member_list(request: MerchantRequest) -> HttpResponse:
    """Members, invitations that wait, and what each role may do."""
    names = store_names()
    context = {
        "members": list_members(names=names),
        "invitations": list_invitations(names=names, now=clock.now()),
        "matrix": role_matrix(),
        "roles": Role.choices,
    }
    return render(request, "merchants/member_list.html", context)


@merchant_view("team.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def member_invite(request: MerchantRequest) -> HttpResponse:
    """Ask somebody to join."""
    form = InvitationForm(request.POST or None, stores=list(list_stores(only_active=True)))
    if request.method == "POST" and form.is_valid():
        try:
            invitation = invite(
                email=form.cleaned_data["email"],
                role=form.cleaned_data["role"],
                store_ids=form.store_ids,
                invited_by=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except AlreadyMember:
            form.add_error("email", _("This person is a member already."))
        except AlreadyInvited:
            form.add_error(
                "email",
                _(
                    "An invitation to this address still waits. Send it again from the team page, or withdraw it."
                ),
            )
        except UnknownStores:
            form.add_error("stores", str(UNKNOWN_STORES))
        else:
            messages.success(
                request,
                _("The invitation to %(email)s is on its way.") % {"email": invitation.email},
            )
            return _to_team(request)
    status = 422 if form.errors else 200
    return render(request, "merchants/member_invite.html", {"form": form}, status=status)


@merchant_view("team.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def member_edit(request: MerchantRequest, membership_id: int) -> HttpResponse:
    """A member's role and stores."""
    membership = _member_or_404(membership_id)
    form = MemberForm(
        request.POST or None,
        stores=list(list_stores()),
        initial={"role": membership.role} | reach_of(membership.store_ids),
    )
    if request.method == "POST" and form.is_valid():
        try:
            change_member(
                membership_id=membership.pk,
                role=form.cleaned_data["role"],
                store_ids=form.store_ids,
                actor=request.actor(),
                now=clock.now(),
            )
        except LastOwner:
            form.add_error("role", str(LAST_OWNER))
        except OwnMembership:
            form.add_error(None, str(OWN_MEMBERSHIP))
        except UnknownStores:
            form.add_error("stores", str(UNKNOWN_STORES))
        else:
            messages.success(request, _("Saved."))
            return _to_team(request)
    status = 422 if form.errors else 200
    context = {"form": form, "edited": membership}
    return render(request, "merchants/member_form.html", context, status=status)


def _switch(request: MerchantRequest, membership_id: int, *, active: bool) -> HttpResponse:
    membership = _member_or_404(membership_id)
    if request.method == "POST":
        try:
            set_member_active(
                membership_id=membership.pk,
                active=active,
                actor=request.actor(),
                now=clock.now(),
            )
        except LastOwner:
            messages.error(request, str(LAST_OWNER))
        except OwnMembership:
            messages.error(request, str(OWN_MEMBERSHIP))
        else:
            done = (
                _("%(name)s is a member again.") if active else _("%(name)s no longer has access.")
            )
            messages.success(request, done % {"name": membership.user.display_name})
        return _to_team(request)
    context = {"edited": membership, "readmitting": active}
    return render(request, "merchants/member_switch.html", context)


@merchant_view("team.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def member_deactivate(request: MerchantRequest, membership_id: int) -> HttpResponse:
    """Confirm that a member loses access."""
    return _switch(request, membership_id, active=False)


@merchant_view("team.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def member_readmit(request: MerchantRequest, membership_id: int) -> HttpResponse:
    """Confirm that a former member comes back."""
    return _switch(request, membership_id, active=True)


@merchant_view("team.manage")
@require_POST
def invitation_resend(request: MerchantRequest, invitation_id: int) -> HttpResponse:
    """Send an invitation's mail again."""
    invitation = _invitation_or_404(invitation_id)
    try:
        resend_invitation(invitation_id=invitation.pk, actor=request.actor(), now=clock.now())
    except InvitationClosed:
        messages.error(request, str(CLOSED))
    else:
        messages.success(
            request, _("The invitation to %(email)s is on its way.") % {"email": invitation.email}
        )
    return _to_team(request)


@merchant_view("team.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_withdraw(request: MerchantRequest, invitation_id: int) -> HttpResponse:
    """Confirm that an invitation's link stops working."""
    invitation = _invitation_or_404(invitation_id)
    if request.method == "POST":
        try:
            withdraw_invitation(invitation_id=invitation.pk, actor=request.actor(), now=clock.now())
        except InvitationClosed:
            messages.error(request, str(CLOSED))
        else:
            messages.success(
                request,
                _("The invitation to %(email)s was withdrawn.") % {"email": invitation.email},
            )
        return _to_team(request)
    return render(request, "merchants/invitation_withdraw.html", {"invited": invitation})
