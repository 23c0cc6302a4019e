"""Why a platform's books refuse."""


class BooksError(Exception):
    """A platform's books refuse this. ``reason`` is a short English word for the caller to branch on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OrderNumberUsed(BooksError):
    """The merchant already has an order of this number."""


class NotPayable(BooksError):
    """The order cannot be paid: ``paid``, ``closed``, ``expired``, ``code_expired``, ``payer``, ``balance``."""


class NotClosable(BooksError):
    """The order cannot be closed: ``paid`` or ``closed``."""


class NotRefundable(BooksError):
    """No refund: ``unpaid``, ``over`` (more than is left) or ``number_used`` (number of another refund)."""
