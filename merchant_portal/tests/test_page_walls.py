"""Every address is guarded, and no member of one merchant gets anything of another by any of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from PIL import Image

from apps.accounts.models import User
from apps.approvals.models import Approval
from apps.approvals.services import delegate
from apps.checkout.services import open_shift, put_up_display
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import (
    Account,
    AdjustmentPaper,
    AdjustmentReason,
    JournalEntry,
    Purpose,
)
from apps.ledger.services import HandedIn, Line, post_adjustment
from apps.merchants.access import Access
from apps.merchants.models import Invitation, Membership, Role
from apps.merchants.roles import permissions_of
from apps.merchants.services import add_terminal
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.models import Agreement, AgreementDocument, Notification, PlatformAccount
from apps.qrcodes.artwork import PLAIN
from apps.qrcodes.models import ActKind, CodeAlert
from apps.qrcodes.services import (
    PrintWish,
    Wish,
    act_on_codes,
    create_code,
    create_design,
    folder_named,
    save_template,
    start_print,
)
from apps.reconciliation.models import (
    AutoRule,
    BulkAct,
    BulkRow,
    DayClose,
    DayFile,
    DayReopening,
    Difference,
    OutsideRule,
    ReconciliationRun,
    ResolutionKind,
)
from apps.reconciliation.services import Act, resolve_difference
from apps.refunds.models import RequestReason
from apps.refunds.selectors import BatchWish, preview
from apps.refunds.services import (
    ask_for_refund,
    request_refund,
    set_request_terms,
    start_batch,
)
from apps.risk.models import Harm, Likelihood, RiskAlert, RiskHold
from apps.risk.services import review_risk
from apps.statements.models import BankLine, Settlement, Statement, StatementDay, Upload
from apps.statements.services import link
from apps.statements.tests.money import bank_csv, make_bank, upload

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


def money_rows(account: PlatformAccount) -> tuple[int, int, int, int]:
    """A payout, and a settlement, a bank line and a bank account that it does not touch: their ids."""
    bank = make_bank()
    upload(bank, bank_csv((NOW.date(), 5, "x", "1"), (NOW.date(), 7, "x", "2")))
    lines = list(BankLine.objects.order_by("pk"))
    settlements = [
        Settlement.objects.create(
            account=account,
            basis="bill",
            day=NOW.date() - timedelta(days=number),
            net_minor=5,
            due_date=NOW.date(),
            computed_at=NOW,
        )
        for number in range(2)
    ]
    payout = link(
        line_ids=[lines[0].pk],
        settlement_ids=[settlements[0].pk],
        member=None,
        actor=Actor("t"),
        now=NOW,
    )
    return payout.pk, settlements[1].pk, lines[1].pk, bank.pk


def pixel() -> bytes:
    """The smallest picture."""
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG")
    return out.getvalue()


def populate(shop: Shop) -> dict[str, object]:
    """One row of each kind that an address may name, and its id by the name of the URL's parameter."""
    account = make_account(shop, merchant_no=f"19{shop.merchant.pk:08d}")
    paid = make_paid(shop, account, minor=50_000)
    code = create_code(
        store_id=shop.store.pk, kind="counter", name="前台", actor=Actor("t"), now=NOW
    )
    terminal = add_terminal(store_id=shop.store.pk, name="收银台", actor=Actor("t"), now=NOW)
    design = create_design(name="x", design=PLAIN, actor=Actor("t"), now=NOW)
    alert = CodeAlert.objects.create(code=code, kind="surge", since=NOW, opened_at=NOW, seen_at=NOW)
    refund = request_refund(
        payment_id=paid.pk,
        amount=Money(30_000),
        reason="x",
        member=shop["cashier"],
        actor=Actor("t"),
        now=NOW,
    )
    agreement = Agreement.objects.create(
        account=account,
        version=1,
        service="x",
        effective_from=NOW.date() + timedelta(days=3650),
        valid_from=NOW.date(),
        created_at=NOW,
    )
    document = AgreementDocument.objects.create(
        account=account,
        title="x",
        filename="x.pdf",
        kind="pdf",
        sha256="0" * 64,
        byte_count=1,
        page_count=1,
        created_at=NOW,
    )
    template = save_template(
        template_id=None,
        name="包间",
        name_en="",
        kind="table",
        questions=[],
        defaults=None,
        actor=Actor("t"),
        now=NOW,
    )
    folder = folder_named("露台", actor=Actor("t"), now=NOW)
    act = act_on_codes(
        [code.pk],
        Wish(kind=ActKind.FOLDER, folder_id=folder.pk),
        nonce="x",
        actor=Actor("t"),
        now=NOW,
    )
    job = start_print(
        [code.pk],
        PrintWish(file="pdf", form="A6", language="both"),
        nonce="x",
        actor=Actor("t"),
        now=NOW,
    )
    set_request_terms(is_open=True, days=7, policy="", actor=Actor("t"), now=NOW)
    asked = ask_for_refund(
        payment=paid,
        amount=Money(1),
        reason=RequestReason.OTHER,
        words="",
        contact="",
        client_ip="",
        now=NOW,
        actor=Actor("payer"),
    )
    wish = BatchWish(reason="x", amount_min=1)
    chosen = preview(wish, member_id=shop["owner"].pk, now=NOW)
    batch = start_batch(
        wish=wish,
        seal=chosen.seal,
        cover=(chosen.confirmations, chosen.permission),
        nonce="x",
        member=shop["owner"],
        actor=Actor("t"),
        now=NOW,
    )
    notification = Notification.objects.create(
        account_id=account.pk, received_at=NOW, body_sha256=b"x"
    )
    run = ReconciliationRun.objects.create(account=account, day=NOW.date(), started_at=NOW)
    outside = OutsideRule.objects.create(
        account=account, scope="account", books=True, valid_from=NOW.date(), created_at=NOW
    )
    difference = Difference.objects.create(
        run=run, type="missing_here", gap_minor=1, net_gap_minor=1, identity=UUID(int=1)
    )
    resolution = resolve_difference(
        difference_id=difference.pk,
        act=Act(kind=ResolutionKind.KEEP, reason="x"),
        member=shop["finance"],
        actor=Actor("t"),
        now=NOW,
    )
    auto_rule = AutoRule.objects.create(
        number=1, position=1, effective_from=NOW.date(), action="keep", reason="x", created_at=NOW
    )
    bulk = BulkAct.objects.create(
        kind="keep", requested_by=shop["finance"], total=1, created_at=NOW
    )
    BulkRow.objects.create(bulk=bulk, difference=difference)
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
    handed_in = Upload.objects.create(
        account=account,
        kind="trade",
        day=NOW.date(),
        byte_count=1,
        created_at=NOW,
        uploaded_by=shop["owner"],
    )
    payout_id, settlement_id, bank_line_id, bank_account_id = money_rows(account)
    day = StatementDay.objects.create(account=account, kind="trade", day=NOW.date())
    closing = DayClose.objects.create(
        day=NOW.date() - timedelta(days=30),
        version=1,
        closed_at=NOW,
        zone="Asia/Shanghai",
        day_starts_at=shop.merchant.day_starts_at,
        payment_count=0,
        payment_minor=0,
        refund_count=0,
        refund_minor=0,
        fee_minor=0,
        entry_count=0,
        debit_minor=0,
        matched_count=0,
        difference_count=0,
    )
    day_file = DayFile.objects.create(
        close=closing,
        name="x",
        filename="x.csv",
        content_type="text/csv",
        sha256="0" * 64,
        byte_count=0,
        made_at=NOW,
    )
    reopening = DayReopening.objects.create(
        close=closing, reason="x", requested_by=shop["finance"], created_at=NOW
    )
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
        papers=[HandedIn("x.png", pixel())],
    )
    paper = AdjustmentPaper.objects.get()
    shift = open_shift(
        store_id=shop.store.pk, member=shop["cashier"], note="", now=NOW, actor=Actor("t")
    )
    wall = put_up_display(
        store_id=shop.store.pk,
        code_id=code.pk,
        name="",
        member=shop["owner"],
        now=NOW,
        actor=Actor("t"),
    )
    approval = Approval.objects.get(subject_kind="refund")
    delegation = delegate(
        giver=shop["finance"],
        receiver_id=shop["manager"].pk,
        starts_at=NOW,
        ends_at=NOW + timedelta(days=3),
        reason="x",
        actor=Actor("t"),
        now=NOW,
    )
    invitation = Invitation.objects.create(
        email="new@x.test", role="cashier", invited_by=shop["owner"], expires_at=NOW
    )
    member = Membership.objects.get(merchant=shop.merchant, user=shop["cashier"])
    due = Due.objects.create(
        task="payments.poll", merchant_id=shop.merchant.pk, subject_id=paid.pk, due_at=NOW
    )
    risk_alert = RiskAlert.objects.create(
        rule="code_day",
        subject_kind="code",
        subject=str(code.pk),
        code=code,
        store=shop.store,
        outcome="flag",
        severity="watch",
        evidence={
            "count": 1,
            "minor": 1,
            "base_minor": 0,
            "first_at": NOW.isoformat(),
            "last_at": NOW.isoformat(),
            "shown": [],
            "version": 0,
            "values": {"minor": 1},
        },
        raised_at=NOW,
        last_at=NOW,
    )
    hold = RiskHold.objects.create(
        kind="order",
        subject_id=paid.order_id,
        rule="code_day",
        asked="member",
        store=shop.store,
        amount_minor=1,
        created_at=NOW,
        expires_at=NOW + timedelta(days=3650),
    )
    risk = review_risk(
        number=None,
        seen_version=0,
        what="x",
        measure="x",
        likelihood=Likelihood.RARE,
        harm=Harm.SMALL,
        owner=None,
        next_review_date=NOW.date() + timedelta(days=1),
        is_gone=False,
        member=shop["owner"],
        actor=Actor("t"),
        today=NOW.date(),
        now=NOW,
    )
    return {
        "folder_id": folder.pk,
        "act_id": act.pk,
        "job_id": job.pk,
        "alert_id": risk_alert.pk,
        "hold_id": hold.pk,
        "risk_id": risk.pk,
        "account_id": account.pk,
        "document_id": document.pk,
        "agreement_id": agreement.pk,
        "ledger_account_id": Account.objects.order_by("pk")[0].pk,
        "entry_id": JournalEntry.objects.order_by("pk")[0].pk,
        "adjustment_id": adjustment.pk,
        "paper_id": paper.pk,
        "due_id": due.pk,
        "payment_id": paid.pk,
        "order_id": paid.order_id,
        "code_id": code.pk,
        "design_id": design.pk,
        "code_alert_id": alert.pk,
        "template_id": template.pk,
        "number": 1,
        "refund_id": refund.pk,
        "refund_batch_id": batch.pk,
        "refund_request_id": asked.pk,
        "book_number": 0,
        "rule_number": 1,
        "notification_id": notification.pk,
        "run_id": run.pk,
        "difference_id": difference.pk,
        "outside_rule_id": outside.pk,
        "resolution_id": resolution.pk,
        "auto_rule_id": auto_rule.pk,
        "bulk_id": bulk.pk,
        "statement_id": statement.pk,
        "upload_id": handed_in.pk,
        "payout_id": payout_id,
        "settlement_id": settlement_id,
        "bank_line_id": bank_line_id,
        "bank_account_id": bank_account_id,
        "day_id": day.pk,
        "file_id": day_file.pk,
        "reopening_id": reopening.pk,
        "approval_id": approval.pk,
        "delegation_id": delegation.pk,
        "invitation_id": invitation.pk,
        "membership_id": member.pk,
        "store_id": shop.store.pk,
        "terminal_id": terminal.pk,
        "shift_id": shift.pk,
        "wall_id": wall.pk,
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
        response = client.get(fill(address, "tea", town.tea_ids))
        status = response.status_code
        if response.streaming:
            # A file that nobody reads must not stay open; the test's own connection must.
            request_finished.disconnect(close_old_connections)
            response.close()
            request_finished.connect(close_old_connections)
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
