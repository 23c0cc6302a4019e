"""How UnionPay writes and reads messages: form in, raw text out, codes and field formats (dossier 1.2, 1.3, 1.6).

A synchronous answer is ``k=v&k=v`` with nothing URL-encoded; notices and the browser's return are ordinary forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote_plus, unquote_to_bytes

#: What the code says; the seven digits behind it vary on the real platform.
MESSAGES = {
    "00": "成功[0000000]",
    "01": "交易失败。详情请咨询95516[1000001]",
    "03": "交易通讯超时，请发起查询交易[8090003]",
    "04": "交易状态未明，请查询对账结果[8090001]",
    "05": "交易已受理，请稍后查询交易结果[6154037]",
    "10": "报文格式错误[6100030]",
    "11": "Signature verification failed[9100004]",
    "12": "重复交易[2010002]",
    "13": "报文交易要素缺失[6100031]",
    "31": "商户状态不正确[2000031]",
    "32": "无此交易权限[2000032]",
    "33": "交易金额超限[2000033]",
    "34": "查无此交易[2600000]",
    "35": "原交易不存在或状态不正确[2040004]",
    "36": "与原交易信息不符[2050004]",
    "37": "已超过最大查询次数或操作过于频繁[2000037]",
    "60": "交易失败，详情请咨询您的发卡行[2000060]",
    "61": "输入的卡号无效，请确认后输入[2000061]",
    "64": "卡上的余额不足[2000064]",
    "66": "持卡人身份信息、手机号或CVN2输入不正确，验证失败[2000066]",
    "69": "交易超时[2000069]",
    "98": "文件不存在[2060098]",
    "99": "通用错误[2060099]",
    "A6": "有缺陷的成功[0000006]",
}

ENCODINGS = {"utf-8": "UTF-8", "gbk": "GBK", "gb18030": "GBK"}
ORDER_ID = re.compile(r"[0-9A-Za-z]{8,40}")
AMOUNT = re.compile(r"[1-9][0-9]{0,11}")
ADDRESS = re.compile(r"https?://[^\s]+")


class Refusal(Exception):
    """The gateway refuses: answered with this code. ``text`` replaces the code's usual words."""

    def __init__(self, code: str, text: str = "", **more: str) -> None:
        super().__init__(code)
        self.fields = {"respCode": code, "respMsg": text or MESSAGES[code], **more}


def read_form(body: bytes) -> dict[str, str]:
    """Decode a posted form in the message's own ``encoding``. Raises Refusal 10.

    A field sent twice makes the message unreadable, as does text that is not of the encoding it names.
    """
    raw: dict[bytes, bytes] = {}
    pairs = [pair for pair in body.split(b"&") if pair]
    if len(pairs) > 100:
        raise Refusal("10")
    for pair in pairs:
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        key = unquote_to_bytes(name)
        if key in raw:
            raise Refusal("10")
        raw[key] = unquote_to_bytes(value)
    named = raw.get(b"encoding", b"UTF-8").decode("latin-1")
    charset = ENCODINGS.get(named.lower())
    if charset is None:
        raise Refusal("10", "报文格式错误[6100030]：encoding")
    try:
        return {key.decode("ascii"): value.decode(charset) for key, value in raw.items()}
    except UnicodeDecodeError:
        raise Refusal("10") from None


def write_raw(fields: Mapping[str, str]) -> bytes:
    """A synchronous answer: sorted, the certificate and the signature last, and nothing encoded."""
    last = ("signPubKeyCert", "signature")
    names = sorted(name for name in fields if name not in last)
    text = "&".join(f"{name}={fields[name]}" for name in (*names, *last) if name in fields)
    return text.encode(fields.get("encoding", "UTF-8"))


def write_form(fields: Mapping[str, str]) -> bytes:
    """A notice's body: URL-encoded in the message's encoding."""
    charset = fields.get("encoding", "UTF-8")
    return "&".join(
        f"{name}={quote_plus(value.encode(charset))}" for name, value in sorted(fields.items())
    ).encode("ascii")


def needed(fields: Mapping[str, str], *names: str) -> None:
    """Raises Refusal 13 for the first field that is missing or blank."""
    for name in names:
        if not fields.get(name, "").strip():
            raise Refusal("13", f"{MESSAGES['13']}：{name}")


def matching(fields: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str:
    """A field that must look like this. Raises Refusal 13 or 10."""
    needed(fields, name)
    if not pattern.fullmatch(fields[name]):
        raise Refusal("10", f"{MESSAGES['10']}：{name}")
    return fields[name]
