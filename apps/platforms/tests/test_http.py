"""The one door to the platforms: what it lets through, what it keeps out of the log."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from apps.platforms.gateway import PlatformUnavailable
from apps.platforms.http import PlatformHttp


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("X-Connection", str(self.client_address[1]))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # the library's name
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    """A real server on loopback that sends back what it gets."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_bytes_go_and_come_untouched(echo: str) -> None:
    http = PlatformHttp(timeout=2)
    body = bytes(range(256))
    assert http.send("POST", f"{echo}/a?b=c%2Fd", body=body).body == body
    assert asyncio.run(http.send_async("POST", echo, body=body)).body == body
    http.close()


def test_many_at_once_in_one_session(echo: str) -> None:
    http = PlatformHttp(timeout=2)

    async def poll() -> list[bytes]:
        async with http.session():
            calls = [http.send_async("POST", echo, body=str(n).encode()) for n in range(5)]
            return [answer.body for answer in await asyncio.gather(*calls)]

    assert asyncio.run(poll()) == [b"0", b"1", b"2", b"3", b"4"]


def test_nobody_there() -> None:
    http = PlatformHttp(timeout=0.5)
    with pytest.raises(PlatformUnavailable) as caught:
        http.send("GET", "http://127.0.0.1:1/")
    assert caught.value.code == "network"
    http.close()


def test_a_proxy_is_not_asked_for_loopback(echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    http = PlatformHttp(timeout=2)
    assert http.send("POST", echo, body=b"x").body == b"x"
    http.close()


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            raise httpx.ReadTimeout("https://pay.test/x?secret=s3cret", request=request)
        return httpx.Response(200, content=b"s3cret-answer")

    http = PlatformHttp(timeout=1, transport=httpx.MockTransport(answer))
    headers = {"Authorization": "s3cret"}
    with caplog.at_level(logging.DEBUG):
        http.send("POST", "https://pay.test/x?secret=s3cret", headers=headers, body=b"s3cret")
        with pytest.raises(PlatformUnavailable):
            http.send("GET", "https://pay.test/x?secret=s3cret", headers=headers)
    assert "s3cret" not in caplog.text
    assert caplog.text.count("https://pay.test/x") == 2
