"""Streams that fail, and the progress bar on them."""

import errno
import io
import sys

import pytest

from jnn.terminal import Terminal, say
from jnn.train.log.progress import ProgressLog
from jnn.train.log.rows import read_rows, read_status

ROWS = [{"step": 5, "train/größe∞": 0.5}, {"step": 10, "train/größe∞": 0.25}]


class Failing(io.StringIO):
    """A stream that takes some writes, and then none."""

    encoding = "utf-8"

    def __init__(self, error, after=0):
        super().__init__()
        self.error, self.left = error, after

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


ERRORS = [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "No space"), ValueError("closed file")]


def ascii_stream():
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_stream_that_fails_is_left_alone(error):
    stream = Failing(error, after=1)
    terminal = Terminal(stream)
    assert [say("one", terminal), say("two", terminal), say("three", terminal)] == [True, False, False]
    assert stream.getvalue() == "one\n"


def test_a_stream_that_is_not_there_is_silent(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not say("nobody hears")
    assert not Terminal(None).isatty()


def test_what_an_encoding_lacks_is_written_with_backslashes():
    stream = ascii_stream()
    assert say("größe∞", Terminal(stream))
    assert stream.buffer.getvalue() == b"gr\\xf6\\xdfe\\u221e\n"


@pytest.mark.parametrize(
    "stream", [*(Failing(error, after=n) for n in (0, 3) for error in ERRORS), None, ascii_stream()]
)
@pytest.mark.parametrize("environ", [{}, {"COLUMNS": "1", "NO_COLOR": "1"}, {"TERM": "dumb", "FORCE_COLOR": "1"}])
def test_a_bar_ends_no_run(tmp_path, monkeypatch, stream, environ):
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with ProgressLog(tmp_path, steps=10, label="größe∞") as log:
        for row in ROWS:
            log(row)
    assert read_rows(tmp_path / "metrics.jsonl") == ROWS
    assert read_status(tmp_path / "status.json")["state"] == "finished"
