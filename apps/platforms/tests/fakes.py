"""A platform in memory, for the tests of everything above the port."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import IO, Any, ClassVar, TypeVar

from apps.core.money import Money
from apps.platforms.gateway import (
    Ack,
    BarcodeRequest,
    BillReader,
    BillRow,
    Capability,
    CheckState,
    CreateRequest,
    CredentialCheck,
    Credentials,
    Handover,
    InvalidSignature,
    MalformedMessage,
    Notification,
    NotificationKind,
    NotSupported,
    OrderNotFound,
    Outcome,
    ParsedStatement,
    PaymentRef,
    PaymentResult,
    Platform,
    PlatformGateway,
    PlatformRejected,
    Product,
    RawNotification,
    RefundRef,
    RefundRequest,
    RefundResult,
    StatementEmpty,
    StatementFile,
    StatementKind,
    StatementTotals,
    StatementUnreadable,
)

#: The time that the fake platform stamps on what happens, unless told otherwise.
HAPPENED_AT = datetime(2026, 5, 1, 2, 21, 33, tzinfo=UTC)
_GOOD = "good"
_T = TypeVar("_T")


class _ListedBill(BillReader):
    """A bill whose lines are here already."""

    def __init__(self, bill: ParsedStatement) -> None:
        self._bill = bill
        self.kind, self.business_date = bill.kind, bill.business_date
        self.merchant_no, self.unknown_columns = bill.merchant_no, bill.unknown_columns

    def rows(self) -> Iterator[BillRow]:
        """The lines as rows."""
        for line in self._bill.lines:
            yield BillRow(
                row=line.row,
                kind=line.kind.value,
                order_no=line.order_no,
                refund_no=line.refund_no,
                platform_trade_no=line.platform_trade_no,
                platform_refund_no=line.platform_refund_no,
                amount_minor=line.amount.minor,
                fee_minor=line.fee.minor if line.fee_known else None,
                occurred_at=line.occurred_at.isoformat(sep=" "),
                status=line.status,
                product=line.product,
                flow_no=line.flow_no,
                balance_minor=line.balance.minor if line.balance else None,
                raw=json.dumps(dict(line.raw)),
            )

    def totals(self) -> StatementTotals:
        """As given."""
        return self._bill.totals


@dataclass
class _Failure:
    error: Exception
    #: Whether the call takes effect before its answer is lost.
    after: bool = False


class FakeGateway(PlatformGateway):
    """Behaves as a platform would: orders are paid by ``pay``, refunds end by ``settle_refund``.

    ``calls`` lists each call as (method, argument). ``fail_next`` scripts errors. ``refund_outcome`` is what a fresh
    refund answers: PENDING (WeChat's way) or SUCCEEDED (Alipay's way). ``barcode_outcome`` is how a payer's code begins:
    SUCCEEDED at once, or PENDING until ``pay``. ``reversal_outcome`` is what a reversal answers: CLOSED, or PENDING for
    "again later", which changes nothing. A payer's code is good for one payment.
    """

    platform: ClassVar[Platform] = Platform.WECHATPAY
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {
        Capability.AGGREGATES,
        Capability.TERMINALS,
        Capability.RENEWAL,
        Capability.ABNORMAL_REFUND,
    }

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        refund_outcome: Outcome = Outcome.PENDING,
    ) -> None:
        self.credentials = credentials or Credentials(
            app_id="wxfake0000000000", merchant_no="1900000109", keys={}
        )
        self.refund_outcome = refund_outcome
        self.barcode_outcome = Outcome.SUCCEEDED
        self.reversal_outcome = Outcome.CLOSED
        self.used_codes: set[str] = set()
        self.payments: dict[str, PaymentResult] = {}
        self.refunds: dict[str, RefundResult] = {}
        self.statements: dict[tuple[date, StatementKind], ParsedStatement] = {}
        self.check = CredentialCheck(state=CheckState.GOOD)
        self.payer_ids = {"good": "payer-1"}
        self.calls: list[tuple[str, Any]] = []
        self._failures: defaultdict[str, deque[_Failure]] = defaultdict(deque)

    # Scripts

    def fail_next(self, method: str, error: Exception, *, after: bool = False) -> None:
        """Let the next call of ``method`` raise; with ``after`` it takes effect and only its answer is lost."""
        self._failures[method].append(_Failure(error, after))

    def pay(
        self,
        order_no: str,
        *,
        payer_id: str = "payer-1",
        at: datetime = HAPPENED_AT,
        amount: Money | None = None,
    ) -> PaymentResult:
        """The payer pays."""
        self.payments[order_no] = replace(
            self.payments[order_no],
            outcome=Outcome.SUCCEEDED,
            platform_trade_no=f"T{order_no}",
            payer_id=payer_id,
            payer_masked="pa***-1",
            paid_at=at,
            amount=amount or self.payments[order_no].amount,
        )
        return self.payments[order_no]

    def add_payment(self, result: PaymentResult) -> None:
        """A payment that began elsewhere, or in a state that the calls do not lead to."""
        self.payments[result.order_no] = result

    def settle_refund(
        self,
        refund_no: str,
        outcome: Outcome = Outcome.SUCCEEDED,
        *,
        at: datetime = HAPPENED_AT,
        code: str = "",
    ) -> RefundResult:
        """The refund comes to an end."""
        self.refunds[refund_no] = replace(
            self.refunds[refund_no],
            outcome=outcome,
            refunded_at=at if outcome is Outcome.SUCCEEDED else None,
            code=code,
        )
        return self.refunds[refund_no]

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def payment_notice(
        self, order_no: str, *, received_at: datetime = HAPPENED_AT, signature: str = _GOOD
    ) -> RawNotification:
        """The notice that the platform would send about a payment now."""
        return self._notice({"payment": order_no}, received_at, signature)

    def refund_notice(
        self, refund_no: str, *, received_at: datetime = HAPPENED_AT, signature: str = _GOOD
    ) -> RawNotification:
        """The notice that the platform would send about a refund now."""
        return self._notice({"refund": refund_no}, received_at, signature)

    def other_notice(
        self, *, received_at: datetime = HAPPENED_AT, signature: str = _GOOD
    ) -> RawNotification:
        """A verified notice about nothing that concerns the portal."""
        return self._notice({"other": "1"}, received_at, signature)

    def _notice(
        self, content: dict[str, str], received_at: datetime, signature: str
    ) -> RawNotification:
        return RawNotification(
            headers={"x-fake-signature": signature},
            query="",
            body=json.dumps(content).encode(),
            received_at=received_at,
        )

    def _run(self, method: str, argument: Any, effect: Callable[[], _T]) -> _T:
        self.calls.append((method, argument))
        failure = self._failures[method].popleft() if self._failures[method] else None
        if failure is not None and not failure.after:
            raise failure.error
        result = effect()
        if failure is not None:
            raise failure.error
        return result

    # The port

    def create_payment(self, request: CreateRequest) -> Handover:
        """Open a payment."""
        return self._run("create_payment", request, lambda: self._create(request))

    def _create(self, request: CreateRequest) -> Handover:
        if Capability(request.product.value) not in self.capabilities:
            raise NotSupported(request.product.value)
        known = self.payments.get(request.order_no)
        if known is not None and known.amount != request.amount:
            raise PlatformRejected("used with other details", code="OUT_TRADE_NO_USED")
        self.payments.setdefault(
            request.order_no,
            PaymentResult(
                outcome=Outcome.PENDING,
                order_no=request.order_no,
                amount=request.amount,
                code="NOTPAY",
            ),
        )
        handover = Handover(product=request.product, order_no=request.order_no)
        match request.product:
            case Product.IN_APP:
                return replace(handover, invoke={"package": f"prepay_id={request.order_no}"})
            case Product.BROWSER:
                return replace(handover, redirect_url=f"https://fake.test/{request.order_no}")
            case _:
                return replace(handover, qr_content=f"fake://{request.order_no}")

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        """Where the payment stands."""
        return self._run("query_payment", ref.order_no, lambda: self._payment(ref.order_no))

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        """As ``query_payment``."""
        return self._run("query_payment_async", ref.order_no, lambda: self._payment(ref.order_no))

    def _payment(self, order_no: str) -> PaymentResult:
        if order_no not in self.payments:
            raise OrderNotFound("no such order", code="ORDER_NOT_EXIST")
        return self.payments[order_no]

    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        """Close what is unpaid."""
        return self._run("close_payment", ref.order_no, lambda: self._close(ref.order_no))

    def _close(self, order_no: str) -> PaymentResult:
        known = self.payments.get(order_no)
        if known is None:
            return PaymentResult(outcome=Outcome.CLOSED, order_no=order_no)
        if known.outcome is Outcome.PENDING:
            self.payments[order_no] = replace(known, outcome=Outcome.CLOSED, code="CLOSED")
        return self.payments[order_no]

    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        """Take a payment by the payer's code; ``barcode_outcome`` says how it begins."""
        return self._run("pay_barcode", request, lambda: self._barcode(request))

    def _barcode(self, request: BarcodeRequest) -> PaymentResult:
        known = self.payments.get(request.order_no)
        if known is not None and known.amount != request.amount:
            raise PlatformRejected("used with other details", code="OUT_TRADE_NO_USED")
        if known is None:
            if request.auth_code in self.used_codes:
                raise PlatformRejected("the code was used", code="AUTH_CODE_INVALID")
            self.used_codes.add(request.auth_code)
            self.payments[request.order_no] = PaymentResult(
                outcome=Outcome.PENDING,
                order_no=request.order_no,
                amount=request.amount,
                code="USERPAYING",
            )
            if self.barcode_outcome is Outcome.SUCCEEDED:
                self.pay(request.order_no)
        return self.payments[request.order_no]

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        """Undo a barcode payment, paid or not."""
        return self._run("reverse_payment", ref.order_no, lambda: self._reverse(ref))

    def _reverse(self, ref: PaymentRef) -> PaymentResult:
        known = self.payments.get(ref.order_no)
        result = PaymentResult(
            outcome=self.reversal_outcome,
            order_no=ref.order_no,
            amount=None if known is None else known.amount,
            code="REVERSED",
        )
        if result.outcome is Outcome.CLOSED:
            self.payments[ref.order_no] = result
        return result

    def refund(self, request: RefundRequest) -> RefundResult:
        """Ask for a refund."""
        return self._run("refund", request, lambda: self._refund(request))

    def _refund(self, request: RefundRequest) -> RefundResult:
        if self._payment(request.order_no).outcome is not Outcome.SUCCEEDED:
            raise PlatformRejected("not paid", code="TRADE_ERROR")
        known = self.refunds.get(request.refund_no)
        if known is not None:
            if known.amount != request.amount:
                raise PlatformRejected("another amount", code="REFUND_FEE_MISMATCH")
            return known
        self.refunds[request.refund_no] = RefundResult(
            outcome=self.refund_outcome,
            order_no=request.order_no,
            refund_no=request.refund_no,
            platform_refund_no=f"F{request.refund_no}",
            amount=request.amount,
            refunded_at=HAPPENED_AT if self.refund_outcome is Outcome.SUCCEEDED else None,
        )
        return self.refunds[request.refund_no]

    def query_refund(self, ref: RefundRef) -> RefundResult:
        """Where the refund stands."""
        return self._run("query_refund", ref.refund_no, lambda: self._known_refund(ref.refund_no))

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        """As ``query_refund``."""
        return self._run(
            "query_refund_async", ref.refund_no, lambda: self._known_refund(ref.refund_no)
        )

    def _known_refund(self, refund_no: str) -> RefundResult:
        if refund_no not in self.refunds:
            raise OrderNotFound("no such refund", code="RESOURCE_NOT_EXISTS")
        return self.refunds[refund_no]

    def parse_notification(self, raw: RawNotification) -> Notification:
        """Read a notice made by ``payment_notice`` and its sisters."""
        return self._run("parse_notification", raw, lambda: self._parse(raw))

    def _parse(self, raw: RawNotification) -> Notification:
        if raw.headers.get("x-fake-signature") != _GOOD:
            raise InvalidSignature("wrong")
        try:
            content = json.loads(raw.body)
        except ValueError as error:
            raise MalformedMessage("not JSON") from error
        if "payment" in content:
            payment = self._payment(content["payment"])
            return Notification(
                kind=NotificationKind.PAYMENT,
                dedup_key=f"payment:{payment.order_no}:{payment.outcome}",
                payment=payment,
            )
        if "refund" in content:
            refund = self._known_refund(content["refund"])
            return Notification(
                kind=NotificationKind.REFUND,
                dedup_key=f"refund:{refund.refund_no}:{refund.outcome}",
                refund=refund,
            )
        return Notification(kind=NotificationKind.OTHER, dedup_key=f"other:{content}")

    def acknowledge(self, *, accepted: bool, reason: str = "") -> Ack:
        """The answer to a notice."""
        body = b"ok" if accepted else b"again"
        return Ack(status=200 if accepted else 500, content_type="text/plain", body=body)

    def fetch_statement(self, *, business_date: date, kind: StatementKind) -> StatementFile:
        """The bill that was put into ``statements``."""
        place = (business_date, kind)
        return self._run("fetch_statement", place, lambda: self._file(business_date, kind))

    def _file(self, business_date: date, kind: StatementKind) -> StatementFile:
        if (business_date, kind) not in self.statements:
            raise StatementEmpty(business_date.isoformat())
        content = json.dumps([business_date.isoformat(), kind.value]).encode()
        return StatementFile(filename=f"{business_date}_{kind}.json", content=content)

    def open_statement(
        self, content: bytes | IO[bytes], *, business_date: date, kind: StatementKind
    ) -> BillReader:
        """The lines of the bill that ``fetch_statement`` gave."""
        whole = content if isinstance(content, bytes) else content.read()
        return self._run(
            "open_statement", whole, lambda: _ListedBill(self._bill(whole, business_date, kind))
        )

    def _bill(self, content: bytes, business_date: date, kind: StatementKind) -> ParsedStatement:
        try:
            day, found = json.loads(content)
        except ValueError as error:
            raise StatementUnreadable("other_format", "not a bill of the fake") from error
        if found != kind.value:
            raise StatementUnreadable("other_format", f"this is the {found} bill")
        if day != business_date.isoformat():
            raise StatementUnreadable("other_day", f"the bill is of {day}")
        return self.statements[business_date, kind]

    def check_credentials(self) -> CredentialCheck:
        """What ``check`` says."""
        return self._run("check_credentials", None, lambda: self.check)

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        """An address that names both."""
        return f"https://fake.test/authorize?redirect_uri={redirect_uri}&state={state}"

    def payer_id_from_code(self, *, code: str) -> str:
        """The payer behind a code in ``payer_ids``."""
        return self._run("payer_id_from_code", code, lambda: self._payer(code))

    def _payer(self, code: str) -> str:
        if code not in self.payer_ids:
            raise PlatformRejected("invalid code", code="40029")
        return self.payer_ids[code]
