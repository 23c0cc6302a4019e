"""WeChat Pay's error answers: a status and ``{"code", "message", "detail"?}``, never signed."""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.http import HttpResponse


class ApiError(Exception):
    """An answer other than 2xx. Codes and statuses: dossier A4."""

    def __init__(
        self, status: int, code: str, message: str, detail: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail

    def response(self) -> HttpResponse:
        """The HTTP answer, without any Wechatpay-* header."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            body["detail"] = self.detail
        response = HttpResponse(
            json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            status=self.status,
            content_type="application/json; charset=utf-8",
        )
        response["Request-ID"] = new_request_id()
        return response


def new_request_id() -> str:
    """A Request-ID in the platform's manner: upper-case hex with a dash and a number."""
    return f"{secrets.token_hex(16).upper()}-{secrets.randbelow(900000) + 100000}"


def param_error(field: str, issue: str, value: Any = None, location: str = "body") -> ApiError:
    """400 PARAM_ERROR that names the offending field by its JSON pointer."""
    pointer = f"/{location}{field}" if location == "body" else field
    return ApiError(
        400,
        "PARAM_ERROR",
        f"输入源“{pointer}”校验失败：{issue}",
        {"field": field, "value": value, "issue": issue, "location": location},
    )


def sign_error(
    message: str, issue: str = "sign not match", information: dict[str, Any] | None = None
) -> ApiError:
    """401 SIGN_ERROR; ``information`` tells the client what the platform saw under the signature."""
    detail: dict[str, Any] = {
        "field": "signature",
        "issue": issue,
        "location": "authorization",
    }
    if information is not None:
        detail["sign_information"] = information
    return ApiError(401, "SIGN_ERROR", message, detail)
