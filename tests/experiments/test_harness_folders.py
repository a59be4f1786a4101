"""Whose a run's folder is: that of its settings alone; what is odd about it is one line."""

import dataclasses

import pytest

from experiments.claims import claim, write_json
from experiments.options import settings
from tests.experiments.launches import Config, quick, refused


def test_where_things_lie_and_what_they_run_on_are_no_settings(tmp_path):
    config = Config(workdir=str(tmp_path), learning_rate=0.3)
    other = dataclasses.replace(config, workdir="c", data_dir="d", mesh="data=2", save_seconds=1.0)
    assert settings(config) == settings(other)
    assert settings(config) != settings(dataclasses.replace(config, lanes=2))


def test_a_folder_is_claimed_for_its_settings(tmp_path):
    config = {"seed": 0, "widths": (1, 2)}
    assert claim(tmp_path, config) is None
    assert claim(tmp_path, config) is None
    write_json(tmp_path / "result.json", {"loss": 1.0})
    assert claim(tmp_path, config) == {"loss": 1.0}
    with pytest.raises(FileExistsError, match=r"widths \[1, 2\] there, \[1, 3\] here"):
        claim(tmp_path, config | {"widths": (1, 3)})


def test_a_folder_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(folder) in refused(capsys, 1, folder)


def test_a_refused_run_leaves_the_claim_of_another(tmp_path, capsys):
    claim(tmp_path, settings(Config(steps=10)))
    refused(capsys, 2, tmp_path, "--steps", "10", "--serve", "70000")
    assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"", "config.json is not the settings of a run"),
        ("config.json", b"{", "config.json is not the settings of a run"),
        ("config.json", b"[1]", "config.json is not the settings of a run: no JSON object"),
        ("config.json", b"null", "config.json is not the settings of a run: no JSON object"),
        ("config.json", b"\xff\xfe", "config.json is not the settings of a run"),
        ("config.json", b"[" * 100_000, "config.json is not the settings of a run: it is nested too deeply"),
        ("config.json", b"{}", "holds a run with other settings"),
        ("config.json", None, "Is a directory"),
        ("result.json", b"", "result.json is not the result of a run"),
        ("result.json", b"3", "result.json is not the result of a run: no JSON object"),
        ("result.json", None, "Is a directory"),
    ],
)
def test_an_odd_file_in_the_folder_is_one_line(tmp_path, capsys, name, content, message):
    if name == "result.json":
        claim(tmp_path, settings(Config()))
    (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
    assert message in refused(capsys, 1, tmp_path, experiment=quick(before=lambda: 1 / 0))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    refused(capsys, 1, tmp_path / ("x" * 300), experiment=quick(before=lambda: 1 / 0))
    for folder in ("/proc/nothing", "/sys/nothing", "/dev/null/run", tmp_path / "file"):
        line = refused(capsys, 1, folder, experiment=quick(before=lambda: 1 / 0))
        assert line.startswith(f"error: {folder}: ")
        assert line.rstrip().endswith("The run writes to this folder: choose another by --workdir.")
