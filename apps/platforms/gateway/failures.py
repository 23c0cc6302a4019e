"""What may go wrong with a call, a message or a bill."""

from __future__ import annotations


class PlatformUnavailable(Exception):
    """No usable answer: the call may have taken effect. Ask by query before doing anything else.

    ``message`` is for the person; ``code`` is the platform's, or ``"timeout"``, ``"network"``, ``"http_502"``,
    ``"bad_signature"``, ``"bad_answer"``.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


#: Code of ``PlatformUnavailable`` for a payment that was opened by an earlier call, whose code nobody is told again.
CODE_LOST = "code_lost"


class AskedTooOften(PlatformUnavailable):
    """The platform is there, but was asked about this one thing too often: it wants to be left alone about it for a while."""


class PlatformRejected(Exception):
    """The platform refused for good; ``code`` is the platform's own code, ``message`` its text (may be Chinese).

    ``retry_same`` is True where the platform asks for the same request again later (balance too low), with the same
    number.
    """

    def __init__(self, message: str, *, code: str, retry_same: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.message = message
        self.code = code
        self.retry_same = retry_same


class OrderNotFound(PlatformRejected):
    """The platform does not know this number: never received, or (Alipay precreate) not yet scanned."""


#: Code of ``OrderNotFound`` for a refund of which the platform tells nothing while it shows another one of the payment.
#: Accepted or not, it is sent again under its number, and the answer to that is about it.
REFUND_NOT_SHOWN = "refund_not_shown"


class InvalidSignature(Exception):
    """A message claims to come from the platform and does not verify, or is too old to be trusted."""


class MalformedMessage(Exception):
    """A verified or unverifiable message that cannot be read: not JSON, a field missing, an amount that is no amount."""


#: Code of ``WrongKey`` for WeChat Pay's APIv3 key.
API_V3_KEY_WRONG = "api_v3_key_wrong"


class WrongKey(MalformedMessage):
    """A message whose signature is good does not open with the key that we hold: the key is wrong, not the message.

    ``field`` names the credential at fault, ``code`` is stable and has words in ``messages``. Never raised before the
    signature was verified.
    """

    def __init__(self, message: str, *, field: str, code: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class NotSupported(Exception):
    """The platform, or this connector, cannot do that; see ``capabilities``."""


class StatementNotReady(PlatformUnavailable):
    """The bill is still being made: ask again later."""


class StatementMissing(StatementNotReady):
    """The platform knows no such bill: it is late, or the day had nothing; only time tells which. Ask again later."""


class StatementEmpty(Exception):
    """The platform says that there was nothing to bill on that day."""


class StatementUnreadable(Exception):
    """The file is not a bill of this platform, account, kind or day; says what is wrong and where.

    ``reason`` is a stable word (``"other_day"``, ``"other_account"``, ``"other_format"``, ``"truncated"``,
    ``"too_large"``, ``"bad_row"``, ``"totals"``, ``"personal_bill"``, and the other keys of ``messages.statements``);
    ``line`` counts from 1 in the decoded file.
    """

    def __init__(
        self, reason: str, detail: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.line = line
        self.column = column
