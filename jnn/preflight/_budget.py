"""What a step may take.

Budget(memory=..., seconds=..., bytes=...), Budget.parse("memory=14e9,seconds=0.5")
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Budget:
    """Budget of a step: what it may take; None for whatever it does, of memory for what a program may have."""

    memory: float | None = None  # bytes on each device
    seconds: float | None = None  # of a step, by the roofline as scheduled
    bytes: float | None = None  # that collectives move, on each device

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not value > 0:
                raise ValueError(f"Budget: {name} is a positive number or None, found {value!r}.")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """From a command line: `memory=14e9,seconds=0.5,bytes=2e9`, any of them; "fits" for none.

        Raises ValueError for anything else.

        >>> Budget.parse("seconds=0.5"), Budget.parse("fits") == Budget()
        (Budget(memory=None, seconds=0.5, bytes=None), True)
        """
        if text == "fits":
            return cls()
        names = {field.name for field in dataclasses.fields(cls)}
        parts = [part.partition("=") for part in text.split(",")]
        try:
            limits = {name.strip(): float(value) for name, _, value in parts}
        except ValueError:
            limits = {}
        if not limits or len(limits) < len(parts) or set(limits) - names:
            raise ValueError(
                f"Budget: expected 'fits', or such as 'memory=14e9,seconds=0.5,bytes=2e9', found {text!r}."
            )
        return cls(**limits)
