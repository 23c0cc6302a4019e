"""A small Shouqianba for tests, behind httpx.MockTransport or a socket, with signing code of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from apps.platforms.gateway import Credentials, RawNotification
from apps.platforms.tests.wechatpay_server import NOW, public_pem, rsa_sign

VENDOR_SN, VENDOR_KEY = "91800012", "7d3f0c2b9a614e5f8c1d2e3f4a5b6c7d"
APP_ID, MERCHANT_NO = "2026050100003751", "1680002301234"
TERMINAL_SN, DEVICE_ID = "100111220000000001", "portal-0000000000000001"
FIRST_KEY = "0123456789abcdef0123456789abcdef"
#: 10:21:33 and 15:42:00 of 1 May 2026, China time, in milliseconds.
PAID, REFUNDED = "1777602093000", "1777621320000"
PAYER = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


def credentials(**keys: str) -> Credentials:
    """The account's credentials as stored, with the terminal that the server knows from the start."""
    held = {
        "vendor_sn": VENDOR_SN,
        "vendor_key": VENDOR_KEY,
        "public_key": public_pem("shouqianba platform"),
        "terminal_sn": TERMINAL_SN,
        "terminal_key": FIRST_KEY,
        "device_id": DEVICE_ID,
        "terminal_sns": TERMINAL_SN,
    }
    return Credentials(app_id=APP_ID, merchant_no=MERCHANT_NO, keys={**held, **keys})


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class Terminal:
    """``previous`` is taken for check-in only, until something signed with ``key`` has arrived."""

    key: str
    device_id: str
    previous: str = ""
    check_ins: int = 0


@dataclass
class ShouqianbaServer:
    """Orders by our number, terminals by theirs, plus what shall go wrong next."""

    ours: Credentials = field(default_factory=credentials)
    terminals: dict[str, Terminal] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=lambda: {"ABC123": 1})
    orders: dict[str, dict[str, str]] = field(default_factory=dict)
    refunds: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    faults: list[Callable[[httpx.Request], httpx.Response]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    signer: str = "shouqianba platform"
    spoil: Callable[[bytes], bytes] | None = None
    #: Whether a query tells the code again, and which refund it shows.
    tells_code: bool = True
    asks_password: bool = False
    #: A repeat of a refund of an order that is given back in full is refused by its state, not as done before.
    forgets_refunds: bool = False
    #: Answers name another amount, or are about another merchant's terminal.
    misstated: str = ""
    doubled: bool = False
    #: Between the arrival of a check-in and its effect.
    checking_in: Callable[[], None] = lambda: None
    lock: Any = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.terminals.setdefault(TERMINAL_SN, Terminal(FIRST_KEY, DEVICE_ID))

    def handle(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.requests.append(request)
            fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            return fault(request)
        return self.serve(request)

    def serve(self, request: httpx.Request) -> httpx.Response:
        """The honest answer."""
        body, path = request.content, request.url.path.removeprefix("/shouqianba")
        if path == "/terminal/checkin":
            self.checking_in()
        with self.lock:
            sn, _, sign = request.headers.get("authorization", "").partition(" ")
            key = self._key(sn, sign.lower(), body, path)
            if key is None:
                return self.outer("400", "ILLEGAL_SIGN")
            message = json.loads(body)
            match path:
                case "/terminal/activate":
                    return self.activate(message)
                case "/terminal/checkin":
                    return self.check_in(message)
                case _:
                    pass
            if message.pop("terminal_sn") != sn:
                return self.outer("400", "INVALID_TERMINAL")
            match path:
                case "/upay/v2/precreate":
                    return self.precreate(sn, message)
                case "/upay/v2/pay":
                    return self.pay_by_code(sn, message)
                case "/upay/v2/query":
                    return self.query(message)
                case "/upay/v2/cancel":
                    return self.cancel(message)
                case "/upay/v2/refund":
                    return self.refund(message)
                case _:
                    pass
        return self.outer("400", "INVALID_PARAMS")

    def _key(self, sn: str, sign: str, body: bytes, path: str) -> str | None:
        if path == "/terminal/activate":
            right = sn == VENDOR_SN and sign == md5(body + VENDOR_KEY.encode())
            return VENDOR_KEY if right else None
        terminal = self.terminals.get(sn)
        if terminal is None:
            return None
        if sign == md5(body + terminal.key.encode()):
            terminal.previous = ""
            return terminal.key
        old = terminal.previous
        if old and path == "/terminal/checkin" and sign == md5(body + old.encode()):
            return old
        return None

    # Answers

    def outer(self, result: str, code: str, words: str = "原因") -> httpx.Response:
        return self.answer({"result_code": result, "error_code": code, "error_message": words})

    def inner(self, result: str, code: str = "", order: str = "", **more: str) -> httpx.Response:
        biz: dict[str, Any] = {"result_code": result}
        if code:
            biz |= {"error_code": code, "error_message": "原因"}
        if order:
            biz["data"] = self.told({**self.orders[order], **more})
        return self.answer({"result_code": "200", "biz_response": biz})

    def told(self, data: dict[str, str]) -> dict[str, str]:
        if self.misstated == "amount":
            return {**data, "total_amount": "1", "net_amount": "1"}
        if self.misstated == "merchant":
            return {**data, "terminal_sn": "100999990000000009"}
        return data

    def answer(self, message: dict[str, Any]) -> httpx.Response:
        body = self.bytes_of(message)
        return httpx.Response(200, content=self.spoil(body) if self.spoil else body)

    def bytes_of(self, message: dict[str, Any]) -> bytes:
        body = json.dumps(message, ensure_ascii=False).encode()
        if self.doubled:
            body = body.replace(b'"total_amount":', b'"total_amount": "1", "total_amount":', 1)
        return body

    # Terminals

    def activate(self, message: dict[str, str]) -> httpx.Response:
        if message["app_id"] != APP_ID:
            return self.outer("400", "INVALID_PARAMS")
        if not self.codes.get(message["code"]):
            return self.outer("400", "INVALID_ACTIVATION_CODE", f"激活码{message['code']}无效")
        self.codes[message["code"]] -= 1
        sn = f"1001112200000001{next(self.numbers):02d}"
        self.terminals[sn] = Terminal(self.new_key(), message["device_id"])
        return self.handed_out(sn)

    def check_in(self, message: dict[str, str]) -> httpx.Response:
        sn = message["terminal_sn"]
        terminal = self.terminals[sn]
        if message["device_id"] != terminal.device_id:
            return self.outer("400", "INVALID_PARAMS")
        terminal.check_ins += 1
        terminal.previous, terminal.key = terminal.key, self.new_key()
        return self.handed_out(sn)

    def handed_out(self, sn: str) -> httpx.Response:
        biz = {"terminal_sn": sn, "terminal_key": self.terminals[sn].key}
        return self.answer({"result_code": "200", "biz_response": biz})

    def new_key(self) -> str:
        return md5(f"key {next(self.numbers)}".encode())

    # Orders

    def open(self, sn: str, message: dict[str, str], payway: str, sub_payway: str) -> str:
        number = message["client_sn"]
        amount = message["total_amount"]
        self.orders[number] = {
            "terminal_sn": sn,
            "sn": f"78952361{next(self.numbers):08d}",
            "client_sn": number,
            "client_tsn": number,
            "status": "IN_PROG",
            "order_status": "CREATED",
            "payway": payway,
            "sub_payway": sub_payway,
            "total_amount": amount,
            "net_amount": amount,
            "subject": message["subject"],
            "operator": message["operator"],
            "ctime": "1777602060000",
        }
        return number

    def precreate(self, sn: str, message: dict[str, str]) -> httpx.Response:
        if message["client_sn"] in self.orders:
            return self.inner("FAIL", "CLIENT_SN_CONFLICT")
        number = self.open(sn, message, message["payway"], "2")
        code = f"https://qr.test/{number}"
        self.orders[number]["qr_code"] = code
        answer = self.inner("PRECREATE_SUCCESS", order=number)
        if not self.tells_code:
            del self.orders[number]["qr_code"]
        return answer

    def open_page(self, url: str) -> str:
        """A wallet opens the address of a cashier page; gives our number, or the error."""
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        sign = query.pop("sign")
        text = "&".join(f"{name}={query[name]}" for name in sorted(query) if query[name])
        key = self.terminals[query["terminal_sn"]].key
        if sign != md5(f"{text}&key={key}".encode()).upper():
            return "ILLEGAL_SIGN"
        return self.open(query["terminal_sn"], query, query["payway"], "3")

    def pay_by_code(self, sn: str, message: dict[str, str]) -> httpx.Response:
        if message["client_sn"] in self.orders:
            return self.inner("FAIL", "CLIENT_SN_CONFLICT")
        payway = {"1": "3", "2": "2", "6": "17"}[message["dynamic_id"][0]]
        number = self.open(sn, message, payway, "1")
        if self.asks_password:
            return self.inner("PAY_IN_PROGRESS", order=number)
        self.pay(number)
        return self.inner("PAY_SUCCESS", order=number)

    def pay(self, number: str) -> None:
        self.orders[number] |= {
            "status": "SUCCESS",
            "order_status": "PAID",
            "trade_no": f"42000{number}",
            "payer_uid": PAYER,
            "payer_login": "134****3410",
            "finish_time": "1777602095000",
            "channel_finish_time": PAID,
        }

    def query(self, message: dict[str, str]) -> httpx.Response:
        if message["client_sn"] not in self.orders:
            return self.inner("FAIL", "UPAY_ORDER_NOT_EXISTS")
        return self.inner("SUCCESS", order=message["client_sn"])

    def cancel(self, message: dict[str, str]) -> httpx.Response:
        order = self.orders.get(message["client_sn"])
        if order is None:
            return self.inner("FAIL", "UPAY_ORDER_NOT_EXISTS")
        if order["order_status"] in {"CANCELED", "PAY_CANCELED"}:
            return self.inner("FAIL", "UPAY_CANCEL_ORDER_NOOP")
        if order["order_status"] not in {"CREATED", "PAID"}:
            return self.inner("FAIL", "UPAY_CANCEL_INVALID_ORDER_STATE")
        order |= {"status": "SUCCESS", "order_status": "CANCELED", "net_amount": "0"}
        return self.inner("CANCEL_SUCCESS", order=message["client_sn"])

    def refund(self, message: dict[str, str]) -> httpx.Response:
        number, request_no = message["client_sn"], message["refund_request_no"]
        assert len(request_no) <= 20
        order = self.orders.get(number)
        if order is None:
            return self.inner("FAIL", "UPAY_ORDER_NOT_EXISTS")
        if self.forgets_refunds and order["order_status"] == "REFUNDED":
            return self.inner("FAIL", "UPAY_REFUND_INVALID_ORDER_STATE")
        if (number, request_no) in self.refunds:
            return self.inner("FAIL", "UPAY_REFUND_ORDER_NOOP")
        if order["order_status"] not in {"PAID", "PARTIAL_REFUNDED"}:
            return self.inner("FAIL", "UPAY_REFUND_INVALID_ORDER_STATE")
        left = int(order["net_amount"]) - int(message["refund_amount"])
        if left < 0:
            return self.inner("FAIL", "REFUNDABLE_AMOUNT_NOT_ENOUGH")
        self.refunds[number, request_no] = message
        order |= {
            "client_tsn": message.get("client_tsn") or f"{number}-{request_no}",
            "status": "SUCCESS",
            "order_status": "PARTIAL_REFUNDED" if left else "REFUNDED",
            "net_amount": str(left),
            "finish_time": REFUNDED,
            "channel_finish_time": REFUNDED,
        }
        return self.inner("REFUND_SUCCESS", order=number)

    # Callbacks

    def callback(self, number: str, *, header: str = "{sn} {sign}", **more: str) -> RawNotification:
        """What Shouqianba sends about an order as it stands."""
        data = {**self.orders[number], **more}
        body = self.bytes_of(self.told({name: value for name, value in data.items() if value}))
        sign = rsa_sign(self.signer, body)
        return RawNotification(
            headers={"authorization": header.format(sn=data["terminal_sn"], sign=sign)},
            query="",
            body=body,
            received_at=NOW,
        )
