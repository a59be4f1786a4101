"""Every writer below every kind of folder: what is written there is read there, wherever the program goes meanwhile."""

import json
import os
import resource
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.files import free_name, naming, whole_lines, write_whole
from jnn.train import Checkpoints, Ledger, read_capsule
from jnn.train.capsule import write_capsule
from jnn.train.checkpoint import _folder as on_disk
from jnn.train.checkpoint import read
from jnn.train.log._snapshot import Runs
from jnn.train.log.rows import RowLog, read_rows

KINDS = ["layers=[128,64]", "a\\b", "*?", "gs:", "\udcff", "0", "é 🙂", "x" * 255, "/".join(["y" * 200] * 15), "a/../b"]
NAMES = [
    *("[0]", "[!a]", "[", "a*b", "?", "{a,b}", "\\", "a\\[b\\]", "**", "a b", " lead", "trail ", "a\nb", "\t", "a:b"),
    *("-x", "--help", "~", "~root", "$HOME", "%20", "%s", "100%", "a#b", "a?b=c", "file:", "a;b", "a'b", 'a"b', "<x>"),
    *("é", "e\u0301", "日本", ".hidden", "...", "x..", "10", "-1", "1.5", "007", "١", "²", "a//b/./c/"),
    *("5.orbax-checkpoint-tmp", "ocdbt.process_0", "damaged", "lock", "state", "manifest"),
]


class Saves:
    """Checkpoints, as one of the writers: `write` may come long after opening; `check` may be anybody's."""

    def __init__(self, folder):
        self.checkpoints = Checkpoints(folder)

    def write(self):
        self.state = {"step": jnp.int32(3), "w": jnp.arange(2.0)}
        with self.checkpoints as checkpoints:
            checkpoints.save(self.state, {"seed": 1})

    def check(self, folder):
        for place in (folder, Path(folder) / "3"):
            assert read(place).state["w"].tolist() == [0, 1]
        with Checkpoints(folder) as checkpoints:
            assert checkpoints.restore(self.state).records == {"seed": 1}


class Hooks:
    def __init__(self, folder):
        self.ledger = Ledger(folder)

    def write(self):
        assert self.ledger.once("export", 1, lambda: "done") == "done"

    def check(self, folder):
        assert Ledger(folder).once("export", 1, lambda: "again") == "done"


class Rows:
    def __init__(self, folder):
        self.log = RowLog(folder)

    def write(self):
        with self.log as log:
            log({"step": 1, "train/loss": 0.5})

    def check(self, folder):
        assert read_rows(Path(folder) / "metrics.jsonl") == [{"step": 1, "train/loss": 0.5}]
        (run,) = Runs(Path(folder), 1e9).since("")["runs"]
        assert (run["state"], run["last"]) == ("finished", {"train/loss": 0.5})
        json.dumps(run).encode()


class Capsules:
    def __init__(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.folder = Path(folder).absolute()

    def write(self):
        parts = {"batch": {"é\udcff": np.ones(2)}, "state": {"日": np.ones(2)}, "run": "ü\udcff"}
        for _ in range(2):
            self.path = write_capsule(self.folder, step=7, message="in é\udcff", **parts)

    def check(self, folder):
        assert self.path.name == "step-7-2"
        capsule = read_capsule(Path(folder) / "step-7-2")
        assert (capsule.state["日"].tolist(), capsule.run) == ([1, 1], "ü\udcff")


WRITERS = [Saves, Hooks, Rows, Capsules]


@pytest.mark.parametrize(
    ("writer", "names"),
    [(writer, KINDS) for writer in WRITERS]
    + [pytest.param(writer, NAMES, marks=[pytest.mark.slow] * (writer is Saves)) for writer in WRITERS],
)
def test_below_any_folder(tmp_path, writer, names):
    for name in names:
        folder = f"{tmp_path}/{name}"
        (opened := writer(folder)).write()
        opened.check(folder)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch, writer):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    opened = writer("runs/[1]")
    monkeypatch.chdir("elsewhere")
    opened.write()
    opened.check(tmp_path / "runs" / "[1]")
    assert list(Path().iterdir()) == []


def test_a_link_that_is_turned_meanwhile(tmp_path):
    """The run goes on where it began, and no two are in one folder because it has two names."""
    (tmp_path / "a[1]").mkdir()
    (link := tmp_path / "latest").symlink_to("a[1]")
    opened = Saves(link)
    with pytest.raises(BlockingIOError):
        Checkpoints(tmp_path / "a[1]")
    link.unlink()
    link.symlink_to("b")
    opened.write()
    opened.check(tmp_path / "a[1]")
    assert not (tmp_path / "b").exists()


def test_siblings_whose_names_match(tmp_path):
    """As patterns each of the names means the others, too."""
    runs = [Saves(tmp_path / name) for name in ("a*", "ab", "a?", "[a]b")]
    for i, run in enumerate(runs):
        run.state = {"step": jnp.int32(3), "w": jnp.full(2, i)}
        run.checkpoints.save(run.state, {})
    for i, run in enumerate(runs):
        run.checkpoints.close()
        assert read(run.checkpoints.folder).state["w"].tolist() == [i, i]


def test_steps_are_numbers_as_jnn_writes_them(tmp_path):
    Saves(tmp_path).write()
    for name in ("007", "١", "²", "-1", "4.5", "+9"):
        (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("a file")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == [3]


def test_a_system_without_names_for_open_folders(tmp_path, monkeypatch):
    """It refuses before anything is written; plain names are as they are."""
    monkeypatch.setattr(on_disk, "OPENED", tmp_path / "none")
    state = {"step": jnp.int32(0)}
    with Checkpoints(tmp_path / "[0]") as checkpoints, pytest.raises(OSError, match=r"\[0\]'. Choose another name"):
        checkpoints.save(state, {})
    assert [path.name for path in (tmp_path / "[0]").iterdir()] == ["lock"]
    Saves(tmp_path / "Müller (2), x=1").write()


def test_what_is_no_checkpoint_is_no_damage(tmp_path):
    """A number for a name does not make it one."""
    (tmp_path / "0").mkdir()
    for folder in (tmp_path / "0", tmp_path / "1"):
        with pytest.raises(FileNotFoundError, match=r"read: expected the folder of a checkpoint, or of a run"):
            read(folder)


def test_a_file_that_was_written_in_half(tmp_path):
    """Of a disk without room the error names the file; the old one stays, and nothing beside it."""
    write_whole(path := tmp_path / "a.json", "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        with pytest.raises(OSError, match=rf"File too large: '{path}'"):
            write_whole(path, "x" * 9000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.json", "old")]


def test_an_error_that_names_its_file_keeps_it():
    with pytest.raises(FileNotFoundError, match="'no/such'"), naming(Path("other")):
        Path("no/such").read_text()


def test_a_name_that_leads_nowhere_is_taken(tmp_path):
    (tmp_path / "step-7").symlink_to("gone")
    assert free_name(tmp_path / "step-7").name == "step-7-2"
    os.unlink(tmp_path / "step-7")
    (tmp_path / "step-7").write_bytes(b"one\nhalf")
    assert whole_lines(tmp_path / "step-7") == [b"one"]
