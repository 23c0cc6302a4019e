"""How much is odd: the thresholds of the rules behind ``CodeAlert``, in one place for the statements and the sentences."""

from __future__ import annotations

from typing import Final

#: The days that a habit is taken from.
HABIT_DAYS: Final = 28
#: What makes a habit: openings, and days with any, within ``HABIT_DAYS``.
HABIT_SCANS: Final = 20
HABIT_OPEN_DAYS: Final = 8
#: Gone quiet: so many times its longest usual pause without an opening.
QUIET_TIMES: Final = 2
#: A code that was opened last before so many days is not missed any more.
QUIET_FORGOTTEN_DAYS: Final = 90
#: Far more than usual: at least so many openings a day, and so many times its busiest day.
SURGE_SCANS: Final = 50
SURGE_TIMES: Final = 5
#: Many scans, nothing paid: openings in one hour of the clock, and the minutes after it in which a payment still counts.
UNPAID_SCANS: Final = 30
UNPAID_GRACE_MINUTES: Final = 15
#: An order opened just before closing may be paid so long after it.
CLOSED_GRACE_MINUTES: Final = 30
#: Without opening hours: the payments within ``HABIT_DAYS`` that make a habit, and how many odd ones of a day are told.
HABIT_PAYMENTS: Final = 40
ODD_PAYMENTS: Final = 3
#: A stopped code: opened in so many different hours of the last days, the first day after it was stopped left out.
STOPPED_HOURS: Final = 3
STOPPED_DAYS: Final = 7
