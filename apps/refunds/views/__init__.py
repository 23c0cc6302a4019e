"""Refunds: the list, asking for one, following it, and the rules."""

from apps.refunds.views.asking import refund_create
from apps.refunds.views.batches import (
    batch_act,
    batch_create,
    batch_detail,
    batch_list,
    batch_results,
)
from apps.refunds.views.refunds import refund_ask, refund_cancel, refund_detail, refund_list
from apps.refunds.views.requests import request_answer, request_list, request_settings
from apps.refunds.views.rules import (
    rule_book,
    rule_change,
    rule_create,
    rule_draft,
    rule_edit,
    rule_publish,
    rule_version,
)
from apps.refunds.views.simulating import rule_simulate

__all__ = [
    "batch_act",
    "batch_create",
    "batch_detail",
    "batch_list",
    "batch_results",
    "refund_ask",
    "refund_cancel",
    "refund_create",
    "refund_detail",
    "refund_list",
    "request_answer",
    "request_list",
    "request_settings",
    "rule_book",
    "rule_change",
    "rule_create",
    "rule_draft",
    "rule_edit",
    "rule_publish",
    "rule_simulate",
    "rule_version",
]
