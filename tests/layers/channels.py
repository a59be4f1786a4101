"""Between jnn's layout, channels last, and torch's, channels first."""

import torch


def first(x: torch.Tensor) -> torch.Tensor:
    """(b, *spatial, c) -> (b, c, *spatial)."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """(b, c, *spatial) -> (b, *spatial, c)."""
    return x.movedim(1, -1)


def kernel(w: torch.Tensor) -> torch.Tensor:
    """(*kernel, c_in, c_out) -> (c_out, c_in, *kernel)."""
    return w.movedim(-1, 0).movedim(-1, 1)


def pad_argument(pairs) -> list[int]:
    """Pairs per axis, first axis first -> torch's flat list, last axis first."""
    return [int(side) for pair in reversed(list(pairs)) for side in pair]
