"""The live page in headless Chromium: curves, a picture, and what is wrong with a run."""

import html
import re

import pytest

from jnn.train.log import live
from jnn.train.log.live import serve
from tests.train.log import browser
from tests.train.log.browser import CHROMIUM, HOSTILE, ROWS, Tags, browse, write
from tests.train.log.told import odd_files

page = browser.page


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_curves_and_a_row_that_was_written_later(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    write(runs / HOSTILE, ROWS)
    told = []

    class Followed(live.Runs):
        """The true one; after the first answer the run goes on."""

        def since(self, token):
            if len(told) == 1:
                write(runs / HOSTILE, [{"step": 50, "train/loss": 0.0625, "val/loss": 7.125}])
            told.append(super().since(token))
            return told[-1]

    monkeypatch.setattr(live, "Runs", Followed)
    with serve(runs) as page:
        seen = browse(page, tmp_path / "browser", "--dump-dom")
    assert len(told) > 2
    assert [run["step"] for run in told[0]["runs"] + told[1]["runs"]] == [40, 50]
    assert not any(answer["runs"] for answer in told[2:])
    assert "step 50 of 100" in seen
    assert "validation 7.125" in seen
    assert 'class="train" d="M52.0 ' in seen
    assert 'class="val" d="M52.0 ' in seen
    assert html.escape(HOSTILE, quote=False) in seen
    assert "<title>runs</title>" in seen  # the script in the run's name did not run
    assert Tags(seen).tags.count("script") == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_draws_a_picture_of_it(tmp_path, page):
    from matplotlib.image import imread

    browse(page, tmp_path / "browser", f"--screenshot={tmp_path / 'page.png'}")
    picture = imread(tmp_path / "page.png")
    assert picture.shape[:2] == (900, 1200)
    blue, orange = (0.18, 0.44, 0.87), (0.88, 0.39, 0.18)
    for colour in (blue, orange):  # training and validation
        assert (abs(picture[..., :3] - colour).max(-1) < 0.05).sum() > 50


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_what_is_wrong_with_a_run_and_the_others_as_ever(tmp_path):
    odd = odd_files(tmp_path / "runs")
    write(tmp_path / "runs" / "good", ROWS)
    huge = [
        {"step": i, "train/loss": value, "constructor/x": 1e17 + 32 * i, "__proto__": 1.0}
        for i, value in enumerate([1e308, -1e308, 0])
    ]
    write(tmp_path / "runs" / "huge", huge)
    with serve(tmp_path / "runs") as page:
        seen = browse(page, tmp_path / "browser", "--dump-dom")
    assert seen.count("unreadable</span>") == len(odd)
    assert f"{len(odd) + 2} runs, read at" in seen
    assert "good validation 0.5" in seen
    assert "NaN" not in re.sub(r"<script.*?</script>|<ul.*?</ul>", "", seen, flags=re.DOTALL)  # in no path and no mark
    for metric in ("loss", "constructor/x", "__proto__"):
        assert f"<h2>{metric.replace('_', ' ')}</h2>" in seen
