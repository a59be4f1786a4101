"""Whatever a worker raises, cannot read or cannot send is one error where its batch would have come."""

import functools
import sys
import threading
import traceback

import numpy as np
import pytest

from jnn.data import ReadAhead
from tests.data.pipeline.numbered import read


class NeedsTwo(Exception):
    """As many libraries' are: pickled by its message alone, and made from two arguments."""

    def __init__(self, row, why):
        super().__init__(f"row {row}: {why}")


class Forgetful(Exception):
    """Comes back without its message."""

    def __reduce__(self):
        return Forgetful, ()


class Unsendable(Exception):
    def __reduce__(self):
        raise ValueError("not to be sent")


class Deadlier(Exception):
    """Ends whoever reads it."""

    def __reduce__(self):
        return sys.exit, ("read",)


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")


class Locked:
    def __init__(self):
        self.lock = threading.Lock()


class Raises:
    """A source that does something else for step 1."""

    def __init__(self, act):
        self.act = act

    def __getitem__(self, step):
        return self.act() if step == 1 else {"x": np.full(2, step)}


def act(error, *arguments):
    raise error(*arguments)


def raising(error, *arguments):
    """By name: of a function that is made here a worker has no source to show."""
    return functools.partial(act, error, *arguments)


class Late(Raises):
    """A source that fails when it is read in the worker."""

    def __setstate__(self, state):
        raise NeedsTwo(7, "late")


class Lengthless:
    def __len__(self):
        raise NeedsTwo(9, "no length")


KEPT = {"own": (KeyError, "k"), "named": (ZeroDivisionError, "why")}
WRAPPED = {
    "needs two": (NeedsTwo, 3, "broken"),
    "forgetful": (Forgetful, "broken"),
    "unsendable": (Unsendable, "broken"),
    "deadlier": (Deadlier, "broken"),
    "wordless": (Wordless,),
    "exit": (SystemExit, 3),
    "interrupt": (KeyboardInterrupt,),
    "stop": (StopIteration, "broken"),
    "lock": (NeedsTwo, threading.Lock, "broken"),
}


def test_whatever_a_worker_raises_is_one_error_with_its_traceback():
    """One pool for all of them: each step of the source raises another."""
    errors = [*KEPT.values(), *WRAPPED.values()]
    with ReadAhead(Each([raising(*error) for error in errors]), workers=1, depth=1) as ahead:
        for step, (kind, *_) in enumerate(errors):
            with pytest.raises(kind if step < len(KEPT) else RuntimeError) as caught:
                ahead[step]
            told = "".join(traceback.format_exception(caught.value))
            assert kind.__name__ in told
            assert "in act\n    raise error(*arguments)" in told
            if step >= len(KEPT):
                assert str(caught.value).startswith(f"ReadAhead: batch {step} failed in a worker with ")
        assert read(ahead, [len(errors)]) == [len(errors)]


class Each:
    """A source that does something else for each of the first steps."""

    def __init__(self, acts):
        self.acts = acts

    def __getitem__(self, step):
        return self.acts[step]() if step < len(self.acts) else {"x": np.full(2, step)}


def test_what_a_worker_cannot_send_or_count_is_one_clear_error():
    acts = {
        r"a batch holds a lock, which a worker cannot send \(TypeError": lambda: {"x": threading.Lock()},
        r"a batch holds a Unsendable, which a worker cannot send \(ValueError": lambda: {"x": Unsendable()},
        r"batch 2 failed in a worker with .*NeedsTwo: row 9: no length": lambda: {"x": len(Lengthless())},
    }
    with ReadAhead(Each(list(acts.values())), workers=1) as ahead:
        for step, message in enumerate(acts):
            with pytest.raises((RuntimeError, TypeError), match=message):
                ahead[step]


def test_a_source_that_cannot_be_read_in_a_worker_is_one_clear_error():
    message = r"batch 0 failed in a worker with .*NeedsTwo: row 7: late"
    with ReadAhead(Late(None), workers=1) as ahead, pytest.raises(RuntimeError, match=message):
        ahead[0]


def test_batches_that_cannot_be_sent_to_a_worker_are_one_clear_error():
    with (
        ReadAhead(Raises(Locked()), workers=1) as ahead,
        pytest.raises(
            TypeError, match=r"workers need batches that can be pickled, and Raises cannot \(TypeError: cannot"
        ),
    ):
        ahead[0]
