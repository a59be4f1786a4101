"""The live page of a run, its tags, and what headless Chromium makes of it."""

import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from jnn.train.log.live import serve
from jnn.train.log.rows import RowLog

HOSTILE = "<script>document.title = 'taken'<"  # a folder's name has no slash
ROWS = [{"step": 10 * i, "train/loss": 1 / i, "val/loss": 2 / i, "train/accuracy": 0.5} for i in range(1, 5)]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def page(tmp_path):
    write(tmp_path / "run", ROWS)
    with serve(tmp_path / "run") as page:
        yield page


def write(folder, rows):
    with RowLog(folder, steps=100) as log:
        for row in rows:
            log(row)


class Tags(HTMLParser):
    """The tags of a page, and the names of their attributes."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes = [], set()
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def browse(page, folder, *options):
    """What headless Chromium makes of the page after some seconds of its own clock."""
    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={folder}", "--window-size=1200,900"]
    command += ["--virtual-time-budget=6000", *options, page.url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
