"""refund, cancel and revoke."""

from __future__ import annotations

from typing import Any

import pytest

from apps.simulator import books, clock, faults
from apps.simulator.models import Order, OrderState, Refund, RefundState
from apps.simulator.payers import PAYERS
from apps.simulator.tests.shouqianba_client import Fields, ShouClient
from apps.simulator.tests.test_shouqianba_payments import code, wait

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(shou: ShouClient) -> ShouClient:
    """A client with an order P1 of 25.00, paid."""
    shou.precreate("P1")
    books.pay_order(order=Order.objects.get(), payer=PAYERS["demo"], now=clock.now())
    return shou


def shown(data: Fields) -> tuple[str, str, str]:
    """What decides: record, order, what is left."""
    return data["status"], data["order_status"], data["net_amount"]


class TestRefund:
    def test_in_parts_down_to_nothing(self, paid: ShouClient) -> None:
        first = paid.refund("P1", "R1", "1000")
        assert first["result_code"] == "REFUND_SUCCESS"
        assert shown(first["data"]) == ("SUCCESS", "PARTIAL_REFUNDED", "1500")
        assert first["data"]["client_tsn"] == "P1-R1"
        assert first["data"]["operator"] == "店长"
        second = paid.refund("P1", "R2", "1500", client_tsn="OUR-2")
        assert shown(second["data"]) == ("SUCCESS", "REFUNDED", "0")
        data = paid.query("P1")
        assert data["client_tsn"] == "OUR-2"  # the latest record only
        assert data["total_amount"] == "2500"
        third = paid.refund("P1", "R3", "1")
        assert (third["result_code"], third["error_code"]) == (
            "FAIL",
            "UPAY_REFUND_INVALID_ORDER_STATE",
        )
        order = Order.objects.get()
        assert sum(refund.fee_fen for refund in order.refunds.all()) == order.fee_fen

    def test_the_same_number_moves_no_money(self, paid: ShouClient) -> None:
        paid.refund("P1", "R1", "1000")
        paid.refund("P1", "R2", "500")
        again = paid.refund("P1", "R1", "1000")
        assert (again["result_code"], again["error_code"]) == ("FAIL", "UPAY_REFUND_ORDER_NOOP")
        assert again["data"]["client_tsn"] == "P1-R1"
        body = {
            "terminal_sn": paid.sn,
            "client_sn": "P1",
            "refund_request_no": "R1",
            "operator": "x",
            "refund_amount": "999",
        }
        assert paid.envelope("/upay/v2/refund", body)["error_code"] == "INVALID_PARAMS"
        assert Refund.objects.count() == 2

    def test_more_than_is_left(self, paid: ShouClient) -> None:
        paid.refund("P1", "R1", "1000")
        biz = paid.refund("P1", "R2", "1501")
        assert (biz["result_code"], biz["error_code"]) == ("FAIL", "REFUNDABLE_AMOUNT_NOT_ENOUGH")
        assert Refund.objects.count() == 1

    def test_what_is_not_paid(self, shou: ShouClient) -> None:
        shou.precreate("P1")
        assert shou.refund("P1", "R1", "1")["error_code"] == "UPAY_REFUND_INVALID_ORDER_STATE"
        assert shou.refund("P9", "R1", "1")["error_code"] == "UPAY_ORDER_NOT_EXISTS"

    def test_by_the_channels_number_in_sn(self, paid: ShouClient) -> None:
        number = paid.query("P1")["trade_no"]
        biz = paid.call(
            "refund", sn=number, refund_request_no="R1", refund_amount="1", operator="x"
        )
        assert biz["result_code"] == "REFUND_SUCCESS"

    def test_after_three_months(self, paid: ShouClient) -> None:
        """The last day of the third month is taken, the next is not."""
        end = clock.months_over(clock.now(), 3)
        wait(int((end - clock.now()).total_seconds()) - 600)
        paid.check_in()
        assert paid.refund("P1", "R1", "1")["result_code"] == "REFUND_SUCCESS"
        wait(900)
        paid.check_in()
        assert paid.refund("P1", "R2", "1")["error_code"] == "UPAY_REFUND_INVALID_ORDER_STATE"

    def test_merchants_balance_too_small(self, paid: ShouClient) -> None:
        faults.add_fault(key="not_enough", uses=1)
        biz = paid.refund("P1", "R1", "1000")
        assert (biz["result_code"], biz["error_code"]) == (
            "REFUND_FAIL",
            "ACCOUNT_BALANCE_NOT_ENOUGH",
        )
        value = {"error_code": "SELLER_BALANCE_NOT_ENOUGH"}
        faults.add_fault(key="not_enough", uses=1, value=value)
        assert paid.refund("P1", "R1", "1000")["error_code"] == "SELLER_BALANCE_NOT_ENOUGH"
        assert paid.refund("P1", "R1", "1000")["result_code"] == "REFUND_SUCCESS"

    @pytest.mark.parametrize("key", ["refund_slow", "refund_in_progress"])
    def test_in_progress(self, paid: ShouClient, key: str) -> None:
        faults.add_fault(key=key, uses=1, value={"seconds": 100})
        biz = paid.refund("P1", "R1", "1000")
        assert biz["result_code"] == "REFUND_IN_PROGRESS"
        assert shown(biz["data"]) == ("IN_PROG", "PAID", "2500")
        assert "finish_time" not in biz["data"]
        assert paid.refund("P1", "R1", "1000")["result_code"] == "REFUND_IN_PROGRESS"
        assert paid.refund("P1", "R2", "1501")["error_code"] == "REFUNDABLE_AMOUNT_NOT_ENOUGH"
        wait(101)
        assert shown(paid.query("P1")) == ("SUCCESS", "PARTIAL_REFUNDED", "1500")

    def test_never(self, paid: ShouClient) -> None:
        faults.add_fault(key="refund_in_progress", value={"seconds": None})
        paid.refund("P1", "R1", "1000")
        wait(10 * 86400)
        paid.check_in()
        assert paid.query("P1")["status"] == "IN_PROG"

    def test_the_channel_cannot_say(self, paid: ShouClient) -> None:
        faults.add_fault(key="refund_abnormal", uses=1)
        biz = paid.refund("P1", "R1", "1000")
        assert biz["result_code"] == "REFUND_ERROR"
        assert shown(paid.query("P1")) == ("REFUND_ERROR", "REFUND_ERROR", "2500")
        assert paid.refund("P1", "R1", "1000")["result_code"] == "REFUND_ERROR"

    def test_it_failed(self, paid: ShouClient) -> None:
        faults.add_fault(key="refund_closed", uses=1)
        biz = paid.refund("P1", "R1", "1000")
        assert (biz["result_code"], biz["error_code"]) == ("REFUND_FAIL", "TRADE_FAILED")
        assert shown(paid.query("P1")) == ("FAIL_CANCELED", "PAID", "2500")
        assert paid.refund("P1", "R2", "2500")["result_code"] == "REFUND_SUCCESS"


class TestCancel:
    @pytest.mark.parametrize("action", ["cancel", "revoke"])
    def test_a_payment_of_today_goes_back_whole(self, paid: ShouClient, action: str) -> None:
        biz = paid.cancel("P1", action)
        assert biz["result_code"] == "CANCEL_SUCCESS"
        assert shown(biz["data"]) == ("SUCCESS", "CANCELED", "0")
        refund = Refund.objects.get()
        assert (refund.amount_fen, refund.fee_fen, refund.state) == (2500, 15, RefundState.SUCCESS)
        again = paid.cancel("P1", action)
        assert (again["result_code"], again["error_code"]) == ("FAIL", "UPAY_CANCEL_ORDER_NOOP")
        assert paid.refund("P1", "R1", "1")["error_code"] == "UPAY_REFUND_INVALID_ORDER_STATE"

    def test_an_unpaid_order_is_aborted(self, shou: ShouClient) -> None:
        shou.precreate("P1")
        biz = shou.cancel("P1")
        assert biz["result_code"] == "CANCEL_ABORT_SUCCESS"
        assert shown(biz["data"]) == ("SUCCESS", "CANCELED", "0")
        with pytest.raises(books.NotPayable):
            books.pay_order(order=Order.objects.get(), payer=PAYERS["demo"], now=clock.now())
        assert shou.cancel("P1")["error_code"] == "UPAY_CANCEL_ORDER_NOOP"

    def test_what_ended_by_itself_is_cancelled_already(self, shou: ShouClient) -> None:
        shou.precreate("P1")
        wait(241)
        assert shou.cancel("P1")["error_code"] == "UPAY_CANCEL_ORDER_NOOP"
        assert shou.cancel("P9")["error_code"] == "UPAY_ORDER_NOT_EXISTS"

    def test_not_on_another_day(self, paid: ShouClient) -> None:
        wait(86400)
        paid.check_in()
        biz = paid.cancel("P1")
        assert (biz["result_code"], biz["error_code"]) == (
            "FAIL",
            "UPAY_CANCEL_INVALID_ORDER_STATE",
        )

    def test_not_after_a_refund(self, paid: ShouClient) -> None:
        paid.refund("P1", "R1", "1")
        assert paid.cancel("P1")["error_code"] == "UPAY_CANCEL_INVALID_ORDER_STATE"

    def test_newer_notes(self, paid: ShouClient) -> None:
        faults.add_fault(key="cancel_reads_pay_canceled")
        assert paid.cancel("P1")["data"]["order_status"] == "PAY_CANCELED"

    @pytest.mark.parametrize(
        ("result", "status", "state"),
        [
            ("CANCEL_IN_PROGRESS", "IN_PROG", "CANCEL_INPROGRESS"),
            ("CANCEL_ABORT_IN_PROGRESS", "IN_PROG", "CANCEL_INPROGRESS"),
            ("CANCEL_ERROR", "CANCEL_ERROR", "CANCEL_ERROR"),
            ("CANCEL_ABORT_ERROR", "CANCEL_ERROR", "CANCEL_ERROR"),
        ],
    )
    def test_an_unclear_end(self, paid: ShouClient, result: str, status: str, state: str) -> None:
        faults.add_fault(key="cancel_in_progress", uses=1, value={"result": result, "seconds": 30})
        biz = paid.cancel("P1")
        assert (biz["result_code"], *shown(biz["data"])[:2]) == (result, status, state)
        assert paid.query("P1")["order_status"] == state
        again = paid.cancel("P1")["result_code"]
        assert again == (result if status == "IN_PROG" else "CANCEL_SUCCESS")
        wait(31)
        assert shown(paid.query("P1")) == ("SUCCESS", "CANCELED", "0")
        assert Refund.objects.count() == 1

    def test_an_unclear_abort(self, shou: ShouClient) -> None:
        shou.pay("P1", code(behaviour="password"))
        faults.add_fault(key="cancel_in_progress", uses=1)
        assert shou.cancel("P1")["data"]["order_status"] == "CANCEL_INPROGRESS"
        assert Order.objects.get().state == OrderState.CLOSED
        wait(11)
        assert shou.query("P1")["order_status"] == "CANCELED"

    def test_a_cancellation_that_takes_time_or_fails(self, paid: ShouClient) -> None:
        faults.add_fault(key="refund_closed", uses=1)
        assert paid.cancel("P1")["result_code"] == "CANCEL_ERROR"
        assert paid.query("P1")["order_status"] == "PAID"
        faults.add_fault(key="refund_slow", uses=1, value={"seconds": 20})
        assert paid.cancel("P1")["result_code"] == "CANCEL_IN_PROGRESS"
        assert shown(paid.query("P1")) == ("IN_PROG", "CANCEL_INPROGRESS", "2500")
        assert paid.refund("P1", "R1", "1")["error_code"] == "UPAY_REFUND_INVALID_ORDER_STATE"
        wait(21)
        assert shown(paid.query("P1")) == ("SUCCESS", "CANCELED", "0")

    def test_the_documentations_own_failure(self, paid: ShouClient) -> None:
        value: dict[str, Any] = {
            "result_code": "CANCEL_ERROR",
            "error_code": "UPAY_TCP_ORDER_NOT_REFUNDABLE",
            "path": "/cancel",
        }
        faults.add_fault(key="biz_refused", value=value)
        biz = paid.cancel("P1")
        assert (biz["result_code"], biz["error_code"]) == (
            "CANCEL_ERROR",
            "UPAY_TCP_ORDER_NOT_REFUNDABLE",
        )
        faults.remove_faults()
        faults.add_fault(key="not_enough", uses=1)
        assert paid.cancel("P1")["error_code"] == "ACCOUNT_BALANCE_NOT_ENOUGH"
        assert paid.query("P1")["order_status"] == "PAID"
