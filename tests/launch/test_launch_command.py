"""The launcher's command line: what it reads, and one clear error for what it cannot read or start."""

import re

import pytest

from jnn.launch.__main__ import arguments, main


def unstartable(tmp_path, kind):
    """Something that is no program."""
    (script := tmp_path / "script").write_text("neither a program nor a script\n")
    script.chmod(0o755)
    return {"missing": "no-such-program", "folder": str(tmp_path), "text": str(script), "empty": ""}[kind]


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty"])
def test_what_cannot_be_started_is_one_clear_error(tmp_path, kind, capsys):
    name = unstartable(tmp_path, kind)
    assert main(["-n", "2", "--", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        rf"jnn.launch: error: supervise: {re.escape(repr(name))} cannot be started \(.+\)\. Give a program .*\n", err
    ), err


def test_the_command_line():
    job, command = arguments(["-n", "4", "--devices", "2", "--", "python", "-m", "experiments.gpt", "--steps", "9"])
    assert (job.processes, job.devices) == (4, 2)
    assert command == ["python", "-m", "experiments.gpt", "--steps", "9"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-n", "2"], "expected a command behind --"),
        (["-n", "0", "--", "true"], "at least 1 process,"),
        (["-n", "1", "--silence", "0", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--stall", "1", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--stall", "nan", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--silence", "nan", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--backoff", "-1", "--", "true"], "no number below 0"),
        (["-n", "1", "--backoff", "nan", "--", "true"], "no number below 0"),
        (["-n", "1", "--grace", "nan", "--", "true"], "no number below 0"),
        (["-n", "1", "--backoff", "inf", "--", "true"], "a backoff of at most 86400 seconds, a day"),
        (["-n", "1", "--devices", "0", "--", "true"], "at least 1 device,"),
        (["--", "true"], "-n"),
    ],
)
def test_bad_command_lines_are_one_clear_error(argv, message, capsys):
    with pytest.raises(SystemExit) as end:
        arguments(argv)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
