"""Damaged and hostile files as they come, each with what must be said of it: why, in which line and in which column.

Every file is made here from a good one, so that one thing is wrong with it.
"""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

from apps.platforms.tests import bills, unionpay_bills
from apps.statements.tests.bills import Row, alipay_bill, wechat_bill, wechat_gzip

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
MERCHANTS = {
    "wechatpay": "1900000001",
    "alipay": "2088123456789012",
    "unionpay": unionpay_bills.MERCHANT_NO,
    "shouqianba": "1680001234567890",
}
PAID = Row(order_no="P1", trade_no="4200001", minor=2500, fee=15, at=NOON)
MORE = Row(order_no="P2", trade_no="4200002", minor=99_900, fee=599, at=NOON + timedelta(minutes=5))
BACK = Row(
    kind="refund", order_no="P1", trade_no="4200001", minor=1000, fee=-6, at=NOON + timedelta(hours=1),
    refund_no="R1", platform_refund_no="50300001",
)  # fmt: skip
ROWS = [PAID, MORE, BACK]


@dataclass(frozen=True)
class Hostile:
    """A file, for whom it is handed in, and what must be said."""

    make: Callable[[], bytes]
    reason: str
    line: int | None = None
    column: str | None = None
    platform: str = "wechatpay"
    kind: str = "trade"


def _wechat() -> bytes:
    return wechat_bill(ROWS)


def _lines() -> list[str]:
    return _wechat().decode("utf-8-sig").split("\r\n")


def _from(lines: list[str]) -> bytes:
    return b"\xef\xbb\xbf" + "\r\n".join(lines).encode()


def _row(number: int, old: str, new: str) -> bytes:
    """The bill with something else in one line."""
    lines = _lines()
    assert old in lines[number - 1], lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    return _from(lines)


def _excel(old: str = "", new: str = "", number: int = 2) -> bytes:
    """The bill after a spreadsheet has saved it: no backticks."""
    lines = [line.replace("`", "") for line in _lines()]
    if old:
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new, 1)
    return _from(lines)


def _zip(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def _locked_zip() -> bytes:
    raw = bytearray(_zip(("bill.csv", _wechat())))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def _boastful_zip() -> bytes:
    """A zip bomb by what its directory says: two members of 4 GB each."""
    raw = _zip(("a.csv", _wechat()), ("b.csv", b"x"))
    place = -1
    made = bytearray(raw)
    while (place := raw.find(b"PK\x01\x02", place + 1)) >= 0:
        struct.pack_into("<I", made, place + 24, 0xFFFFFFF0)
    return bytes(made)


def _packed_bomb() -> bytes:
    """A zip whose one member is 32 MB of spaces, declared as little."""
    raw = bytearray(_zip(("a.csv", b" " * (32 << 20))))
    struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, 1000)
    return bytes(raw)


@cache
def gigabytes(piece: bytes) -> bytes:
    """2 GB of something in a gzip of about 2 MB."""
    block = gzip.compress(piece * ((64 << 20) // len(piece)), compresslevel=9, mtime=0)
    return block * 32


def _alipay(old: str = "", new: str = "") -> bytes:
    text = _alipay_text()
    assert old in text
    return text.replace(old, new, 1).encode("gb18030")


def _alipay_text() -> str:
    with zipfile.ZipFile(io.BytesIO(alipay_bill(ROWS, day=DAY))) as archive:
        [detail] = [one for one in archive.infolist() if one.file_size > 300]
        return archive.read(detail).decode("gb18030")


def _fund(old: str = "", new: str = "") -> bytes:
    text = bills.wechat_fund().decode("utf-8-sig").replace("2026-05-01", "2026-11-23")
    text = text.replace("1900000109API", "1900000001API")
    assert old in text
    return text.replace(old, new, 1).encode()


def _alipay_fund(old: str = "", new: str = "") -> bytes:
    text = bills.ALIPAY_FUND.replace("2026-05-01", "2026-11-23")
    text = text.replace("2026年05月01日", "2026年11月23日").replace(
        "2026年05月02日", "2026年11月24日"
    )
    assert old in text
    return text.replace(old, new, 1).encode("gb18030")


def _zm(**changes: str) -> bytes:
    first = unionpay_bills.record(unionpay_bills.SAMPLE[0], at35="1123120000")
    second = unionpay_bills.record(unionpay_bills.SAMPLE[1], **{"at35": "1123120500", **changes})
    return unionpay_bills.file(first, second)


HEADINGS = "交易时间,收钱吧订单号,商户订单号,交易类型,支付方式,订单金额(元),手续费(元),状态"
TABLE = [
    "2026-11-23 12:00:00,7895236110164701,P1,收款,微信,25.00,0.15,成功",
    "2026-11-23 13:00:00,7895236110164702,P2,收款,微信,5.00,0.03,成功",
]


def _table(old: str = "", new: str = "", *, headings: str = HEADINGS) -> bytes:
    second = TABLE[1]
    assert old in second
    return "\n".join([headings, TABLE[0], second.replace(old, new, 1), ""]).encode()


PERSONAL = [
    "微信支付账单明细,,,,,,,,",
    *([",,,,,,,,"] * 15),
    "交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注",
    "2026-11-23 12:00:00,商户消费,茶馆,茶,支出,¥25.00,零钱,支付成功,42,P1,/",
]

HOSTILE: dict[str, Hostile] = {
    # packing
    "a gzip cut off": Hostile(lambda: wechat_gzip(ROWS)[:-30], "truncated"),
    "a gzip with flipped bytes": Hostile(lambda: wechat_gzip(ROWS)[:60] + b"\xff" * 40 + wechat_gzip(ROWS)[100:], "truncated"),
    "a zip cut off": Hostile(lambda: _zip(("bill.csv", _wechat()))[:-30], "truncated"),
    "a zip bomb by its directory": Hostile(_boastful_zip, "too_large"),
    "a zip bomb that hides it": Hostile(_packed_bomb, "truncated"),
    "a zip that climbs": Hostile(lambda: _zip(("../../etc/cron.d/bill.csv", _wechat())), "zip_path"),
    "a zip with a root": Hostile(lambda: _zip(("/var/bill.csv", _wechat())), "zip_path"),
    "a zip with a drive": Hostile(lambda: _zip(("C:\\bill.csv", _wechat())), "zip_path"),
    "a zip with a password": Hostile(_locked_zip, "other_format"),
    "a zip with two bills": Hostile(lambda: _zip(("a.csv", _wechat()), ("b.csv", _wechat())), "other_format"),
    "a zip of many files": Hostile(lambda: _zip(*[(f"{n}.csv", b"x") for n in range(60)]), "too_large"),
    "a workbook": Hostile(lambda: _zip(("xl/workbook.xml", b"<x/>"), ("[Content_Types].xml", b"<x/>")), "other_format"),
    "an old workbook": Hostile(lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "other_format"),
    "2 GB of spaces": Hostile(lambda: gigabytes(b" "), "line_too_long", 1),
    "2 GB of spaces in lines": Hostile(lambda: gigabytes(b" " * 1023 + b"\n"), "other_format", 1001),
    "2 GB of commas": Hostile(lambda: gigabytes(b","), "line_too_long", 1),
    "2 GB of rows of commas": Hostile(lambda: gigabytes(b"," * 26 + b"\r\n"), "other_format", 1001),
    "2 GB of NULs": Hostile(lambda: gigabytes(b"\0"), "other_format"),
    "2 GB of spaces behind the headings": Hostile(
        lambda: gzip.compress(_wechat().split(b"\r\n")[0] + b"\r\n") + gigabytes(b" "), "line_too_long", 2
    ),
    # something else
    "nothing": Hostile(lambda: b"", "other_format"),
    "a PDF": Hostile(lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "other_format"),
    "a picture": Hostile(lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "other_format"),
    "the log-in page": Hostile(lambda: "<!doctype html><html><body>请登录</body></html>".encode(), "other_format"),
    "an error in JSON": Hostile(lambda: b'{"code":"NO_AUTH","message":"x"}', "other_format"),
    "UTF-16": Hostile(lambda: _wechat().decode("utf-8-sig").encode("utf-16"), "other_format"),
    "another platform's": Hostile(lambda: alipay_bill(ROWS, day=DAY), "other_format"),
    "another platform's the other way": Hostile(_wechat, "other_format", 1, "支付宝交易号", platform="alipay"),
    "a fund bill as trade bill": Hostile(_fund, "other_format", 1),
    "a trade bill as fund bill": Hostile(_wechat, "other_format", 1, kind="fund"),
    "a private wallet's": Hostile(lambda: "\r\n".join(PERSONAL).encode("utf-8-sig"), "personal_bill"),
    "a private Alipay's": Hostile(lambda: "支付宝交易记录明细查询\r\n账号:[x@example.com]\r\n".encode("gb18030"), "personal_bill", platform="alipay"),
    # another's, another day's
    "another day's": Hostile(lambda: wechat_bill([PAID.but(at=NOON - timedelta(days=1))]), "other_day", 2, "交易时间"),
    "one row of another day": Hostile(lambda: wechat_bill([PAID, MORE.but(at=NOON + timedelta(days=1))]), "other_day", 3, "交易时间"),
    "another merchant's": Hostile(lambda: wechat_bill(ROWS, merchant_no="1900000002"), "other_account", 2, "商户号"),
    "one row of another merchant": Hostile(lambda: _row(3, "`1900000001,", "`1900000002,"), "other_account", 3, "商户号"),
    # through hands and spreadsheets
    "an order number as 4.2E+27": Hostile(lambda: _excel(",P1,", ",4.2E+27,"), "rewritten", 2, "商户订单号"),
    "a platform number as 4.2E+27": Hostile(lambda: _excel(",4200001,", ",4.2E+27,"), "rewritten", 2, "微信订单号"),
    "a refund number as 5.03E+27": Hostile(lambda: _excel(",50300001,", ",5.03E+27,", 4), "rewritten", 4, "微信退款单号"),
    "a formula for a number": Hostile(lambda: _row(2, "`P1,", '`=HYPERLINK("http://x.test"),'), "bad_row", 2, "商户订单号"),
    "a number without end": Hostile(lambda: _row(2, "`P1,", f"`{'9' * 65},"), "bad_row", 2, "商户订单号"),
    "mixed encodings": Hostile(lambda: _wechat().replace("龙井一杯".encode(), "龙井一杯".encode("gb18030"), 1), "encoding", 2),
    "mixed encodings further down": Hostile(
        lambda: wechat_bill([PAID.but(order_no=f"P{n}") for n in range(2000)] + [MORE]).replace(
            b"`P2,`oPayer", "`P2,`oPayer龙".encode("gb18030")
        ),
        "encoding",
        4,
    ),
    "a quote never closed": Hostile(lambda: _excel("龙井一杯", '"龙井一杯'), "bad_row", 2),
    "the headings once more": Hostile(lambda: _from([*_lines()[:2], *_lines()]), "headings_twice", 3),
    "no headings": Hostile(lambda: _from(_lines()[1:]), "other_format"),
    "a column less": Hostile(lambda: _row(1, ",手续费,", ",费用,"), "other_format", 1, "手续费"),
    "a column twice": Hostile(lambda: _row(1, "商品名称", "商户订单号"), "column_twice", 1, "商户订单号"),
    "a cell less": Hostile(lambda: _row(3, "`0.00,`", "`"), "bad_row", 3),
    "three hundred columns": Hostile(lambda: _row(1, "费率备注", ",".join(f"c{n}" for n in range(300))), "other_format", 1),
    "a row without end": Hostile(lambda: _row(2, "龙井一杯", "茶" * 20_000), "line_too_long", 2),
    "a NUL in a number": Hostile(lambda: _row(2, "`P1,", "`P\x001,"), "bad_row", 2, "商户订单号"),
    "a NUL in a name": Hostile(lambda: _row(3, "龙井一杯", "龙\x00井"), "bad_row", 3, "商品名称"),
    "thousands separated": Hostile(lambda: _excel("999.00", "1,999.00", 3), "bad_row", 3),
    "a payment below zero": Hostile(lambda: _last_amount("-25.00"), "bad_row", 2, "订单金额"),
    "an amount of five decimals": Hostile(lambda: _last_amount("25.00001"), "bad_row", 2, "订单金额"),
    "an amount that is none": Hostile(lambda: _last_amount("NaN"), "bad_row", 2, "订单金额"),
    "an amount beyond all": Hostile(lambda: _last_amount("1E+99"), "bad_row", 2, "订单金额"),
    "an amount in another script": Hostile(lambda: _last_amount("٢٥.٠٠"), "bad_row", 2, "订单金额"),
    "a fee that is none": Hostile(lambda: _row(2, "`0.15000", "`free"), "bad_row", 2, "手续费"),
    "30 February": Hostile(lambda: _row(2, "2026-11-23", "2026-02-30"), "bad_row", 2, "交易时间"),
    "a state nobody knows": Hostile(lambda: _row(2, "`SUCCESS", "`PAID"), "bad_row", 2, "交易状态"),
    # endings
    "no summary": Hostile(lambda: _from(_lines()[:4]), "truncated"),
    "no figures under the summary": Hostile(lambda: _from(_lines()[:5]), "truncated"),
    "cut off within a row": Hostile(lambda: _from(_lines()[:3])[:-40], "truncated", 3),
    "rows under the summary": Hostile(lambda: _from([*_lines()[:6], _lines()[1]]), "bad_row", 7),
    "a total a fen off": Hostile(lambda: _wechat().replace(b"`1024.00,`10.00\r", b"`1024.01,`10.00\r"), "totals"),
    "a count one off": Hostile(lambda: _row(6, "`3,", "`4,"), "totals", 6, "总交易单数"),
    "a row taken out": Hostile(lambda: _from([*_lines()[:2], *_lines()[3:]]), "totals", 5, "总交易单数"),
    "a row put in twice": Hostile(lambda: _from([*_lines()[:2], *_lines()[1:]]), "totals", 7, "总交易单数"),
    # fund bills
    "a movement's number twice": Hostile(lambda: _fund("1010002605010000002", "1010002605010000001"), "number_twice", 3, "资金流水单号", kind="fund"),
    "a movement of neither side": Hostile(lambda: _fund("`收入", "`转入"), "bad_row", 2, "收支类型", kind="fund"),
    "a movement below zero": Hostile(lambda: _fund("`25.00,`1025.00", "`-25.00,`1025.00"), "bad_row", 2, "收支金额(元)", kind="fund"),
    "another's fund bill": Hostile(lambda: _fund("1900000001API", "1900000009API"), "other_account", 4, "资金变更提交申请人", kind="fund"),
    "fund totals a fen off": Hostile(lambda: _fund("`10.09", "`10.10"), "totals", kind="fund"),
    "Alipay: a movement's number twice": Hostile(lambda: _alipay_fund("310000000000002", "310000000000001"), "number_twice", 7, "账务流水号", "alipay", "fund"),
    "Alipay: income and expense at once": Hostile(lambda: _alipay_fund("25.00,0.00,", "25.00,1.00,"), "bad_row", 6, "收入金额(+元)", "alipay", "fund"),
    # Alipay
    "Alipay: another account": Hostile(lambda: _alipay("2088123456789012", "2088999999999999"), "other_account", 2, None, "alipay"),
    "Alipay: another period": Hostile(lambda: _alipay("起始日期：[2026年11月23日", "起始日期：[2026年11月22日"), "other_day", 3, None, "alipay"),
    "Alipay: the summary": Hostile(lambda: _alipay("业务明细查询", "业务明细汇总查询"), "other_format", 1, None, "alipay"),
    "Alipay: no closing lines": Hostile(lambda: _alipay_text().split("#---", 2)[0].encode("gb18030") + "\r\n".join(_alipay_text().split("\r\n")[3:7]).encode("gb18030"), "truncated", None, None, "alipay"),
    "Alipay: totals": Hostile(lambda: _alipay("#交易合计：2笔", "#交易合计：3笔"), "totals", None, None, "alipay"),
    "Alipay: a payment below zero": Hostile(lambda: _alipay(",25.00,25.00,", ",-25.00,25.00,"), "bad_row", 6, "订单金额(元)", "alipay"),
    "Alipay: five decimals": Hostile(lambda: _alipay(",25.00,25.00,", ",25.00001,25.00,"), "bad_row", 6, "订单金额(元)", "alipay"),
    "Alipay: a quote never closed": Hostile(lambda: _alipay("龙井一杯", '"龙井一杯'), "bad_row", 6, None, "alipay"),
    "Alipay: saved by a spreadsheet": Hostile(lambda: _alipay("4200001\t,P1\t", "4.2E+27,P1"), "rewritten", 6, "支付宝交易号", "alipay"),
    # UnionPay
    "UnionPay: another merchant's": Hostile(lambda: _zm(at293="777290058110048"), "other_account", 2, "商户代码", "unionpay"),
    "UnionPay: another day's": Hostile(lambda: unionpay_bills.file(unionpay_bills.record(unionpay_bills.SAMPLE[0], at35="1120120000")), "other_day", 1, None, "unionpay"),
    "UnionPay: letters in an amount": Hostile(lambda: _zm(at66="00000000255x"), "bad_row", 2, "交易金额", "unionpay"),
    "UnionPay: below zero": Hostile(lambda: _zm(at66="-00000002550"), "bad_row", 2, "交易金额", "unionpay"),
    "UnionPay: cut off": Hostile(lambda: _zm()[:-300], "truncated", 2, None, "unionpay"),
    "UnionPay: columns that moved": Hostile(lambda: _zm()[:650] + b"x" + _zm()[650:], "bad_row", 2, None, "unionpay"),
    "UnionPay: broken base64": Hostile(lambda: base64.b64encode(zlib.compress(_zm()))[:-9], "truncated", None, None, "unionpay"),
    "UnionPay: a bomb in base64": Hostile(lambda: base64.b64encode(zlib.compress(b" " * (80 << 20))), "too_large", None, None, "unionpay"),
    # console exports
    "console: a quote never closed": Hostile(lambda: _table("P2", '"P2'), "truncated", 3, None, "shouqianba"),
    "console: rewritten": Hostile(lambda: _table("7895236110164702", "7.89E+15"), "rewritten", 3, "收钱吧订单号", "shouqianba"),
    "console: headings twice": Hostile(lambda: _table(TABLE[1], HEADINGS), "headings_twice", 3, None, "shouqianba"),
    "console: below zero": Hostile(lambda: _table("5.00,", "-5.00,"), "bad_row", 3, "订单金额(元)", "shouqianba"),
    "console: five decimals": Hostile(lambda: _table("5.00,", "5.00001,"), "bad_row", 3, "订单金额(元)", "shouqianba"),
    "console: a formula": Hostile(lambda: _table("P2", "=1+1"), "bad_row", 3, "商户订单号", "shouqianba"),
    "console: an unknown word": Hostile(lambda: _table("收款", "冻结"), "unknown_word", 3, "交易类型", "shouqianba"),
    "console: another day": Hostile(lambda: _table("2026-11-23", "2026-11-22"), "other_day", 3, "交易时间", "shouqianba"),
    "console: a NUL": Hostile(lambda: _table("微信", "微\x00信"), "bad_row", 3, "支付方式", "shouqianba"),
    "UnionPay: 2 GB of empty lines": Hostile(lambda: gigabytes(b"\r\n"), "other_format", 1001, None, "unionpay"),
    "Alipay: 2 GB of remarks": Hostile(lambda: gzip.compress(_alipay()) + gigabytes(b"#\r\n"), "other_format", 1009, None, "alipay"),
    "console: 2 GB of totals": Hostile(lambda: gzip.compress(_table()) + gigabytes("合计,,\r\n".encode()), "other_format", 1004, None, "shouqianba"),
    "console: 2 GB of spaces": Hostile(lambda: gigabytes(b" "), "line_too_long", 1, None, "shouqianba"),
}  # fmt: skip


def _last_amount(text: str) -> bytes:
    """The bill with another 订单金额 in its first row."""
    lines = _lines()
    cells = lines[1].split(",`")
    cells[-3] = text
    lines[1] = ",`".join(cells)
    return _from(lines)
