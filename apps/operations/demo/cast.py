"""The demo shop's people, places and codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from allauth.account.models import EmailAddress
from django.db import transaction

from apps.accounts.models import User
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from apps.merchants.services import add_terminal
from apps.operations.demo.control import SimulatorControl
from apps.payments.models import Payment, PaymentState, Source
from apps.platforms.gateway import Credentials, Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.services import connect_account, terminals
from apps.qrcodes.models import NoteMode, Pricing, QRCode, ScenarioKind
from apps.qrcodes.services import create_code, make_code, retire_code, revise_code
from apps.qrcodes.terms import CodeTerms, PriceChoice
from apps.refunds.models import RequestReason
from apps.refunds.services import ask_for_refund, set_request_terms, set_rule, write_draft

SLUG: Final = "demo"
PASSWORD: Final = "portal-demo-2026"  # noqa: S105  # printed for everybody; the demo guards nothing
NAMES: Final = {
    Role.OWNER: "林晚晴",
    Role.MANAGER: "周明",
    Role.FINANCE: "许静",
    Role.CASHIER: "小陈",
    Role.AUDITOR: "吴审",
}
CODES: Final = (
    (0, ScenarioKind.COUNTER, "前台", "Front counter", None),
    (0, ScenarioKind.COUNTER, "外带窗口", "Take-away window", None),
    (0, ScenarioKind.TABLE, "1号桌", "Table 1", None),
    (0, ScenarioKind.TABLE, "2号桌", "Table 2", None),
    (0, ScenarioKind.TABLE, "3号桌", "Table 3", None),
    (0, ScenarioKind.CASHIER, "收银员小陈", "Cashier Chen", None),
    (1, ScenarioKind.COUNTER, "前台", "Front counter", None),
    (1, ScenarioKind.TABLE, "露台A", "Terrace A", None),
    (1, ScenarioKind.EVENT, "周末茶会", "Weekend tea fair", Money(6_800)),
    (1, ScenarioKind.EVENT, "龙井品鉴", "Longjing tasting", Money(12_800)),
)


#: The shop's accounts in the order of preference: the aggregator last, which takes what the others take as well.
ACCOUNTS: Final = (
    (Platform.WECHATPAY, "微信支付主账户"),
    (Platform.ALIPAY, "支付宝主账户"),
    (Platform.UNIONPAY, "云闪付主账户"),
    (Platform.SHOUQIANBA, "收钱吧聚合账户"),
)
#: What the simulator tells of a merchant beside its keys.
_NO_KEYS: Final = frozenset({"platform", "merchant_no", "app_id", "name", "rate_ppm", "id"})
#: The device at the counter of the first store, which takes payments through the aggregator.
TERMINAL: Final = ("前台收款机", "商米", "V2 PRO", "VB05226S80417")


@dataclass(frozen=True, slots=True)
class Cast:
    """Who and what the history plays with."""

    merchant: Merchant
    stores: list[Store]
    codes: list[QRCode]
    accounts: list[PlatformAccount]
    users: dict[str, User]


def email_of(role: str) -> str:
    """The demo log-in of a role."""
    return f"{role}@demo.example"


def make_people_and_places(*, since: datetime) -> tuple[Merchant, list[Store], dict[str, User]]:
    """The merchant, registered at ``since``, two stores, and a member of each role with a verified address."""
    with transaction.atomic():
        merchant = Merchant.objects.create(
            slug=SLUG, name="云栖茶铺", name_en="Cloud Rest Tea House", created_at=since
        )
        users: dict[str, User] = {}
        for role in Role.values:
            user = User.objects.create_user(email_of(role), PASSWORD, name=NAMES[Role(role)])
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
            Membership.objects.create(merchant=merchant, user=user, role=role)
            users[role] = user
    with enter_scope(Scope(merchant.pk)):
        stores = [
            Store.objects.create(
                name="湖滨店", name_en="Lakeside", address="杭州市上城区湖滨路 28 号"
            ),
            Store.objects.create(
                name="运河店", name_en="Canal", address="杭州市拱墅区小河路 458 号"
            ),
        ]
    return merchant, stores, users


def connect_to_simulator(
    control: SimulatorControl, *, store: Store, actor: Actor, now: datetime
) -> list[PlatformAccount]:
    """One account at each simulated platform, connected as a merchant would: by a live check.

    ``store`` gets a terminal, activated wherever the platform knows terminals.
    """
    accounts = []
    for platform, label in ACCOUNTS:
        given = control.create_merchant(platform=platform.value, name="云栖茶铺")
        keys = {
            name: value
            for name, value in given.items()
            if name not in _NO_KEYS and isinstance(value, str)
        }
        account = connect_account(
            platform=platform.value,
            label=label,
            credentials=Credentials(
                app_id=given["app_id"], merchant_no=given["merchant_no"], keys=keys
            ),
            fee_rate_ppm=6000,
            all_stores=True,
            store_ids=[],
            actor=actor,
            now=now,
        )
        if terminals.has_terminals(account):
            _place_terminal(
                account, store=store, code=given["activation_code"], actor=actor, now=now
            )
        accounts.append(account)
    return accounts


def _place_terminal(
    account: PlatformAccount, *, store: Store, code: str, actor: Actor, now: datetime
) -> None:
    name, brand, model_name, serial_no = TERMINAL
    terminal = add_terminal(
        store_id=store.pk,
        name=name,
        brand=brand,
        model_name=model_name,
        serial_no=serial_no,
        actor=actor,
        now=now - timedelta(days=90),
    )
    terminals.activate(
        account_id=account.pk, terminal_id=terminal.pk, code=code, actor=actor, now=now
    )


def make_codes(stores: list[Store], *, actor: Actor, now: datetime) -> list[QRCode]:
    """The demo's codes; the last is an event that is over."""
    codes = []
    for store, kind, name, name_en, amount in CODES:
        codes.append(
            create_code(
                store_id=stores[store].pk,
                kind=kind,
                name=name,
                name_en=name_en,
                amount=amount,
                valid_from=None,
                valid_until=now + timedelta(days=30) if kind == ScenarioKind.EVENT else None,
                actor=actor,
                now=now - timedelta(days=90),
            )
        )
    return codes


def make_retired_code(stores: list[Store], *, actor: Actor, now: datetime) -> QRCode:
    """A code that was replaced three weeks ago and whose sticker still hangs somewhere."""
    code = create_code(
        store_id=stores[0].pk,
        kind=ScenarioKind.COUNTER,
        name="旧前台",
        name_en="Old counter",
        actor=actor,
        now=now - timedelta(days=89),
    )
    return retire_code(
        code_id=code.pk, actor=actor, now=now - timedelta(days=21), reason="换了新贴纸"
    )


def make_living_codes(stores: list[Store], *, actor: Actor, now: datetime) -> None:
    """Codes that show what terms can say; the history takes no money by them. One of them was changed and will be again."""
    home, branch = stores[0].pk, stores[-1].pk
    weekdays = ((7 * 60, 21 * 60),)
    terms = {
        ScenarioKind.PRODUCT: CodeTerms(
            store_id=home,
            name="手冲咖啡",
            name_en="Pour-over coffee",
            details={"sku": "KF-017"},
            pricing=Pricing.LIST,
            choices=(
                PriceChoice(name="小杯", name_en="Small", minor=1_800),
                PriceChoice(name="大杯", name_en="Large", minor=2_400),
            ),
            note_mode=NoteMode.NONE,
            hours=(*(weekdays,) * 5, ((8 * 60, 22 * 60),), ((8 * 60, 22 * 60),)),
        ),
        ScenarioKind.DONATION: CodeTerms(
            store_id=home,
            name="流浪猫救助",
            name_en="Stray cats",
            details={"purpose": "猫粮与绝育"},
            pricing=Pricing.LIST,
            choices=tuple(
                PriceChoice(name=Money(minor).display(), minor=minor)
                for minor in (500, 1_000, 2_000, 5_000)
            ),
        ),
        ScenarioKind.RIDER: CodeTerms(
            store_id=branch,
            name="骑手 3 号",
            name_en="Rider 3",
            details={"rider": "小周", "area": "滨江"},
            note_mode=NoteMode.REQUIRED,
            note_label="订单号",
            most_minor=50_000,
            day_limit_minor=300_000,
        ),
        ScenarioKind.CASHIER: CodeTerms(
            store_id=branch,
            name="2 号收银台",
            name_en="Till 2",
            details={"staff": "小李"},
        ),
    }
    made = {
        kind: make_code(kind=kind, terms=one, actor=actor, now=now - timedelta(days=60))
        for kind, one in terms.items()
    }
    coffee = made[ScenarioKind.PRODUCT]
    dearer = replace(
        terms[ScenarioKind.PRODUCT],
        choices=(
            PriceChoice(name="小杯", name_en="Small", minor=1_900),
            PriceChoice(name="大杯", name_en="Large", minor=2_500),
        ),
    )
    revise_code(
        code_id=coffee.pk,
        terms=dearer,
        expected=1,
        reason="秋季调价",
        actor=actor,
        now=now - timedelta(days=20),
    )
    revise_code(
        code_id=coffee.pk,
        terms=replace(dearer, name="冬季特调", name_en="Winter special"),
        expected=2,
        starts_at=now + timedelta(days=7),
        reason="冬季菜单",
        actor=actor,
        now=now,
    )


def write_rule(owner: User, *, actor: Actor, now: datetime) -> None:
    """Refunds up to ¥200 at once, above with a confirmation."""
    set_rule(threshold=Money(20_000), confirmations=1, member=owner, actor=actor, now=now)


def let_customers_ask(owner: Actor, *, now: datetime) -> None:
    """Customers may ask for money back on their receipt, and one has."""
    set_request_terms(
        is_open=True,
        days=7,
        policy="饮品做错、重复付款或不满意，七天内都可以申请退款。",
        actor=owner,
        now=now,
    )
    paid = Payment.objects.filter(
        source=Source.PORTAL,
        state=PaymentState.SUCCEEDED,
        refund_reserved_minor=0,
        paid_at__gte=now - timedelta(days=2),
    ).exclude(platform_trade_no="")
    payment = paid.order_by("-paid_at", "-pk").first()
    if payment is not None:
        ask_for_refund(
            payment=payment,
            amount=Money(payment.amount_minor, payment.currency),
            reason=RequestReason.QUALITY,
            words="少给了一份点心",
            contact="13800000000",
            client_ip="192.0.2.10",
            now=now,
            actor=Actor("payer"),
        )


def draft_rules(owner: User, *, actor: Actor, now: datetime) -> None:
    """A draft of refund rules that say more, to be tried on the demo's history."""
    rules = [
        {"when": {"total": {"over": 50_000}}, "outcome": "one_finance"},
        {"when": {"asker_sum_1": {"over": 20_000}, "asker": {"is": ["cashier"]}}, "outcome": "one"},
        {"when": {"amount": {"up_to": 3_000}, "age": {"up_to": 60}}, "outcome": "at_once"},
        {"when": {"total": {"over": 10_000}}, "outcome": "one"},
        {"when": {"minute": {"from": 22 * 60, "until": 6 * 60}}, "outcome": "one"},
    ]
    content = {"rules": rules, "otherwise": "at_once"}
    write_draft(content=content, revision=0, member=owner, actor=actor, now=now)
