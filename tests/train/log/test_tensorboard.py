"""TensorBoard events, read back record by record."""

import importlib.util
import math
import struct
import sys

import pytest

from jnn.train.log.tensorboard import TensorBoardLog

ROWS = [{"step": 5 * i, "train/loss": 1 / 2**i, "val/loss": 2.0} for i in range(1, 5)]
needs_writer = pytest.mark.skipif(not importlib.util.find_spec("tensorboardX"), reason="needs the extra tensorboard")


def events(path):
    """The events of a file, with the checksum of every record compared."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        body = data[at + 12 : at + 12 + length]
        assert check == masked_crc32c(data[at : at + 8])
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked_crc32c(body)
        found.append(Event.FromString(body))
        at += 16 + length
    return found


def rows(folder):
    """What TensorBoard shows: the files by name, and at the start of a session all from its step on is void."""
    shown = {}
    for path in sorted(folder.iterdir()):
        assert "tfevents" in path.name
        first, *rest = events(path)
        assert first.file_version == "brain.Event:2"
        for event in rest:
            if event.HasField("session_log"):
                assert event.session_log.status == event.session_log.START
                shown = {step: row for step, row in shown.items() if step < event.step}
            else:
                assert event.step not in shown
                shown[event.step] = {value.tag: value.simple_value for value in event.summary.value}
    return [{"step": step, **row} for step, row in shown.items()]


def write(folder, rows):
    with TensorBoardLog(folder) as log:
        for row in rows:
            log(row)
    return folder


@needs_writer
def test_rows_are_read_as_they_were_written(tmp_path):
    assert rows(write(tmp_path / "new" / "folder", ROWS)) == ROWS


@needs_writer
def test_a_row_is_in_the_file_when_the_call_returns(tmp_path):
    with TensorBoardLog(tmp_path) as log:
        for i, row in enumerate(ROWS):
            log(row)
            assert rows(tmp_path) == ROWS[: i + 1]


@needs_writer
@pytest.mark.parametrize("replayed", [True, False])
@pytest.mark.parametrize("resumed", range(4))
def test_a_resumed_run_has_each_row_once(tmp_path, resumed, replayed):
    write(tmp_path, [*ROWS[:resumed], *({**row, "lost": 1.0} for row in ROWS[resumed:])])
    assert rows(write(tmp_path, ROWS if replayed else ROWS[resumed:])) == ROWS
    assert len(list(tmp_path.iterdir())) == 2  # begun within one second, and neither wrote over the other


@needs_writer
def test_a_run_that_goes_back_voids_what_it_leaves(tmp_path):
    again = {"step": 7, "train/loss": 0.5}
    assert rows(write(tmp_path, [*ROWS, again])) == [ROWS[0], again]


@needs_writer
def test_values_that_are_not_finite_are_kept(tmp_path):
    (row,) = rows(write(tmp_path, [{"step": 1, "a": math.nan, "b": math.inf}]))
    assert math.isnan(row["a"])
    assert row["b"] == math.inf


def test_without_the_writer_the_error_names_the_extra(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"tensorboardX.* is not installed. .*pip install 'jnn\[tensorboard\]'"):
        TensorBoardLog(tmp_path)
