"""Forms of refunds and of the rules that decide them."""

from apps.refunds.forms.batches import BatchForm
from apps.refunds.forms.refunds import (
    DeclineForm,
    RefundFilterForm,
    RefundForm,
    RequestForm,
    RequestTermsForm,
    known_reason,
    not_refundable_sentence,
    over_refund_sentence,
    read_refund_amount,
)
from apps.refunds.forms.rules import (
    OtherwiseForm,
    PublishForm,
    RuleForm,
    initial_of,
    suggested_rule,
)

__all__ = [
    "BatchForm",
    "DeclineForm",
    "OtherwiseForm",
    "PublishForm",
    "RefundFilterForm",
    "RefundForm",
    "RequestForm",
    "RequestTermsForm",
    "RuleForm",
    "initial_of",
    "known_reason",
    "not_refundable_sentence",
    "over_refund_sentence",
    "read_refund_amount",
    "suggested_rule",
]
