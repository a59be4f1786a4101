"""A page in the browser with the curves of runs while they go on.

    python -m jnn.train.log.live runs         every run below a folder, until Ctrl-C
    with serve(folder) as page: fit(...)      beside a training, in a daemon thread

Laws: listens on 127.0.0.1 alone; answers GET with one of two resources, the page and its rows (or what
is new of them since an answer before), and writes nothing; no part of a request names a file; a
request whose Host is another name is refused, so that no other site can read the rows through a name
that it points here ("DNS rebinding"); the page loads nothing from anywhere else, and what it shows of
a run is text, never markup.

On another machine, forward the port: `ssh -L 8000:127.0.0.1:PORT host`, then open http://localhost:8000.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import json
import re
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jnn.train.log._snapshot import Runs

HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.ASCII)  # any port: it may be forwarded
ROWS = re.compile(r"/rows\.json(?:\?since=([0-9a-f]+\.\d{1,18}))?", re.ASCII)


def serve(folder: str | Path, port: int = 0, *, stalled_after: float = 300.0) -> LivePage:
    """Shows the runs in a folder, or one and two folders below it, at `.url` until `.close()`.

    Args:
      folder: of `metrics.jsonl` files, as `jnn.train.log.progress.ProgressLog` writes them.
      port: of 127.0.0.1; 0 for any free one.
      stalled_after: a run without a new row for so many seconds is shown as stalled.

    Raises:
      NotADirectoryError: there is no such folder.
      ValueError: a port outside 0..65535, or `stalled_after` that is not positive.
      OSError: the port is taken.

    >>> import tempfile
    >>> with serve(tempfile.mkdtemp()) as page:
    ...     print(page.url)
    http://127.0.0.1:.../
    """
    if not (root := Path(folder)).is_dir():
        raise NotADirectoryError(f"serve: expected the folder of a run or of several, found none at {folder}.")
    if not 0 <= port <= 65535:
        raise ValueError(f"serve: a port lies in 0..65535, where 0 stands for any free one; found {port}.")
    if not stalled_after > 0:
        raise ValueError(f"serve: stalled_after must be positive seconds, found {stalled_after}.")
    page, policy = _page(root.resolve().name or str(root))
    try:
        server = _Server(port, page, policy, Runs(root, stalled_after).since)
    except OSError as error:
        raise OSError(f"serve: cannot listen on port {port} of 127.0.0.1 ({error}). Try another, or 0.") from error
    return LivePage(server)


class LivePage:
    """A page that is being served; a context manager, or `.close()` it. It ends with the process at the latest."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="jnn live page", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def wait(self) -> None:
        """Returns when the page is closed."""
        self._thread.join()

    def close(self) -> None:
        """Stops to listen."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    """Unlike `http.server.HTTPServer` it asks nobody for the host's name."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, page: str, policy: str, since: Callable[[str], dict[str, Any]]) -> None:
        self.page, self.policy, self.since = page, policy, since
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is none of a training's errors."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request: refused, or one of the server's resources."""

    server: _Server
    server_version, sys_version = "jnn", ""
    timeout = 10  # seconds for the request to arrive

    def parse_request(self) -> bool:
        """False, with an answer given, for what is not a GET under a name of this machine's own."""
        if not super().parse_request():
            return False
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            self._answer(403, "text/plain", "This page is at 127.0.0.1 or localhost only.\n")
        elif self.command != "GET":
            self._answer(405, "text/plain", "This page can only be read: GET.\n", Allow="GET")
        else:
            return True
        return False

    def do_GET(self) -> None:
        """The resource of exactly this path."""
        if self.path == "/":
            self._answer(200, "text/html; charset=utf-8", self.server.page)
        elif asked := ROWS.fullmatch(self.path):
            self._answer(200, "application/json", json.dumps(self.server.since(asked[1] or ""), allow_nan=False))
        else:
            self._answer(404, "text/plain", "There is only / and /rows.json.\n")

    def _answer(self, status: int, kind: str, text: str, **headers: str) -> None:
        body = text.encode()
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": self.server.policy,
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        self.send_response(status)
        for name, value in (fixed | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: standard error belongs to the progress bar."""


def _page(title: str) -> tuple[str, str]:
    """The page, and the policy under which a browser runs its script and style and loads nothing else."""
    style, script = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("live.css", "live.js"))
    name = html.escape(title)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>'
    body = f'<header><h1>{name}</h1><p id="note" role="status">Loading.</p></header><ul id="runs"></ul>'
    page = (
        f'<!doctype html><html lang="en"><head>{head}<style>{style}</style></head>'
        f'<body>{body}<main id="plots"></main><script>{script}</script></body></html>'
    )
    policy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return page, f"{policy}; style-src '{_hash(style)}'; script-src '{_hash(script)}'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jnn.train.log.live", description="Curves of runs while they go on."
    )
    parser.add_argument("folder", help="of a run, or of several")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; default: any free one")
    parser.add_argument("--stalled-after", type=float, default=300.0, help="seconds without a row; default: 300")
    given = parser.parse_args(arguments)
    try:
        page = serve(given.folder, given.port, stalled_after=given.stalled_after)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with page:
        print(f"{given.folder} is shown at {page.url}; Ctrl-C ends it.", flush=True)
        try:
            page.wait()
        except KeyboardInterrupt:
            print("Ended.")


if __name__ == "__main__":
    main()
