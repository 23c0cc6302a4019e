"""WeChat Pay's bills, byte for byte."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from apps.simulator import books, clock, faults
from apps.simulator.models import BillFile, Merchant, Refund, RefundState
from apps.simulator.tests.test_wechat_api import refused
from apps.simulator.tests.wechat_client import WechatClient
from apps.simulator.wechatpay import bill_files

DAY = date(2026, 5, 1)


def beijing(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-01T{text}+08:00").astimezone(UTC)


@pytest.fixture
def busy_day(wechat_merchant: Merchant) -> Merchant:
    """Two payments and a partial refund of the first, on DAY."""
    books.add_history(
        merchant=wechat_merchant,
        payments=[
            books.PastPayment(
                out_trade_no="P20260501102100001",
                trade_no="4200002511202605011234567801",
                product="jsapi",
                amount_fen=2500,
                paid_at=beijing("10:21:33"),
                payer_id="oUpF8uA1b2C3d4E5f6G7",
                description="门店,消费\n两行",
            ),
            books.PastPayment(
                out_trade_no="P20260501110100002",
                trade_no="4200002511202605011234567802",
                product="h5",
                amount_fen=10000,
                paid_at=beijing("11:02:07"),
                payer_id="oUpF8uH8i9J0k1L2m3N4",
                description="礼盒",
            ),
        ],
        refunds=[
            books.PastRefund(
                out_trade_no="P20260501102100001",
                out_refund_no="R20260501154000001",
                refund_no="50300002512026050100000001",
                amount_fen=1000,
                accepted_at=beijing("15:40:12"),
                finished_at=beijing("15:40:15"),
            )
        ],
    )
    return wechat_merchant


def at_beijing(text: str) -> None:
    """Set the simulated clock to a Beijing time."""
    wanted = datetime.fromisoformat(f"{text}+08:00")
    clock.set_clock(offset_seconds=(wanted - clock.real_now()).total_seconds())


def rows_of(content: bytes | None) -> list[dict[str, str]]:
    """The data rows by heading; the summary pair is left out."""
    assert content is not None
    lines = content.decode("utf-8-sig").split("\r\n")[:-1]
    names = lines[0].split(",")
    found = []
    for line in lines[1:-2]:
        cells = line.split(",`")
        assert cells[0].startswith("`")
        found.append(dict(zip(names, [cells[0][1:], *cells[1:]], strict=True)))
    return found


def test_the_bytes_of_the_complete_bill(busy_day: Merchant) -> None:
    app, no = busy_day.app_id, busy_day.merchant_no
    expected = (
        "\ufeff"
        "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,"
        "货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,"
        "商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"
        f"`2026-05-01 10:21:33,`{app},`{no},`0,`,`4200002511202605011234567801,`P20260501102100001,"
        "`oUpF8uA1b2C3d4E5f6G7,`JSAPI,`SUCCESS,`OTHERS,`CNY,`25.00,`0.00,`0,`0,`0.00,`0.00,`,`,"
        "`门店\\ 消费\\n两行,`,`0.15000,`0.60%,`25.00,`0.00,`\r\n"
        f"`2026-05-01 11:02:07,`{app},`{no},`0,`,`4200002511202605011234567802,`P20260501110100002,"
        "`oUpF8uH8i9J0k1L2m3N4,`MWEB,`SUCCESS,`OTHERS,`CNY,`100.00,`0.00,`0,`0,`0.00,`0.00,`,`,"
        "`礼盒,`,`0.60000,`0.60%,`100.00,`0.00,`\r\n"
        f"`2026-05-01 15:40:12,`{app},`{no},`0,`,`4200002511202605011234567801,`P20260501102100001,"
        "`oUpF8uA1b2C3d4E5f6G7,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50300002512026050100000001,"
        "`R20260501154000001,`10.00,`0.00,`ORIGINAL,`SUCCESS,"
        "`门店\\ 消费\\n两行,`,`-0.06000,`0.60%,`0.00,`10.00,`\r\n"
        "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n"
        "`3,`125.00,`10.00,`0.00,`0.69000,`125.00,`10.00\r\n"
    )
    assert bill_files.trade_bill(busy_day, DAY, "ALL") == expected.encode()


def test_the_bytes_of_the_fund_bill(busy_day: Merchant) -> None:
    content = bill_files.fund_bill(busy_day, DAY, "BASIC")
    assert content is not None
    assert content.startswith("\ufeff记账时间,微信支付业务单号,".encode())
    moves = [
        (row["业务类型"], row["收支类型"], row["收支金额(元)"], row["账户结余(元)"])
        for row in rows_of(content)
    ]
    assert moves == [
        ("交易", "收入", "25.00", "1025.00"),
        ("扣除交易手续费", "支出", "0.15", "1024.85"),
        ("交易", "收入", "100.00", "1124.85"),
        ("扣除交易手续费", "支出", "0.60", "1124.25"),
        ("退款", "支出", "9.94", "1114.31"),
    ]
    last = content.decode().split("\r\n")[-3:]
    assert last == [
        "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额",
        "`5,`2,`125.00,`3,`10.69",
        "",
    ]
    refund = rows_of(content)[-1]
    assert refund["资金变更提交申请人"] == f"{busy_day.merchant_no}API"
    assert refund["备注"] == "退款总金额10.00元;含手续费0.06元"
    assert refund["业务凭证号"] == "R20260501154000001"
    # The balance goes on from the day before.
    books.add_history(
        merchant=busy_day,
        payments=[
            books.PastPayment(
                out_trade_no="P2",
                trade_no="T2",
                product="jsapi",
                amount_fen=100,
                paid_at=beijing("10:00:00") + timedelta(days=1),
            )
        ],
        refunds=[],
    )
    after = rows_of(bill_files.fund_bill(busy_day, DAY + timedelta(days=1), "BASIC"))
    assert after[0]["账户结余(元)"] == "1115.31"


def test_the_columns_of_each_type(busy_day: Merchant) -> None:
    success = rows_of(bill_files.trade_bill(busy_day, DAY, "SUCCESS"))
    assert len(success) == 2
    assert "微信退款单号" not in success[0]
    refund = rows_of(bill_files.trade_bill(busy_day, DAY, "REFUND"))
    assert len(refund) == 1
    names = list(refund[0])
    assert names[names.index("微信退款单号") - 2 :][:2] == ["退款申请时间", "退款成功时间"]
    assert refund[0]["退款成功时间"] == "2026-05-01 15:40:15"


def test_a_refunds_state_is_that_of_the_bills_making(busy_day: Merchant) -> None:
    Refund.objects.update(finished_at=beijing("10:00:00") + timedelta(days=2))
    assert rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))[2]["退款状态"] == "PROCESSING"
    Refund.objects.update(finished_at=beijing("20:00:00"), state=RefundState.ABNORMAL)
    assert rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))[2]["退款状态"] == "CHANGE"


class TestAsking:
    @staticmethod
    def ask(client: WechatClient, **query: str) -> Any:
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return client.get(f"/v3/bill/tradebill?{pairs}")

    def test_plain_and_gzip_have_the_hash_of_the_plain_bytes(
        self, busy_day: Merchant, wechat: WechatClient
    ) -> None:
        at_beijing("2026-05-02T10:00:01")
        plain = bill_files.trade_bill(busy_day, DAY, "ALL")
        assert plain is not None
        for tar_type in ("", "GZIP"):
            response = self.ask(wechat, bill_date="2026-05-01", tar_type=tar_type)
            wechat.verify(response.headers, response.content)
            body = response.json()
            assert body["hash_type"] == "SHA1"
            assert body["hash_value"] == hashlib.sha1(plain).hexdigest()  # noqa: S324
            file = wechat.download(body["download_url"])
            assert not [name for name in file.headers if name.lower().startswith("wechatpay-")]
            got = gzip.decompress(file.content) if tar_type else file.content
            assert got == plain

    def test_the_address_lives_five_minutes_and_is_the_merchants_own(
        self, busy_day: Merchant, wechat: WechatClient
    ) -> None:
        at_beijing("2026-05-02T10:00:01")
        url = self.ask(wechat, bill_date="2026-05-01").json()["download_url"]
        other = Merchant.objects.create(
            platform="wechatpay",
            merchant_no="1600000099",
            app_id="wx99",
            name="x",
            config=busy_day.config,
            created_at=clock.now(),
        )
        refused(WechatClient(other).download(url), 403, "NO_AUTH")
        clock.set_clock(advance_seconds=299)
        assert wechat.download(url).status_code == 200
        clock.set_clock(advance_seconds=2)
        refused(wechat.download(url), 400, "INVALID_REQUEST")

    def test_when_a_bill_is_ready(self, busy_day: Merchant, wechat: WechatClient) -> None:
        at_beijing("2026-05-01T23:59:00")
        refused(self.ask(wechat, bill_date="2026-05-01"), 400, "INVALID_REQUEST")
        refused(self.ask(wechat, bill_date="2026-05-02"), 400, "INVALID_REQUEST")
        at_beijing("2026-05-02T09:59:00")
        refused(self.ask(wechat, bill_date="2026-05-01"), 400, "STATEMENT_CREATING")
        at_beijing("2026-05-02T10:00:01")
        assert self.ask(wechat, bill_date="2026-05-01").status_code == 200
        refused(self.ask(wechat, bill_date="2026-04-30"), 400, "NO_STATEMENT_EXIST")
        at_beijing("2026-09-01T12:00:00")
        refused(self.ask(wechat, bill_date="2026-05-01"), 400, "INVALID_REQUEST")
        assert BillFile.objects.count() == 1

    @pytest.mark.parametrize(
        "query",
        [
            {"bill_type": "ALL"},
            {"bill_date": "20260501"},
            {"bill_date": "2026-13-01"},
            {"bill_date": "2026-05-01", "bill_type": "X"},
            {"bill_date": "2026-05-01", "tar_type": "ZIP"},
        ],
    )
    def test_bad_parameters(
        self, busy_day: Merchant, wechat: WechatClient, query: dict[str, str]
    ) -> None:
        at_beijing("2026-05-02T12:00:00")
        refused(self.ask(wechat, **query), 400, "PARAM_ERROR")

    def test_fund_bill_over_the_wire(self, busy_day: Merchant, wechat: WechatClient) -> None:
        at_beijing("2026-05-02T12:00:00")
        body = wechat.get("/v3/bill/fundflowbill?bill_date=2026-05-01").json()
        assert wechat.download(body["download_url"]).content == bill_files.fund_bill(
            busy_day, DAY, "BASIC"
        )
        path = "/v3/bill/fundflowbill?bill_date=2026-05-01&account_type=FEES"
        refused(wechat.get(path), 400, "NO_STATEMENT_EXIST")

    def test_bill_late(self, busy_day: Merchant, wechat: WechatClient) -> None:
        at_beijing("2026-05-02T12:00:00")
        faults.add_fault(key="bill_late", platform="wechatpay", uses=1)
        refused(self.ask(wechat, bill_date="2026-05-01"), 400, "STATEMENT_CREATING")
        assert self.ask(wechat, bill_date="2026-05-01").status_code == 200


class TestSpoiltBills:
    def test_off_by_a_fen(self, busy_day: Merchant) -> None:
        faults.add_fault(key="bill_off_by_fen", uses=1)
        content = bill_files.trade_bill(busy_day, DAY, "ALL")
        assert [row["订单金额"] for row in rows_of(content)] == ["25.01", "100.00", "0.00"]
        assert content is not None
        assert content.decode().split("\r\n")[-2].split(",`")[1] == "125.01"
        whole = rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))
        assert whole[0]["订单金额"] == "25.00"

    def test_missing_row(self, busy_day: Merchant) -> None:
        faults.add_fault(key="bill_missing_row", uses=1)
        rows = rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))
        assert [row["商户订单号"] for row in rows] == ["P20260501110100002", "P20260501102100001"]

    def test_extra_row(self, busy_day: Merchant) -> None:
        faults.add_fault(key="bill_extra_row", uses=1)
        rows = rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))
        assert len(rows) == 4
        assert rows[3]["商户订单号"].startswith("EXTRA")
        assert rows[3]["订单金额"] == "8.88"

    def test_changed_columns(self, busy_day: Merchant) -> None:
        plain = rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))
        faults.add_fault(key="bill_changed_columns", uses=1)
        changed = rows_of(bill_files.trade_bill(busy_day, DAY, "ALL"))
        assert list(changed[0]) != list(plain[0])
        assert "门店编号" in changed[0]
        for before, after in zip(plain, changed, strict=True):
            assert {name: after[name] for name in before} == before


def test_amounts_are_exact() -> None:
    cases = {0: "0.00", 5: "0.05", -6: "-0.06", 123456: "1234.56"}
    assert {fen: bill_files.yuan(fen) for fen in cases} == cases
    assert bill_files.yuan(-6, 5) == "-0.06000"
