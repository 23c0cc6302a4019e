"""Refunds, customers' requests, and the rules by which refunds are decided."""

from apps.refunds.models.batches import (
    BatchRowState,
    BatchState,
    RefundBatch,
    RefundBatchRow,
    ShareKind,
)
from apps.refunds.models.refunds import (
    AUTOMATIC_REASON,
    AUTOMATIC_WORDS,
    OUTSIDE_WORDS,
    RESERVING,
    UNDER_WAY,
    ReasonCode,
    Refund,
    RefundRequest,
    RefundState,
    RequestReason,
    RequestState,
    RequestTerms,
)
from apps.refunds.models.rules import DraftState, RefundDecision, RefundRuleBook, RefundRuleDraft

__all__ = [
    "AUTOMATIC_REASON",
    "AUTOMATIC_WORDS",
    "OUTSIDE_WORDS",
    "RESERVING",
    "UNDER_WAY",
    "BatchRowState",
    "BatchState",
    "DraftState",
    "ReasonCode",
    "Refund",
    "RefundBatch",
    "RefundBatchRow",
    "RefundDecision",
    "RefundRequest",
    "RefundRuleBook",
    "RefundRuleDraft",
    "RefundState",
    "RequestReason",
    "RequestState",
    "RequestTerms",
    "ShareKind",
]
