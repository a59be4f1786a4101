"""The options of experiments: those that all have, and what each may be, by its name; what breaks that is one line.

shortened(config)   the same, with a warm-up that a short run has steps for
check(config)       ends the process with exit code 2, before anything is read, computed or written
settings(config)    what makes a run this run
description(notes)  what --help says above them
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.refusals import refuse
from jnn.launch import USAGE
from jnn.terminal import say


@dataclasses.dataclass(frozen=True)
class Preflight:
    """The options of a pre-flight: --preflight names the machine, and the others are typed --preflight.NAME."""

    # a machine that need not be there, such as v5p:8x8x8
    machine: Annotated[str | None, tyro.conf.arg(name="preflight", prefix_name=False)] = None
    search: bool = False  # whether to try meshes, micro-batches and what is remembered, and rank them
    compiles: int = 8  # how many of these are compiled, a minute each for a large model
    budget: str | None = None  # such as memory=14e9,seconds=0.5,bytes=2e9, or "fits": exit code 1 if over it
    json: bool = False  # whether to print JSON
    price: float | None = None  # of a chip-hour, for what the run costs there
    tokens: float | None = None  # the length of the run that is billed, in place of its steps
    epochs: float | None = None  # or in passes over the data


@dataclasses.dataclass(frozen=True)
class Common:
    """The options that mean the same everywhere."""

    steps: int  # updates in all
    workdir: str  # the run's folder
    seed: int = 0  # of initial values, noise and the order of examples
    mesh: str = "data=-1"  # of all devices, such as data=2,fsdp=4; on one device there is none
    lanes: int | None = None  # parts of a batch whose gradients are added in one order, on any number of devices
    data_dir: str | None = None  # default: $JNN_DATA, else ~/.cache/jnn
    save_seconds: float = 10.0  # what a killed run may have to do again
    serve: int | None = None  # a port of this machine (0: any) for a page that follows the run
    compilation_cache: bool = True  # whether compiled programs are kept for later runs, below ~/.cache/jnn/compiled
    kernels: Literal["off", "write", "strict"] = "off"  # list what runs the step in kernels.txt; refuse what falls back
    tensorboard: bool = False  # whether to write event files too, below <workdir>/tensorboard
    replay: str | None = None  # the folder of a capsule: make its step again, do not train
    preflight: Preflight = Preflight()  # with a machine: report on the step there, do not train


# of these a run may have others when it goes on
NOT_SETTINGS = (
    "workdir",
    "mesh",
    "data_dir",
    "save_seconds",
    "serve",
    "compilation_cache",
    "kernels",
    "tensorboard",
    "replay",
    "preflight",
)


FILES = ("text", "sources")  # these name what is read: a file, or a folder of them


def settings(config: Any) -> dict[str, Any]:
    """What makes a run this run, by name; of the files that it reads, what is in them.

    Raises:
      OSError: one of them cannot be read; of one that is not there the experiment tells.
    """
    found = {name: value for name, value in dataclasses.asdict(config).items() if name not in NOT_SETTINGS}
    return found | {f"{name}_sha256": _sha256(Path(found[name])) for name in FILES if found.get(name) is not None}


def _sha256(path: Path) -> str:
    """Of a file, or of all below a folder and their names: enough of it to tell two from each other."""
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.exists() and not file.is_dir():
            content = hashlib.sha256(file.read_bytes()).digest()
            whole.update(file.relative_to(path).as_posix().encode() + b"\0" + content)
    return whole.hexdigest()[:16]


Rule = tuple[str, Callable[[Any], bool]]  # what is expected, and whether a value is that

COUNT: Rule = ("a whole number of at least 1", lambda x: x >= 1)
POSITIVE: Rule = ("a positive number", lambda x: 0 < x < math.inf)
NOT_NEGATIVE: Rule = ("a number of at least 0", lambda x: 0 <= x < math.inf)
SHARE: Rule = ("a number of at least 0 and less than 1", lambda x: 0 <= x < 1)
PART: Rule = ("a number between 0 and 1", lambda x: 0 < x < 1)
TEXT: Rule = ("a text that is not empty", lambda x: x.strip() != "" and "\0" not in x)
COUNTS: Rule = ("whole numbers of at least 1", lambda x: all(size >= 1 for size in x))
RULES: dict[str, Rule] = {
    **dict.fromkeys(("steps", "steps_per_call", "batch_size", "lanes", "preflight.compiles", "every"), COUNT),
    **dict.fromkeys(("layers", "heads", "embed", "dense", "width", "depth", "restarts", "maps"), COUNT),
    **dict.fromkeys(("train_reviews", "test_reviews", "tokens", "letters", "word", "lines"), COUNT),
    **dict.fromkeys(("first_steps", "refresh", "rank", "test_pairs", "examples", "samples"), COUNT),
    **dict.fromkeys(("size", "few", "label_steps", "few_steps", "tries", "tuning_steps"), COUNT),
    **dict.fromkeys(("blocks", "factors", "negatives", "beams"), COUNT),
    **dict.fromkeys(("positions", "simulations", "test_simulations"), COUNT),
    **dict.fromkeys(("members", "top", "seeds", "test_steps"), COUNT),
    "opening": ("0, 2 or 4 moves", lambda x: x in (0, 2, 4)),
    "qubits": ("a whole number from 3 to 20", lambda x: 3 <= x <= 20),
    "patch": ("1, 2, 4, 8 or 16, which divide 32 pixels", lambda x: x in (1, 2, 4, 8, 16)),
    "drawing": NOT_NEGATIVE,
    **dict.fromkeys(("runs", "repeats", "walk_steps", "episodes"), COUNT),
    **dict.fromkeys(("p", "q"), POSITIVE),
    **dict.fromkeys(("latent", "codes", "couplings", "prior_steps", "judge_steps"), COUNT),
    **dict.fromkeys(("learning_rate", "temperature", "scale", "preflight.tokens", "preflight.epochs"), POSITIVE),
    **dict.fromkeys(
        ("weight_decay", "decay", "bias_decay", "beta", "smoothness", "sparsity", "preflight.price"), NOT_NEGATIVE
    ),
    **dict.fromkeys(("first_rate", "head_rate", "dpo_rate", "clip", "mixture_rate"), POSITIVE),
    **dict.fromkeys(
        ("rates", "boosting_rates"),
        ("one or more positive numbers", lambda x: len(x) > 0 and all(map(POSITIVE[1], x))),
    ),
    **dict.fromkeys(("margin", "inner_rate", "tuned_rate", "style_weight", "noise", "strength"), POSITIVE),
    **dict.fromkeys(("ways", "shots", "queries", "filters", "groups", "inner_steps"), COUNT),
    **dict.fromkeys(("dropout", "word_dropout", "untold", "average"), SHARE),
    **dict.fromkeys(
        (
            *("workdir", "mesh", "data_dir", "replay", "preflight", "preflight.budget", "text", "sources"),
            *("onnx_python", "litert_python", "web"),
        ),
        TEXT,
    ),
    **dict.fromkeys(
        ("warmup", "length_warmup", "half_steps", "sample"), ("a whole number of at least 0", lambda x: x >= 0)
    ),
    "seed": ("a whole number of at least 0 and less than 2**32", lambda x: 0 <= x < 2**32),
    "serve": ("a port from 0 to 65535, where 0 stands for any free one", lambda x: 0 <= x <= 65535),
    "save_seconds": ("a number of at least 0", lambda x: x >= 0),  # infinite: at the end alone
    "context": ("a whole number of at least 2", lambda x: x >= 2),
    "label_counts": (
        "one or more multiples of 50 up to 40,000, for ten classes and a fifth that validates",
        lambda x: len(x) > 0 and all(n % 50 == 0 and 50 <= n <= 40_000 for n in x),
    ),
    "test_images": ("a multiple of 10 from 10 to 10,000", lambda x: x % 10 == 0 and 10 <= x <= 10_000),
    "resolution": ("a multiple of 8 from 32 to 224", lambda x: x % 8 == 0 and 32 <= x <= 224),
    "tile": ("a multiple of 16 from 16 to 224", lambda x: x % 16 == 0 and 16 <= x <= 224),
    "side": ("a whole number of at least 16", lambda x: x >= 16),
    "points": ("a whole number of at least 2", lambda x: x >= 2),
    "group": ("a whole number of at least 2, for one answer has no other to be better than", lambda x: x >= 2),
    "length": ("a whole number of at least 2", lambda x: x >= 2),
    "evaluations": ("a whole number of at least 2", lambda x: x >= 2),
    "guidance": ("numbers of at least 0", lambda x: all(0 <= scale < math.inf for scale in x)),
    **dict.fromkeys(("held_out", "masked"), PART),
    "vocab": ("a whole number of at least 257, 256 bytes and more", lambda x: x >= 257),
    "separator": ("a text that is not empty", lambda x: x != ""),
    "smoothing": ("a number from 0 to 1", lambda x: 0 <= x <= 1),
    **dict.fromkeys(
        ("hidden", "labels"), ("whole numbers of at least 1", lambda x: COUNTS[1](x if isinstance(x, tuple) else (x,)))
    ),
    "channels": COUNTS,
    "words": ("one or more texts, none of them empty", lambda x: len(x) > 0 and all(map(TEXT[1], x))),
    **dict.fromkeys(
        (
            "methods",
            "stages",
            "networks",
            "protocols",
            "scenarios",
            "tables",
            "texts",
            "styles",
            "baselines",
            "without",
        ),
        ("one or more of them", lambda x: len(x) > 0),
    ),
    "angle": ("an angle of at least 0 and less than pi", lambda x: 0 <= x < math.pi),
    "wrong": ("one or more numbers of at least 0 and less than 1", lambda x: len(x) > 0 and all(map(SHARE[1], x))),
    "widths": ("one or more whole numbers of at least 1", lambda x: len(x) > 0 and COUNTS[1](x)),
    "classes": ("two digits from 0 to 9 that differ", lambda x: x[0] != x[1] and all(0 <= digit <= 9 for digit in x)),
}


def shortened(config: Any) -> Any:
    """The same; in a run no longer than the warm-up that it has by default, the warm-up is the same share of the steps.

    So `--steps 5` runs wherever `--steps` does; a warm-up that somebody has asked for is not changed.
    """
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    if config.steps < 1 or "warmup" not in usual or config.warmup != usual["warmup"] or config.warmup < config.steps:
        return config
    warmup = config.steps * usual["warmup"] // usual["steps"]
    say(f"--warmup {warmup}, for the usual {usual['warmup']} leave nothing of {config.steps} steps")
    return dataclasses.replace(config, warmup=warmup)


def check(config: Any) -> None:
    """Ends the process where an option is out of its range, or several mean nothing together."""
    flight: Preflight = config.preflight
    check_ranges(vars(config) | {"preflight": flight.machine} | _typed(flight), RULES)
    given = [name for name, value in _typed(flight).items() if value != _typed(Preflight())[name]]
    if given and flight.machine is None:
        names = ", ".join(map(option, given))
        refuse(f"{names}: of a pre-flight alone. Add --preflight with a machine, such as v5e:16x16.", USAGE)
    if config.replay is not None and flight.machine is not None:
        refuse("--replay and --preflight: expected at most one of them, found both.", USAGE)
    if flight.tokens is not None and flight.epochs is not None:
        refuse("--preflight.tokens and --preflight.epochs: expected at most one of them, found both.", USAGE)
    for name in ("warmup", "length_warmup"):
        if (found := vars(config).get(name, 0)) >= config.steps:
            refuse(
                f"{option(name)}: expected fewer than the {config.steps} steps, found {found}. "
                f"Type --steps {found + 1} or more, or a smaller {option(name)}.",
                USAGE,
            )


def check_ranges(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Ends the process where one of these options is out of its range."""
    for name, value in values.items():
        if name in rules and value is not None and not rules[name][1](value):
            refuse(f"{option(name)}: expected {rules[name][0]}, found {value!r}.", USAGE)


def _typed(flight: Preflight) -> dict[str, Any]:
    """Its options by the names that are typed, without the machine's."""
    return {f"preflight.{name}": value for name, value in vars(flight).items() if name != "machine"}


def option(name: str) -> str:
    """As it is typed."""
    return f"--{name.replace('_', '-')}"


def description(notes: str | None) -> str:
    """Notes for --help, line by line: tyro joins to the line before whatever begins with a letter."""
    return re.sub(r"\n+", "\n ", (notes or "").strip())
