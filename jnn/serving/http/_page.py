"""The page to chat on, and the policy under which a browser runs its script and style and loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path


def page(name: str, *, chats: bool) -> tuple[str, dict[str, str]]:
    """The page of a model, one text without anything beside it, and the headers that go with it."""
    style, script, body = (
        Path(__file__).with_name(f"chat.{kind}").read_text(encoding="utf-8") for kind in ("css", "js", "html")
    )
    settings = html.escape(json.dumps({"model": name, "chats": chats}))
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(name)}</title><style>{style}</style></head>"
        f'<body data-settings="{settings}">{body}<script>{script}</script></body></html>'
    )
    policy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return text, {
        "Content-Security-Policy": f"{policy}; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
