"""What is wrong with a request, in the shape in which OpenAI's clients read it."""

from __future__ import annotations

from typing import Any

KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class Problem(Exception):
    """A request that is not answered.

    Args:
      status: of HTTP.
      message: what was found, what was expected, and what to do.
      param: the field that is meant.
      code: a word for programs.

    >>> Problem(429, "Try again later.").body["error"]["type"]
    'rate_limit_error'
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        message, param = _whole(message), param and _whole(param)
        kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}

    @property
    def headers(self) -> dict[str, str]:
        """That go with it."""
        more = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}
        return more.get(self.status, {})


def _whole(text: str) -> str:
    """Text that can be sent: what a client wrote may have half a character."""
    return text.encode(errors="backslashreplace").decode()


def wrong(param: str, expected: str, found: Any) -> Problem:
    """A field that is not what it has to be."""
    shown = repr(found)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return Problem(400, f"{param}: expected {expected}, found {shown}.", param=param, code="invalid_value")
