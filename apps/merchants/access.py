"""The decorators that decide who may open a page. Every view carries exactly one; a test walks the URLs to see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject
from django_htmx.middleware import HtmxDetails

from apps.accounts.models import User
from apps.core.audit import Actor
from apps.core.doors import DoorNotFound, find_door
from apps.core.models import Door
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant
from apps.merchants.roles import ALL_PERMISSIONS, permissions_of

P = ParamSpec("P")


class MerchantRequest(HttpRequest):
    """A request inside one merchant's back office, as ``merchant_view`` hands it to a view."""

    htmx: HtmxDetails
    merchant: Merchant
    membership: Membership
    permissions: frozenset[str]
    scope: Scope
    member: User

    def actor(self) -> Actor:
        """Who acts, for the audit trail."""
        raise AssertionError(
            "replaced by merchant_view"
        )  # typing only: requests are not built from this class


class DoorRequest(HttpRequest):
    """A request that came through a public token, as ``door_view`` hands it to a view."""

    htmx: HtmxDetails
    merchant: Merchant
    door: Door
    scope: Scope


@dataclass(frozen=True, slots=True)
class Access:
    """How a view is guarded: ``kind`` is public, signed_in, door or merchant."""

    kind: str
    permission: str = ""
    door: str = ""


def client_ip(request: HttpRequest) -> str | None:
    """The address of the connection; a trusted proxy's middleware has already replaced it by the client's."""
    return request.META.get("REMOTE_ADDR") or None


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in user, or the anonymous payer, for the audit trail."""
    agent = request.headers.get("User-Agent", "")
    if isinstance(request.user, User):
        return Actor(request.user.email, request.user.pk, client_ip(request), agent)
    return Actor("payer", None, client_ip(request), agent)


def membership_of(user: User, slug: str) -> Membership | None:
    """The active membership of a user in the merchant with this slug."""
    return (
        Membership.objects.select_related("merchant")
        .filter(user=user, merchant__slug=slug, merchant__is_active=True, is_active=True)
        .first()
    )


def scope_of(membership: Membership) -> Scope:
    """The scope that a membership opens: its stores, and what others took only with the permission to see it."""
    stores = None if membership.store_ids is None else frozenset(membership.store_ids)
    granted = permissions_of(membership.role, all_stores=stores is None)
    return Scope(
        membership.merchant_id, stores, None if "takings.view" in granted else membership.user_id
    )


def merchant_view(
    permission: str,
) -> Callable[
    [Callable[Concatenate[MerchantRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, str, P], HttpResponseBase],
]:
    """A back-office page under ``/m/<slug>/``: a stranger gets 404, a member without ``permission`` 403.

    The view runs inside the merchant's scope, which ends when it returns: a streamed body must enter it again.
    """
    if permission not in ALL_PERMISSIONS:
        raise RuntimeError(f"no role has the permission {permission}")

    def decorate(
        view: Callable[Concatenate[MerchantRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]:
        @wraps(view)
        def guarded(
            request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            if not isinstance(request.user, User):
                return redirect_to_login(request.get_full_path())
            membership = membership_of(request.user, slug)
            if membership is None:
                raise Http404
            scope = scope_of(membership)
            permissions = permissions_of(membership.role, all_stores=scope.all_stores)
            inside = cast("MerchantRequest", request)
            inside.merchant = membership.merchant
            inside.membership = membership
            inside.permissions = permissions
            inside.scope = scope
            inside.member = request.user
            inside.actor = lambda: actor_of(request)  # type: ignore[method-assign]  # see MerchantRequest.actor
            if permission not in permissions:
                raise PermissionDenied(permission)
            with enter_scope(scope):
                return view(inside, *args, **kwargs)

        guarded.access = Access("merchant", permission=permission)  # type: ignore[attr-defined]  # read by the URL walk
        return guarded  # type: ignore[return-value]  # wraps() names the first parameters, Concatenate does not

    return decorate


def door_view(
    kind: str,
) -> Callable[
    [Callable[Concatenate[DoorRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, str, P], HttpResponseBase],
]:
    """A page behind a public token of this kind; an unknown token is 404."""

    def decorate(
        view: Callable[Concatenate[DoorRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]:
        @wraps(view)
        def guarded(
            request: HttpRequest, token: str, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            try:
                door = find_door(kind=kind, token=token)
            except DoorNotFound as error:
                raise Http404 from error
            inside = cast("DoorRequest", request)
            inside.door = door
            # Not every page behind a door shows whose it is.
            inside.merchant = cast(
                "Merchant", SimpleLazyObject(lambda: Merchant.objects.get(pk=door.merchant_id))
            )
            inside.scope = Scope(door.merchant_id)
            with enter_scope(inside.scope):
                return view(inside, *args, **kwargs)

        guarded.access = Access("door", door=kind)  # type: ignore[attr-defined]  # read by the URL walk
        return guarded  # type: ignore[return-value]  # wraps() names the first parameters, Concatenate does not

    return decorate


View = Callable[..., HttpResponseBase]


def signed_in(view: View) -> View:
    """A page for any logged-in user, outside every merchant."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    guarded.access = Access("signed_in")  # type: ignore[attr-defined]  # read by the URL walk
    return guarded


def public(view: View) -> View:
    """A page for everybody, which must show nothing of any merchant."""
    view.access = Access("public")  # type: ignore[attr-defined]  # read by the URL walk
    return view
