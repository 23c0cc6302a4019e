"""Why something cannot be done about a difference."""

from __future__ import annotations

from typing import Any


class CannotResolve(Exception):
    """Nothing was changed. ``reason`` is a code that ``acts.refusal_words`` puts into a sentence, ``facts`` what it names.

    ``old_run``, ``new_bill`` (not matched yet), ``gone``, ``changed`` (since it was chosen), ``settled`` (by somebody else meanwhile), ``waits``, ``kind``, ``booked`` (a correction stands for it), ``nothing_to_book``, ``above_limit``,
    ``no_limit``, ``no_payment``, ``over_refund``, ``mismatch``, ``not_believed``, ``not_booked`` (``why``: one of ``outside.LEFT``), ``no_store``, ``no_target``, ``linked``, ``no_member``, ``no_open_day``,
    ``no_reason``, ``closed``, ``undone``, ``refunded``, ``not_paid``, ``reversed``.
    """

    def __init__(self, reason: str, **facts: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts
