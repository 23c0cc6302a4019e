"""What a bill row of another amount brings in from ours of another day, as an expression."""

from __future__ import annotations

from typing import Final

from django.db.models import BigIntegerField, Case, F, Q, Value, When

from apps.reconciliation.models import DifferenceType

#: Which differences bring something in besides what they differ by.
IS_CARRIED: Final = Q(type=DifferenceType.AMOUNT, our_minor__isnull=True)
#: ``Difference.carried_minor``, in signed fen after fees.
CARRIED: Final = Case(
    When(
        IS_CARRIED & Q(refund__isnull=False),
        then=F("refund__fee_minor") - F("refund__amount_minor"),
    ),
    When(
        IS_CARRIED & Q(payment__isnull=False),
        then=F("payment__amount_minor") - F("payment__fee_minor"),
    ),
    default=Value(0),
    output_field=BigIntegerField(),
)
#: ``Difference.rest_minor``.
REST: Final = F("net_gap_minor") - F("adjusted_minor") - CARRIED
