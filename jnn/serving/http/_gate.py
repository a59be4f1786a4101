"""Who may ask: under this machine's own name, or with a token; never a page of another site.

A page elsewhere can make a browser send requests here. It cannot set this content type without being allowed to, which
it is not; and a name that it points to this machine ("DNS rebinding") is not this machine's.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

from jnn.serving.http._problem import Problem

HOST = re.compile(r"(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d{1,5})?", re.ASCII)  # any port: it may be forwarded
OPEN = ("/", "/health")  # says nothing of anybody


def check_gate(scope: Any, token: str | None) -> None:
    """Raises unless the request may be answered."""
    headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    of = lambda wanted: [value for name, value in headers if name == wanted]
    if token is None:
        if len(hosts := of(b"host")) != 1 or not HOST.fullmatch(hosts[0]):
            raise Problem(403, "This server is at 127.0.0.1 or localhost only.", code="wrong_host")
    elif scope["path"] not in OPEN:
        given = of(b"authorization")
        expected = f"Bearer {token}".encode()
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("latin-1"), expected):
            message = "Expected the header 'Authorization: Bearer TOKEN' with the token that this server was given."
            raise Problem(401, message, code="invalid_api_key")
    kind = (of(b"content-type") or ["none"])[0]
    if scope["method"] == "POST" and kind.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, f"Expected the content type application/json, found {kind}.")
