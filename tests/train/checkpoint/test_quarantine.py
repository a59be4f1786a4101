"""What a killed save left: set aside, and deleted when a whole one has come as far."""

import shutil

from tests.train.checkpoint import harmed
from tests.train.checkpoint.faults import is_step, restored

whole, folder = harmed.whole, harmed.folder


def test_what_a_killed_save_left_is_set_aside(folder):
    (folder / "30.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    lines = []
    assert is_step(restored(folder, lines), 20)
    assert "the save was not finished; moved to" in lines[0]
    assert (folder / "damaged" / "30.orbax-checkpoint-tmp" / "state").is_dir()


def aside(folder, *names):
    """Folders that are in `damaged` already."""
    for name in names:
        (folder / "damaged" / name / "state").mkdir(parents=True)


def in_damaged(folder):
    return sorted(path.name for path in (folder / "damaged").iterdir())


def test_a_half_goes_when_a_whole_one_has_come_as_far(folder):
    """10 and 20 are whole: what is as old is deleted, wherever it is, and what is newer is set aside."""
    aside(folder, "10.orbax-checkpoint-tmp", "20.orbax-checkpoint-tmp-2", "30.orbax-checkpoint-tmp")
    for step in (20, 40):
        (folder / f"{step}.orbax-checkpoint-tmp").mkdir()
    lines = []
    assert is_step(restored(folder, lines), 20)
    assert in_damaged(folder) == ["30.orbax-checkpoint-tmp", "40.orbax-checkpoint-tmp"]
    assert sorted(path.name for path in folder.iterdir()) == ["10", "20", "damaged", "lock"]
    assert lines == [
        "checkpoint 20.orbax-checkpoint-tmp: the save was not finished; deleted",
        "checkpoint 40.orbax-checkpoint-tmp: the save was not finished; "
        f"moved to {folder / 'damaged' / '40.orbax-checkpoint-tmp'}",
        "checkpoint 10.orbax-checkpoint-tmp, set aside before: deleted",
        "checkpoint 20.orbax-checkpoint-tmp-2, set aside before: deleted",
    ]


def test_the_newest_three_of_each_kind_stay(folder):
    """By step and then by name; what nobody here has put there stays too."""
    aside(folder, "5", "7", "7-2", "7-10", "notes", *(f"{step}.orbax-checkpoint-tmp" for step in (30, 40, 50, 100)))
    assert is_step(restored(folder, lines := []), 20)
    halves = [f"{step}.orbax-checkpoint-tmp" for step in (100, 40, 50)]
    assert in_damaged(folder) == sorted([*halves, "7", "7-10", "7-2", "notes"])
    assert len(lines) == 2


def test_a_run_that_is_always_killed_in_its_first_save_fills_no_disk(tmp_path):
    for _ in range(6):
        (tmp_path / "0.orbax-checkpoint-tmp").mkdir()
        assert restored(tmp_path) is None
    assert len(in_damaged(tmp_path)) == 3


def test_what_cannot_be_deleted_stops_nobody(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(f"not {path.name}")

    aside(folder, "10.orbax-checkpoint-tmp")
    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert is_step(restored(folder, lines := []), 20)
    assert lines == [
        "checkpoint 10.orbax-checkpoint-tmp, set aside before: it could not be deleted: not 10.orbax-checkpoint-tmp"
    ]
