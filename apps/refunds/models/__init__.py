"""Refunds, customers' requests, and the rules by which refunds are decided."""

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
    "DraftState",
    "ReasonCode",
    "Refund",
    "RefundDecision",
    "RefundRequest",
    "RefundRuleBook",
    "RefundRuleDraft",
    "RefundState",
    "RequestReason",
    "RequestState",
    "RequestTerms",
]
