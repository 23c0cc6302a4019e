"""Transactions know the terminal of their payment. The view says why each branch reads a single table: see 0001."""

from importlib import import_module
from typing import ClassVar

from django.db import migrations, models

_FIRST = import_module("apps.reports.migrations.0001_initial")
_END_OF_PAYMENTS = "p.created_at, p.paid_at AS done_at, p.booked_date\n"
_END_OF_REFUNDS = "r.created_at, r.refunded_at, r.booked_date\n"


def _with_terminal(view: str) -> str:
    """The view with one column more at its end."""
    of_refund = _FIRST.PAYMENT_OF_REFUND.format(column="terminal_id")
    for end, column in ((_END_OF_PAYMENTS, "p.terminal_id"), (_END_OF_REFUNDS, of_refund)):
        if view.count(end) != 1:
            raise RuntimeError("the view is not the one that 0001 makes")
        view = view.replace(end, f"{end.rstrip()},\n    {column}\n")
    return view


class Migration(migrations.Migration):
    dependencies: ClassVar = [("reports", "0001_initial"), ("payments", "0003_terminals")]
    operations: ClassVar = [
        migrations.RunSQL(
            f"DROP VIEW reports_transaction; {_with_terminal(_FIRST.VIEW)}",
            f"DROP VIEW reports_transaction; {_FIRST.VIEW}",
        ),
        migrations.AddField(
            model_name="transaction",
            name="terminal_id",
            field=models.BigIntegerField(null=True),
        ),
    ]
