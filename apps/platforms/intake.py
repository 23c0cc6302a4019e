"""What higher rooms do with a verified notification: they register one handler for each kind.

``payments`` registers the handler of payments and ``refunds`` that of refunds in ``AppConfig.ready()``; the intake
(``services.notifications``) calls it inside the transaction that also marks the notification.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from apps.core.audit import Actor
from apps.platforms import gateway
from apps.platforms.models import NotificationState, PlatformAccount


class NotificationHandler(ABC):
    """Applies one kind of notification."""

    @abstractmethod
    def apply(
        self,
        *,
        account: PlatformAccount,
        notification: gateway.Notification,
        now: datetime,
        actor: Actor,
    ) -> NotificationState:
        """Apply a verified notification in the caller's transaction and scope, without calling the platform.

        Returns ``APPLIED`` when something changed, ``REPEATED`` when it was known already, ``UNMATCHED`` when it names
        no payment or refund of ours, ``REFUSED`` when it contradicts what we know (another amount). Anything raised
        rolls back what was done and is tried again later. May be called more than once for the same event, so it moves
        state by conditional UPDATE.
        """


_handlers: dict[gateway.NotificationKind, NotificationHandler] = {}


class NoHandler(RuntimeError):
    """No room has registered a handler for this kind of notification."""


def register_handler(kind: gateway.NotificationKind, handler: NotificationHandler) -> None:
    """Let ``handler`` apply notifications of ``kind``. Raises RuntimeError for a second handler of one kind."""
    if kind in _handlers:
        raise RuntimeError(f"two handlers for notifications of kind {kind}")
    _handlers[kind] = handler


def unregister_handler(kind: gateway.NotificationKind) -> NotificationHandler | None:
    """Take a handler away again and return it; for tests."""
    return _handlers.pop(kind, None)


def handler_of(kind: gateway.NotificationKind) -> NotificationHandler:
    """The handler of ``kind``. Raises NoHandler."""
    try:
        return _handlers[kind]
    except KeyError as error:
        raise NoHandler(f"no handler for notifications of kind {kind}") from error
