"""Bills become rows, whole or not at all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import zipfile
import zlib
from datetime import UTC, date, datetime, timedelta

import pytest
from pytest_django import Settings

from apps.core.audit import Actor
from apps.core.encryption import unseal
from apps.core.models import AuditEvent, Due
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.bills import ALIPAY_FUND, alipay_zip, wechat_fund, wechat_trade
from apps.platforms.tests.unionpay_bills import SAMPLE, file, record
from apps.statements import services
from apps.statements.models import FetchState, FilePiece, Statement, StatementDay, StatementLine
from apps.statements.services import FileGone, StatementRefused
from apps.statements.tests.bills import Row, alipay_bill, wechat_bill, wechat_gzip

pytestmark = pytest.mark.django_db

#: The day before NOW, in China.
DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
ACTOR = Actor("fiona")

PAID = Row(order_no="P1", trade_no="4200001", minor=2500, fee=15, at=NOON)
BACK = Row(
    kind="refund", order_no="P1", trade_no="4200001", minor=1000, fee=-6, at=NOON + timedelta(hours=1),
    refund_no="R1", platform_refund_no="50300001",
)  # fmt: skip


@pytest.fixture
def shop() -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def take(
    account: PlatformAccount,
    content: bytes,
    *,
    day: date = DAY,
    kind: StatementKind = StatementKind.TRADE,
    now: datetime = NOW,
) -> Statement:
    return services.import_statement(
        account_id=account.pk,
        kind=kind,
        day=day,
        filename="bill.csv",
        content=content,
        uploaded_by=None,
        actor=ACTOR,
        now=now,
    )


def stored() -> tuple[int, int, int, int, int]:
    return (
        StatementDay.objects.count(),
        Statement.objects.count(),
        StatementLine.objects.count(),
        AuditEvent.objects.count(),
        Due.objects.count(),
    )


def test_a_bill_becomes_rows_and_asks_to_be_matched(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        statement = take(account, wechat_gzip([PAID, BACK]))
        assert (statement.version, statement.is_current) == (1, True)
        assert (statement.payment_count, statement.payment_minor) == (1, 2500)
        assert (statement.refund_count, statement.refund_minor) == (1, 1000)
        assert statement.fee_minor == 9
        rows = list(
            StatementLine.objects.order_by("row").values_list(
                "kind", "order_no", "refund_no", "platform_trade_no", "platform_refund_no", "amount_minor",
                "fee_minor", "occurred_at",
            )
        )  # fmt: skip
        assert rows == [
            ("payment", "P1", "", "4200001", "", 2500, 15, NOON),
            ("refund", "P1", "R1", "4200001", "50300001", 1000, -6, NOON + timedelta(hours=1)),
        ]
        assert StatementLine.objects.get(kind="payment").raw["商品名称"] == "龙井一杯"
        assert StatementDay.objects.get().state == FetchState.IMPORTED
        [piece] = FilePiece.objects.filter(file=statement.file)
        content = unseal(bytes(piece.sealed), merchant_id=shop.merchant.pk, purpose="statement")
        assert content == wechat_gzip([PAID, BACK])
        dues = Due.objects.order_by("task").values_list("task", "subject_id")
        day = StatementDay.objects.get().pk
        assert list(dues) == [("reconciliation.run", day), ("statements.settle", day)]
        assert AuditEvent.objects.get().action == "statement.imported"


def test_the_same_file_again_changes_nothing(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        first = take(account, wechat_bill([PAID]))
        before = stored()
        again = take(account, wechat_bill([PAID]), now=NOW + timedelta(hours=1))
        assert again.pk == first.pk
        assert again.imported_at == NOW
        assert stored() == before


def test_a_changed_file_becomes_the_next_version_and_the_first_comes_back_as_a_third(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        take(account, wechat_bill([PAID]))
        take(account, wechat_bill([PAID, BACK]))
        take(account, wechat_bill([PAID]))
        versions = Statement.objects.order_by("version").values_list(
            "version", "is_current", "refund_count"
        )
        assert list(versions) == [(1, False, 0), (2, False, 1), (3, True, 0)]
        assert StatementLine.objects.count() == 4
        assert StatementDay.objects.count() == 1


def test_an_alipay_bill_and_an_empty_one(shop: Shop) -> None:
    with inside(shop):
        account = make_account(shop, platform="alipay", merchant_no="2088123456789012")
        rows = [PAID.but(platform_refund_no=""), BACK.but(platform_refund_no="")]
        statement = take(account, alipay_bill(rows, day=DAY))
        assert (statement.payment_minor, statement.refund_minor, statement.fee_minor) == (
            2500,
            1000,
            9,
        )
        empty = take(
            account, alipay_bill([], day=DAY - timedelta(days=1)), day=DAY - timedelta(days=1)
        )
        assert (empty.payment_count, empty.refund_count) == (0, 0)


def test_fund_bills_add_up_by_income_and_expense(shop: Shop) -> None:
    day, now = date(2026, 5, 1), datetime(2026, 5, 2, 4, 0, tzinfo=UTC)
    with inside(shop):
        wechat = make_account(shop, merchant_no="1900000109")
        alipay = make_account(shop, platform="alipay", merchant_no="2088123456789012")
        fund = StatementKind.FUND
        one = take(wechat, wechat_fund(), day=day, kind=fund, now=now)
        assert (one.payment_count, one.payment_minor, one.refund_count, one.refund_minor) == (
            1,
            2500,
            2,
            1009,
        )
        two = take(alipay, alipay_zip("账务明细", ALIPAY_FUND), day=day, kind=fund, now=now)
        assert (two.payment_count, two.payment_minor, two.refund_count, two.refund_minor) == (
            1,
            2500,
            2,
            1015,
        )
        moved = StatementLine.objects.filter(statement=one).order_by("row").values_list(
            "kind", "status", "amount_minor", "flow_no", "balance_minor"
        )  # fmt: skip
        assert list(moved) == [
            ("payment", "in", 2500, "1010002605010000001", 102500),
            ("fee", "out", 15, "1010002605010000002", 102485),
            ("refund", "out", 994, "4200002511202605011234567801", 101491),
        ]
        balances = StatementLine.objects.filter(statement=two).order_by("row")
        assert list(balances.values_list("flow_no", "balance_minor")) == [
            ("310000000000001", 102500),
            ("310000000000002", 102485),
            ("310000000000003", 101485),
        ]
        # Only trade bills are matched.
        assert set(Due.objects.values_list("task", flat=True)) == {"statements.settle"}


def _truncated_zip() -> bytes:
    return alipay_bill([PAID], day=DAY)[:-40]


def _bomb() -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.csv", "w") as file,
    ):
        for _ in range(513):
            file.write(b" " * 1024 * 1024)
    return buffer.getvalue()


PERSONAL = "微信支付账单明细,,,,\n交易时间,交易类型,交易对方,商品,收/支,金额(元)\n".encode()

REFUSED = {
    "totals": ("totals", wechat_bill([PAID], totals="`2,`25.00,`0.00,`0.00,`0.15000,`25.00,`0.00")),
    "a total that is a fen off": (
        "totals",
        wechat_bill([PAID], totals="`1,`25.01,`0.00,`0.00,`0.15000,`25.01,`0.00"),
    ),
    "a row of another day": ("other_day", wechat_bill([PAID.but(at=NOON - timedelta(days=1))])),
    "another merchant's": ("other_account", wechat_bill([PAID], merchant_no="1900000002")),
    "another platform's": ("other_format", alipay_bill([PAID], day=DAY)),
    "a fund bill": ("other_format", wechat_fund()),
    "no bill at all": ("other_format", b"%PDF-1.7 nothing"),
    "nothing": ("other_format", b""),
    "half a gzip": ("truncated", wechat_gzip([PAID, BACK])[:-30]),
    "half a zip": ("truncated", _truncated_zip()),
    "no ending": ("truncated", wechat_bill([PAID]).split("总交易单数".encode())[0]),
    "a private wallet's": ("personal_bill", PERSONAL),
    "three decimals": ("bad_row", wechat_bill([PAID]).replace(b"`25.00,`0.00,`\r", b"`25.001,`0.00,`\r")),
    "a nul": ("bad_row", wechat_bill([PAID.but(order_no="P\x001")])),
    "a nul in a raw cell": ("bad_row", wechat_bill([PAID]).replace("龙井".encode(), b"\x00")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_and_nothing_is_stored(
    shop: Shop, account: PlatformAccount, name: str
) -> None:
    reason, content = REFUSED[name]
    with inside(shop):
        with pytest.raises(StatementRefused) as caught:
            take(account, content)
        assert (name, caught.value.reason) == (name, reason)
        assert caught.value.message
        assert stored() == (0, 0, 0, 0, 0)


def test_a_refused_file_leaves_the_day_as_it_was(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        first = take(account, wechat_bill([PAID]))
        before = stored()
        with pytest.raises(StatementRefused):
            take(account, wechat_gzip([PAID, BACK])[:-30])
        assert stored() == before
        assert Statement.objects.get(is_current=True).pk == first.pk


def test_the_place_in_the_file_is_named(shop: Shop, account: PlatformAccount) -> None:
    content = wechat_bill([PAID, BACK.but(order_no="P2")]).replace(b"`-0.06000", b"`cheap")
    with inside(shop), pytest.raises(StatementRefused) as caught:
        take(account, content)
    assert (caught.value.reason, caught.value.line, caught.value.column) == ("bad_row", 3, "手续费")
    assert "3" in caught.value.message
    assert "手续费" in caught.value.message


def test_files_that_are_too_large(shop: Shop, account: PlatformAccount, settings: Settings) -> None:
    with inside(shop):
        with pytest.raises(StatementRefused) as caught:
            take(account, _bomb())
        assert caught.value.reason == "line_too_long"
        settings.STATEMENT_MAX_BYTES = 100
        with pytest.raises(StatementRefused) as caught:
            take(account, wechat_bill([PAID]))
        assert caught.value.reason == "too_large"
        assert stored() == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("ahead", [0, 1, 400])
def test_today_is_not_complete(shop: Shop, account: PlatformAccount, ahead: int) -> None:
    day = date(2026, 11, 24) + timedelta(days=ahead)
    with inside(shop):
        with pytest.raises(StatementRefused) as caught:
            take(account, wechat_bill([]), day=day)
        assert caught.value.reason == "other_day"
        assert stored() == (0, 0, 0, 0, 0)


def test_unknown_columns_are_kept_and_named(shop: Shop) -> None:
    now = datetime(2026, 5, 2, 4, 0, tzinfo=UTC)
    bill = wechat_trade().decode("utf-8-sig").split("\r\n")
    bill[0] += ",新列"
    bill[1:4] = [f"{line},`neu" for line in bill[1:4]]
    with inside(shop):
        account = make_account(shop, merchant_no="1900000109")
        statement = take(account, "\r\n".join(bill).encode(), day=date(2026, 5, 1), now=now)
        assert statement.unknown_columns == ["新列"]
        assert {line.raw["新列"] for line in StatementLine.objects.all()} == {"neu"}


def test_the_file_is_handed_out_as_received_and_audited(
    shop: Shop, account: PlatformAccount
) -> None:
    with inside(shop):
        content = wechat_gzip([PAID])
        statement = take(account, content)
        read = services.read_file(statement_id=statement.pk, actor=ACTOR, now=NOW)[1]
        assert b"".join(read) == content
        event = AuditEvent.objects.get(action="statement.downloaded")
        assert (event.actor, event.subject_id) == ("fiona", statement.pk)
        Statement.objects.update(file=None)
        with pytest.raises(FileGone):
            services.read_file(statement_id=statement.pk, actor=ACTOR, now=NOW)
        assert AuditEvent.objects.filter(action="statement.downloaded").count() == 1


UNIONPAY = "777290058167151"
CONSOLE = (
    "交易时间,收钱吧订单号,商户订单号,支付渠道订单号,交易类型,支付方式,订单金额(元),实收金额(元),手续费(元),终端号,门店号,状态\n"
    "2026-11-23 12:00:00,7895236110164701,P1,42000001,收款,微信,25.00,24.85,0.15,100111220000000001,S0001,成功\n"
    "2026-11-23 13:00:00,7895236110164701,P1,42000001,退款,微信,-10.00,-9.94,-0.06,100111220000000001,S0001,成功\n"
).encode()
ZM = file(
    record(SAMPLE[0], at35="1123120000", at66="000000002500", at112=f"{'P1':32}", at166="D000000000015", at180="C000000002485", at374="C000000002485"),
    record(SAMPLE[2], at35="1123130000", at66="000000001000", at112=f"{'R1':32}", at166="C000000000006", at180="D000000000994", at374="D000000000994"),
)  # fmt: skip


def _zm_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"INN26112388ZM_{UNIONPAY}", ZM)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("platform", "merchant_no", "content"),
    [
        ("wechatpay", "1900000001", wechat_bill([PAID, BACK])),
        ("wechatpay", "1900000001", wechat_gzip([PAID, BACK])),
        ("alipay", "2088123456789012", alipay_bill([PAID, BACK], day=DAY)),
        ("unionpay", UNIONPAY, ZM),
        ("unionpay", UNIONPAY, _zm_zip()),
        ("unionpay", UNIONPAY, base64.b64encode(zlib.compress(_zm_zip()))),
        ("shouqianba", "1680001234567890", CONSOLE),
        ("shouqianba", "1680001234567890", CONSOLE.decode().encode("gb18030")),
    ],
)
def test_every_platforms_file_is_taken(
    shop: Shop, platform: str, merchant_no: str, content: bytes
) -> None:
    with inside(shop):
        account = make_account(shop, platform=platform, merchant_no=merchant_no)
        bill = take(account, content)
        assert (bill.payment_minor, bill.refund_minor, bill.fee_minor) == (2500, 1000, 9)
        assert list(bill.lines.order_by("row").values_list("kind", flat=True)) == [
            "payment",
            "refund",
        ]
        read = services.read_file(statement_id=bill.pk, actor=ACTOR, now=NOW)
        assert b"".join(read[1]) == content
        assert bill.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("platform", ["unionpay", "shouqianba"])
def test_a_kind_that_a_platform_does_not_have_is_said(shop: Shop, platform: str) -> None:
    with inside(shop):
        account = make_account(shop, platform=platform, merchant_no=UNIONPAY)
        with pytest.raises(StatementRefused) as caught:
            take(account, ZM, kind=StatementKind.FUND)
        assert caught.value.reason == "no_such_kind"
        assert stored() == (0, 0, 0, 0, 0)


def test_another_merchants_account_does_not_exist(shop: Shop, account: PlatformAccount) -> None:
    other = make_shop("bar")
    with inside(other):
        with pytest.raises(PlatformAccount.DoesNotExist):
            take(account, wechat_bill([PAID]))
        assert stored() == (0, 0, 0, 0, 0)


def test_gzip_bytes_are_repeatable() -> None:
    assert gzip.decompress(wechat_gzip([PAID])) == wechat_bill([PAID])
    assert wechat_gzip([PAID]) == wechat_gzip([PAID])
