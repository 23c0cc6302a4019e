"""Writes of this room: asking for a confirmation, giving it, standing in for somebody, waiting instead."""

from apps.approvals.services.asking import request_approval
from apps.approvals.services.cooling import NoCooling, finish_cooling, start_cooling
from apps.approvals.services.deciding import (
    NotAllowed,
    Stale,
    decide,
    end_approval,
    expire,
    hold_approval,
    withdraw,
)
from apps.approvals.services.delegating import NotDelegated, delegate, end_delegation, may_end
from apps.approvals.services.notices import deliver_request, escalate, remind, send_mail
from apps.approvals.services.terms import TermsChanged, change_terms, deliver_terms

__all__ = [
    "NoCooling",
    "NotAllowed",
    "NotDelegated",
    "Stale",
    "TermsChanged",
    "change_terms",
    "decide",
    "delegate",
    "deliver_request",
    "deliver_terms",
    "end_approval",
    "end_delegation",
    "escalate",
    "expire",
    "finish_cooling",
    "hold_approval",
    "may_end",
    "remind",
    "request_approval",
    "send_mail",
    "start_cooling",
    "withdraw",
]
