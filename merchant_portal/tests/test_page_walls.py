"""Every address is guarded, and no member of one merchant gets anything of another by any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.models import User
from apps.approvals.models import Approval
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import Account, AdjustmentReason, JournalEntry, Purpose
from apps.ledger.services import Line, post_adjustment
from apps.merchants.access import Access
from apps.merchants.models import Invitation, Membership, Role
from apps.merchants.roles import permissions_of
from apps.merchants.services import add_terminal
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import Notification
from apps.qrcodes.services import create_code
from apps.reconciliation.models import Difference, ReconciliationRun
from apps.refunds.services import request_refund
from apps.statements.models import Statement, StatementDay

#: Views of libraries, which guard themselves and know no merchant.
LIBRARIES = ("allauth.",)


@dataclass(frozen=True)
class Address:
    """One URL pattern: its route with converters, and how its view is guarded."""

    route: str
    access: Access | None
    params: tuple[str, ...]
    module: str


def addresses() -> Iterator[Address]:
    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Address]:
        for item in patterns:
            route = prefix + str(item.pattern)
            if isinstance(item, URLResolver):
                yield from walk(item.url_patterns, route)
            else:
                view = item.callback
                module = getattr(view, "view_class", view).__module__
                params = tuple(part.split(">")[0].split(":")[-1] for part in route.split("<")[1:])
                yield Address(route, getattr(view, "access", None), params, module)

    yield from walk(get_resolver().url_patterns, "/")


ALL = list(addresses())
OFFICE = [address for address in ALL if address.access and address.access.kind == "merchant"]


def test_every_view_says_who_may_open_it() -> None:
    bare = [a.route for a in ALL if a.access is None and not a.module.startswith(LIBRARIES)]
    assert bare == []
    assert len(OFFICE) > 30


def test_everything_under_a_merchant_is_guarded_by_membership() -> None:
    wrong = [
        a.route
        for a in ALL
        if a.route.startswith("/m/") and (a.access is None or a.access.kind != "merchant")
    ]
    assert wrong == []


def populate(shop: Shop) -> dict[str, object]:
    """One row of each kind that an address may name, and its id by the name of the URL's parameter."""
    account = make_account(shop, merchant_no=f"19{shop.merchant.pk:08d}")
    paid = make_paid(shop, account, minor=50_000)
    code = create_code(
        store_id=shop.store.pk, kind="counter", name="前台", actor=Actor("t"), now=NOW
    )
    terminal = add_terminal(store_id=shop.store.pk, name="收银台", actor=Actor("t"), now=NOW)
    refund = request_refund(
        payment_id=paid.pk,
        amount=Money(30_000),
        reason="x",
        member=shop["cashier"],
        actor=Actor("t"),
        now=NOW,
    )
    notification = Notification.objects.create(
        account_id=account.pk, received_at=NOW, body_sha256=b"x"
    )
    run = ReconciliationRun.objects.create(account=account, day=NOW.date(), started_at=NOW)
    difference = Difference.objects.create(run=run, type="missing_here", gap_minor=1)
    statement = Statement.objects.create(
        account=account,
        kind="trade",
        day=NOW.date(),
        version=1,
        filename="x",
        sha256="0" * 64,
        byte_count=1,
        imported_at=NOW,
        payment_count=0,
        payment_minor=0,
        refund_count=0,
        refund_minor=0,
        fee_minor=0,
    )
    day = StatementDay.objects.create(account=account, kind="trade", day=NOW.date())
    adjustment = post_adjustment(
        reason=AdjustmentReason.ROUNDING,
        memo="x",
        lines=[
            Line(purpose=Purpose.ADJUSTMENTS, amount=Money(1)),
            Line(purpose=Purpose.SUSPENSE, amount=Money(-1)),
        ],
        at=NOW,
        member=shop["finance"],
        actor=Actor("t"),
        now=NOW,
    )
    approval = Approval.objects.get(subject_kind="refund")
    invitation = Invitation.objects.create(
        email="new@x.test", role="cashier", invited_by=shop["owner"], expires_at=NOW
    )
    member = Membership.objects.get(merchant=shop.merchant, user=shop["cashier"])
    due = Due.objects.create(
        task="payments.poll", merchant_id=shop.merchant.pk, subject_id=paid.pk, due_at=NOW
    )
    return {
        "account_id": account.pk,
        "ledger_account_id": Account.objects.order_by("pk")[0].pk,
        "entry_id": JournalEntry.objects.order_by("pk")[0].pk,
        "adjustment_id": adjustment.pk,
        "due_id": due.pk,
        "payment_id": paid.pk,
        "order_id": paid.order_id,
        "code_id": code.pk,
        "refund_id": refund.pk,
        "notification_id": notification.pk,
        "run_id": run.pk,
        "difference_id": difference.pk,
        "statement_id": statement.pk,
        "day_id": day.pk,
        "approval_id": approval.pk,
        "invitation_id": invitation.pk,
        "membership_id": member.pk,
        "store_id": shop.store.pk,
        "terminal_id": terminal.pk,
        "day": NOW.date().isoformat(),
        "platform": "wechatpay",
        "kind": "trade",
        "language": "en",
        "fmt": "png",
        "format": "png",
        "filename": "x",
        "action": "pause",
    }


def fill(address: Address, slug: str, values: dict[str, object]) -> str:
    url = address.route
    for part in address.route.split("<")[1:]:
        inner = part.split(">")[0]
        name = inner.split(":")[-1]
        url = url.replace(f"<{inner}>", slug if name == "slug" else str(values[name]))
    return url


@dataclass(frozen=True)
class Town:
    """Two merchants with everything, and what each address needs of them."""

    tea: Shop
    bar: Shop
    tea_ids: dict[str, object]
    bar_ids: dict[str, object]


@pytest.fixture
def town(db: None) -> Town:
    tea, bar = make_shop("tea"), make_shop("bar")
    with inside(tea):
        tea_ids = populate(tea)
    with inside(bar):
        bar_ids = populate(bar)
    return Town(tea, bar, tea_ids, bar_ids)


def signed_in(user: User | None) -> Client:
    client = Client(raise_request_exception=True)
    if user is not None:
        client.force_login(user)
    return client


def ask(client: Client, url: str) -> int:
    """The status of a GET, or of an empty POST where GET is not served."""
    status = client.get(url).status_code
    return client.post(url).status_code if status == 405 else status


def test_a_stranger_gets_404_everywhere(town: Town) -> None:
    client = signed_in(town.bar["owner"])
    found = {a.route: ask(client, fill(a, "tea", town.tea_ids)) for a in OFFICE}
    assert {route: status for route, status in found.items() if status != 404} == {}


def test_nobody_gets_in_without_logging_in(town: Town) -> None:
    client = signed_in(None)
    for address in OFFICE:
        response = client.get(fill(address, "tea", town.tea_ids))
        if response.status_code == 405:
            response = client.post(fill(address, "tea", town.tea_ids))
        assert response.status_code == 302, address.route
        assert "/accounts/login/" in response["Location"], address.route


@pytest.mark.parametrize("role", Role.values)
def test_a_strangers_ids_are_404_under_ones_own_merchant(town: Town, role: str) -> None:
    client = signed_in(town.tea[role])
    allowed = permissions_of(role, all_stores=True)
    wrong = {}
    for address in OFFICE:
        if not any(name.endswith("_id") for name in address.params):
            continue
        assert address.access is not None
        expected = {404} if address.access.permission in allowed else {403}
        status = ask(client, fill(address, "tea", town.bar_ids))
        if status not in expected:
            wrong[address.route] = status
    assert wrong == {}


@pytest.mark.parametrize("role", Role.values)
def test_each_role_opens_what_its_permissions_say_and_nothing_else(town: Town, role: str) -> None:
    client = signed_in(town.tea[role])
    allowed = permissions_of(role, all_stores=True)
    wrong = {}
    for address in OFFICE:
        assert address.access is not None
        may = address.access.permission in allowed
        status = client.get(fill(address, "tea", town.tea_ids)).status_code
        if may and (status == 403 or status >= 500):
            wrong[address.route] = status
        if not may and status not in {403, 405}:
            wrong[address.route] = status
        if not may and status == 405:
            posted = client.post(fill(address, "tea", town.tea_ids)).status_code
            if posted != 403:
                wrong[address.route] = posted
    assert wrong == {}


def test_unknown_tokens_are_404(town: Town) -> None:
    client = signed_in(None)
    doors = [a for a in ALL if a.access and a.access.kind == "door"]
    assert doors
    for address in doors:
        url = address.route
        for part in address.route.split("<")[1:]:
            inner = part.split(">")[0]
            value = "wechatpay" if inner.split(":")[-1] == "platform" else "nosuchtoken"
            url = url.replace(f"<{inner}>", value)
        assert ask(client, url) == 404, address.route
