"""Chromium, and a person in front of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    expect,
    sync_playwright,
)

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
#: A refusal by the server is told by the page; Chromium writes it to the console as well.
_REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
#: Milliseconds that anything may take on a busy machine; a wait ends as soon as what is waited for is there.
PATIENCE = 45_000
_WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", event => console.error(
  "CSP violation:", event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber));
"""
_PHONE_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)


def chromium() -> str | None:
    """The browser's program: CHROMIUM, or what the system has."""
    for candidate in (os.environ.get("CHROMIUM"), "/usr/bin/chromium", "chromium"):
        if candidate and (found := shutil.which(candidate)):
            return found
    return None


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """A running Chromium."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody with a browser of their own. ``troubles`` collects what no page may ever cause."""

    def __init__(
        self,
        browser: Browser,
        base: str,
        *,
        language: str = "en",
        phone: bool = False,
        width: int = 390,
        script: bool = True,
    ) -> None:
        options: dict[str, Any] = {
            "base_url": base,
            "locale": "zh-CN" if language == "zh-hans" else "en-GB",
            "timezone_id": "Asia/Shanghai",
            "viewport": {"width": 1280, "height": 900},
        }
        if phone:
            options |= {"viewport": {"width": width, "height": 844}, "user_agent": _PHONE_AGENT}
        if not script:
            options["java_script_enabled"] = False
        self.base = base
        self.troubles: list[str] = []
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script(_WATCH_POLICY)
        # Cookies know no ports: the simulator's in-app browsers get it as well.
        self.context.add_cookies(
            [{"name": "django_language", "value": language, "domain": "localhost", "path": "/"}]
        )
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.troubles.append(f"script: {error.error}"))
        self.context.on("response", self._response)
        self.page: Page = self.context.new_page()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _REFUSAL.match(message.text):
            self.troubles.append(f"console: {message.text} ({message.location.get('url')})")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.troubles.append(f"{response.status} from {response.request.method} {response.url}")

    def new_page(self) -> Page:
        """Another tab."""
        return self.context.new_page()
