"""Bills by asking: where a platform has none to download, it is asked about each payment and refund of ours of a day.

What it answers is applied like any other word of it and written down as a file of the usual form. Such a file shows what
the platform says of our numbers; it cannot show money that was taken past the portal.

A large day takes longer than one task may run. So each run asks a bounded share of the questions and keeps the answers
(``SweptAnswer``) until there are all and the file is written.
"""

from apps.statements.services.sweeping.asking import TRIES
from apps.statements.services.sweeping.runs import (
    SHARE,
    SHARE_BY_HAND,
    Share,
    SweepGoesOn,
    SweepIncomplete,
    sweep,
)

__all__ = ["SHARE", "SHARE_BY_HAND", "TRIES", "Share", "SweepGoesOn", "SweepIncomplete", "sweep"]
