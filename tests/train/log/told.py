"""Folders of runs, whole and odd, and somebody who keeps what is told of them."""

import json
import os

from jnn.train.log import _growing as growing
from jnn.train.log.rows import RowLog

ROWS = [{"step": i, "train/loss": 1 / i} for i in range(1, 4)]


def write(folder, rows=ROWS, age=0.0):
    with RowLog(folder, steps=9) as log:
        for row in rows:
            log(row)
    if age:
        path = folder / "metrics.jsonl"
        os.utime(path, (path.stat().st_mtime - age,) * 2)


class Reader:
    """Somebody who keeps what was told, as the page does."""

    def __init__(self, runs):
        self.runs, self.token, self.curves, self.last, self.names = runs, "", {}, {}, []

    def ask(self):
        """The answer, as it goes over the wire."""
        answer = json.loads(json.dumps(self.runs.since(self.token), allow_nan=False))
        self.token, self.names = answer["token"], answer.get("names", self.names)
        for run in answer["runs"]:
            before = self.curves.get(run["name"], {})
            kept = {metric: before.get(metric, []) for metric in run["last"]}
            for metric, (start, stretches) in run["curves"].items():
                kept[metric] = kept[metric][:start] + stretches
            self.curves[run["name"]], self.last[run["name"]] = kept, run["last"]
        return answer


ROW = b'{"step": 4, "train/loss": '
ODD_ROWS = {
    "not a number": ROW + b'"a"}\n',
    "400 digits": ROW + b"9" * 400 + b"}\n",
    "5000 digits": ROW + b"9" * 5000 + b"}\n",
    "a step of 400 digits": b'{"step": ' + b"9" * 400 + b"}\n",
    "a step that is not finite": b'{"step": NaN}\n',
    "deep": ROW + b"[" * 100_000 + b"\n",
    "not UTF-8": b"\xff\xfe\n",
    "zeros": b"\0" * 4096 + b"\n",
    "one endless line": b"9" * (growing.LONGEST + 1),
    "an endless line that ends": b" " * (growing.LONGEST + 1) + b"\n",
}
ODD_STATUS = {
    "empty": b"",
    "a state that is NaN": b'{"state": NaN, "steps": 3, "note": ""}',
    "a state nobody knows": b'{"state": "flying", "steps": 3, "note": ""}',
    "a list for a state": b'{"state": [], "steps": 3, "note": ""}',
    "400 digits": b'{"state": "running", "steps": ' + b"9" * 400 + b', "note": ""}',
    "infinite steps": b'{"state": "running", "steps": Infinity, "note": ""}',
    "a note that is NaN": b'{"state": "running", "steps": 3, "note": NaN}',
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff",
}


def odd_files(folder):
    """Folders of runs that are wrong, each in one way, by what is wrong."""
    for name, line in ODD_ROWS.items():
        write(folder / f"row {name}")
        with (folder / f"row {name}" / "metrics.jsonl").open("ab") as file:
            file.write(line)
    for name, text in ODD_STATUS.items():
        write(folder / f"status {name}")
        (folder / f"status {name}" / "status.json").write_bytes(text)
    for name in ("metrics.jsonl", "status.json"):
        write(folder / f"folder {name}")
        (folder / f"folder {name}" / name).unlink()
        (folder / f"folder {name}" / name).mkdir()
    write(folder / "pipe")
    (folder / "pipe" / "metrics.jsonl").unlink()
    os.mkfifo(folder / "pipe" / "metrics.jsonl")
    return sorted(path.name for path in folder.iterdir())
