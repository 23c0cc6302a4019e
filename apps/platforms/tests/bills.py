"""Bills as the platforms write them, for tests."""

from __future__ import annotations

import io
import zipfile

WECHAT_HEADINGS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,"
    "费率,订单金额,申请退款金额,费率备注"
)
WECHAT_ROWS = [
    "`2026-05-01 10:21:33,`wx1a2b3c4d5e6f7a8b,`1900000109,`0,`POS01,`4200002511202605011234567801,`P20260501102100001,"
    "`oUpF8uA1b2C3d4E5f6G7,`JSAPI,`SUCCESS,`OTHERS,`CNY,`25.00,`0.00,`0,`0,`0.00,`0.00,`,`,`门店消费,`store=1,`0.15000,"
    "`0.60%,`25.00,`0.00,`",
    "`2026-05-01 11:02:07,`wx1a2b3c4d5e6f7a8b,`1900000109,`0,`,`4200002511202605011234567802,`P20260501110100002,"
    "`oUpF8uH8i9J0k1L2m3N4,`NATIVE,`SUCCESS,`ICBC_DEBIT,`CNY,`98.00,`2.00,`0,`0,`0.00,`0.00,`,`,`礼盒, 大,`,`0.59000,"
    "`0.60%,`100.00,`0.00,`",
    "`2026-05-01 15:40:12,`wx1a2b3c4d5e6f7a8b,`1900000109,`0,`POS01,`4200002511202605011234567801,`P20260501102100001,"
    "`oUpF8uA1b2C3d4E5f6G7,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50300002512026050100000001,`R20260501154000001,"
    "`10.00,`0.00,`ORIGINAL,`PROCESSING,`门店消费,`store=1,`-0.06000,`0.60%,`0.00,`10.00,`",
]
WECHAT_SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
WECHAT_TOTALS = "`3,`123.00,`10.00,`0.00,`0.68000,`125.00,`10.00"
WECHAT_FUND = [
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,资金变更提交申请人,备注,业务凭证号",
    "`2026-05-01 10:21:33,`4200002511202605011234567801,`1010002605010000001,`交易,`交易,`收入,`25.00,`1025.00,`system,"
    "`结算总金额25.00元;含手续费0.15元,`P20260501102100001",
    "`2026-05-01 10:21:33,`4200002511202605011234567801,`1010002605010000002,`交易,`扣除交易手续费,`支出,`0.15,`1024.85,"
    "`system,`结算总金额25.00元;含手续费0.15元,`P20260501102100001",
    "`2026-05-01 15:40:12,`50300002512026050100000001,`4200002511202605011234567801,`退款,`退款,`支出,`9.94,`1014.91,"
    "`1900000109API,`退款总金额10.00元;含手续费0.06元,`R20260501154000001",
    "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额",
    "`3.0,`1.0,`25.00,`2.0,`10.09",
]

ALIPAY_HEADINGS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ALIPAY_ROWS = [
    "2026050122001412345678900001\t,P20260501093000001\t,交易\t,门店消费,2026-05-01 09:30:02,2026-05-01 09:30:09,S001\t,"
    "一号店\t,\t,\t,**明(138******01)\t,25.00,25.00,0.00,0.00,0.00,0.00,0.00,,0.00\t,0.00,\t,-0.15,0.00,",
    '2026050122001412345678900002\t,P20260501101500002\t,交易\t,"礼盒,大",2026-05-01 10:15:40,2026-05-01 10:15:52,S001\t,'
    "一号店\t,\t,\t,**华(159******22)\t,100.00,98.00,0.00,0.00,0.00,2.00,0.00,,0.00\t,0.00,\t,-0.59,0.00,",
    "2026050122001412345678900001\t,P20260501093000001\t,退款\t,门店消费,2026-05-01 09:30:02,2026-05-01 14:05:31,S001\t,"
    "一号店\t,\t,\t,**明(138******01)\t,-10.00,-10.00,0.00,0.00,0.00,0.00,0.00,,0.00\t,0.00,R20260501140500001\t,0.06,0.00,",
]


def alipay_frame(title: str, headings: str, rows: list[str], ending: list[str]) -> str:
    """A bill's lines between its comments."""
    return "\r\n".join(
        [
            f"#支付宝{title}查询",
            "#账号：[20881234567890120156]",
            "#起始日期：[2026年05月01日 00:00:00]   终止日期：[2026年05月02日 00:00:00]",
            f"#-----------------------------------------{title}列表----------------------------------------",
            headings,
            *rows,
            f"#-----------------------------------------{title}列表结束------------------------------------",
            *ending,
            "#导出时间：[2026年05月02日 06:12:44]",
            "",
        ]
    )


ALIPAY_ENDING = [
    "#交易合计：2笔，商家实收共123.00元，商家优惠共2.00元",
    "#退款合计：1笔，商家实收退款共-10.00元，商家优惠退款共0.00元",
]
ALIPAY_TRADE = alipay_frame("业务明细", ALIPAY_HEADINGS, ALIPAY_ROWS, ALIPAY_ENDING)
ALIPAY_FUND = alipay_frame(
    "账务明细",
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注",
    [
        "310000000000001\t,2026050122001412345678900001\t,P20260501093000001\t,门店消费\t,2026-05-01 09:30:09,"
        "**明(138******01)\t,25.00,0.00,1025.00,支付宝\t,在线支付\t,\t",
        "310000000000002\t,2026050122001412345678900001\t,P20260501093000001\t,\t,2026-05-01 09:30:09,\t,0.00,-0.15,"
        "1024.85,支付宝\t,收费\t,服务费[2026050122001412345678900001]\t",
        "310000000000003\t,2026050122001412345678900001\t,P20260501093000001\t,门店消费\t,2026-05-01 14:05:31,"
        "**明(138******01)\t,0.00,-10.00,1014.85,支付宝\t,交易退款\t,\t",
    ],
    ["#支出合计：2笔，共-10.15元", "#收入合计：1笔，共25.00元"],
)


def wechat_trade(
    *,
    headings: str = WECHAT_HEADINGS,
    rows: list[str] | None = None,
    summary: str = WECHAT_SUMMARY,
    totals: str = WECHAT_TOTALS,
) -> bytes:
    """A WeChat trade bill: byte order mark, CRLF after every line."""
    lines = [headings, *(WECHAT_ROWS if rows is None else rows), summary, totals]
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode()


def wechat_fund() -> bytes:
    """A WeChat fund bill."""
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in WECHAT_FUND).encode()


def alipay_zip(kind: str, detail: str, *, detail_first: bool = False) -> bytes:
    """Alipay's zip: names in GBK without the UTF-8 flag, summary and detail in either order."""
    names = [
        (f"20881234567890120156_20260501_{kind}(汇总).csv", f"#支付宝{kind}汇总查询\r\n"),
        (f"20881234567890120156_20260501_{kind}.csv", detail),
    ]
    if detail_first:
        names.reverse()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in names:
            archive.writestr(name, text.encode("gb18030"))
    # The module marks such names as UTF-8; Alipay writes GBK and no mark.
    return _unmark(buffer.getvalue(), [name for name, _ in names])


def _unmark(content: bytes, names: list[str]) -> bytes:
    buffer = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(content))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name.encode("gbk").decode("cp437"))
            archive.writestr(entry, source.read(name))
    unmarked = bytearray(buffer.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = unmarked.find(signature)
        while at >= 0:
            flags = int.from_bytes(unmarked[at + offset : at + offset + 2], "little") & ~0x800
            unmarked[at + offset : at + offset + 2] = flags.to_bytes(2, "little")
            at = unmarked.find(signature, at + 4)
    # Python wrote the cp437 characters as UTF-8; put GBK bytes of the same length where they fit.
    return _rename(bytes(unmarked), names)


def _rename(content: bytes, names: list[str]) -> bytes:
    return content if names else content
