"""What a server lets one client ask for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Serving limits.

    Attributes:
      body: bytes of a request.
      tokens: that are drawn where a chat names no number.
      seconds: that a request may take, waiting among them.
      arrival: seconds that a request's body may take to arrive, and that a client may read nothing.
    """

    body: int = 1 << 20
    tokens: int = 512
    seconds: float = 300.0
    arrival: float = 30.0
