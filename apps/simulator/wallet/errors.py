"""The simulator's own error pages, short and without a template that could fail as well."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def _page(status: int, text: str) -> HttpResponse:
    return HttpResponse(
        '<!doctype html><html lang="zh-Hans"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>SIMULATOR 模拟器</title>'
        f'<p>SIMULATOR 模拟器</p><h1>{status}</h1><p>{text}</p><p><a href="/">首页 Home</a></p>',
        status=status,
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return _page(400, "请求无效 Bad request")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return _page(403, "不允许 Forbidden")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return _page(404, "没有这个页面 No such page")


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    return _page(500, "模拟器出错了 The simulator failed; its log says why")
