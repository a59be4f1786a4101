"""What the options of experiments may be: each has a rule, by its name, and what breaks it is one line.

check(config)     ends the process with exit code 2, before anything is read, computed or written
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from experiments.refusals import refuse
from experiments.training import FLIGHT, Common
from jnn.launch import USAGE

Rule = tuple[str, Callable[[Any], bool]]  # what is expected, and whether a value is that

COUNT: Rule = ("a whole number of at least 1", lambda x: x >= 1)
POSITIVE: Rule = ("a positive number", lambda x: 0 < x < math.inf)
NOT_NEGATIVE: Rule = ("a number of at least 0", lambda x: 0 <= x < math.inf)
SHARE: Rule = ("a number of at least 0 and less than 1", lambda x: 0 <= x < 1)
PART: Rule = ("a number between 0 and 1", lambda x: 0 < x < 1)
TEXT: Rule = ("a text that is not empty", lambda x: x.strip() != "" and "\0" not in x)
COUNTS: Rule = ("whole numbers of at least 1", lambda x: all(size >= 1 for size in x))
RULES: dict[str, Rule] = {
    **dict.fromkeys(("steps", "steps_per_call", "batch_size", "lanes", "compiles", "every"), COUNT),
    **dict.fromkeys(("layers", "heads", "embed", "dense", "width", "restarts"), COUNT),
    **dict.fromkeys(("learning_rate", "temperature", "scale", "tokens", "epochs"), POSITIVE),
    **dict.fromkeys(("weight_decay", "price"), NOT_NEGATIVE),
    **dict.fromkeys(("dropout", "word_dropout"), SHARE),
    **dict.fromkeys(("workdir", "mesh", "data_dir", "replay", "preflight", "budget"), TEXT),
    **dict.fromkeys(("warmup", "sample"), ("a whole number of at least 0", lambda x: x >= 0)),
    "seed": ("a whole number of at least 0 and less than 2**32", lambda x: 0 <= x < 2**32),
    "serve": ("a port from 0 to 65535, where 0 stands for any free one", lambda x: 0 <= x <= 65535),
    "save_seconds": ("a number of at least 0", lambda x: x >= 0),  # infinite: at the end alone
    "context": ("a whole number of at least 2", lambda x: x >= 2),
    "points": ("a whole number of at least 2", lambda x: x >= 2),
    "held_out": PART,
    "smoothing": ("a number from 0 to 1", lambda x: 0 <= x <= 1),
    "hidden": ("whole numbers of at least 1", lambda x: COUNTS[1](x if isinstance(x, tuple) else (x,))),
    "channels": COUNTS,
    "widths": ("one or more whole numbers of at least 1", lambda x: len(x) > 0 and COUNTS[1](x)),
    "classes": ("two digits from 0 to 9 that differ", lambda x: x[0] != x[1] and all(0 <= digit <= 9 for digit in x)),
}


def check(config: Any) -> None:
    """Ends the process where an option is out of its range, or several mean nothing together."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in RULES and value is not None and not RULES[field.name][1](value):
            refuse(f"{option(field.name)}: expected {RULES[field.name][0]}, found {value!r}.", USAGE)
    defaults = {field.name: field.default for field in dataclasses.fields(Common)}
    given = [name for name in FLIGHT[1:] if getattr(config, name) != defaults[name]]
    if given and config.preflight is None:
        names = ", ".join(map(option, given))
        refuse(f"{names}: of a pre-flight alone. Add --preflight with a machine, such as v5e:16x16.", USAGE)
    if config.replay is not None and config.preflight is not None:
        refuse("--replay and --preflight: expected at most one of them, found both.", USAGE)
    if config.tokens is not None and config.epochs is not None:
        refuse("--tokens and --epochs: expected at most one of them, found both.", USAGE)


def option(name: str) -> str:
    """As it is typed."""
    return f"--{name.replace('_', '-')}"
