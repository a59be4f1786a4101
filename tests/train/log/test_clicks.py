"""The live page under a reader's hands, in headless Chromium: `clicks.js` clicks and points, and tells what it saw."""

import html
import json
import re
from pathlib import Path

import pytest

from jnn.train.log import live
from jnn.train.log.live import serve
from tests.train.log.browser import CHROMIUM, browse, write

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
CLICKS = Path(__file__).with_name("clicks.js").read_text()
STEPS = (10, 20, 30, 40)


def with_clicks(page_of):
    """Pages with one more script, which their policy allows."""

    def page(title):
        text, policy = page_of(title)
        allowed = policy.replace("script-src ", f"script-src '{live._hash(CLICKS)}' ")
        return text.replace("</body>", f"<script>{CLICKS}</script></body>"), allowed

    return page


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What `clicks.js` saw of two runs."""
    folder = tmp_path_factory.mktemp("clicks")
    write(folder / "runs" / "a", [{"step": step, "train/loss": 1600 / step**2, "gap": -step} for step in STEPS])
    write(folder / "runs" / "b", [{"step": step, "train/loss": 3200 / step**2, "only_b": step} for step in STEPS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "_page", with_clicks(live._page))
        with serve(folder / "runs") as page:
            shown = browse(page, folder / "browser", "--virtual-time-budget=20000", "--dump-dom")
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)
    assert found is not None, shown[-3000:]
    return json.loads(html.unescape(found[1]))


def test_the_scale_of_a_plot_can_be_chosen(seen):
    """A click moves the curves and marks other values; a poll leaves the choice; a second click takes it back."""
    before, logarithmic = seen["before"], seen["logarithmic"]
    assert (before["logarithmic"], logarithmic["logarithmic"]) == ("false", "true")
    assert before["legend"] == logarithmic["legend"] == ["a training 1", "b training 2"]
    assert before["curves"] != logarithmic["curves"]
    assert before["marks"] != logarithmic["marks"]
    assert seen["still"] == logarithmic
    assert seen["back"] == before


def test_a_logarithm_makes_equal_ratios_equal_distances(seen):
    """The losses fall to a quarter from step 10 to 20, and from 20 to 40."""
    heights = {}
    for name in ("before", "logarithmic"):
        path = seen[name]["curves"][0][1]
        y = [float(point.split()[1]) for point in re.split("[ML]", path)[1:]]
        heights[name] = (y[1] - y[0], y[3] - y[1])
    assert heights["before"][0] == pytest.approx(4 * heights["before"][1], abs=0.6)
    assert heights["logarithmic"][0] == pytest.approx(heights["logarithmic"][1], abs=0.3)


def test_what_has_no_logarithm_offers_none(seen):
    assert seen["negative"]["disabled"] is True
    assert seen["before"]["disabled"] is False


def test_the_nearest_row_is_read_out_under_the_pointer(seen):
    left, right, away = seen["left"], seen["right"], seen["away"]
    assert left["legend"] == ["a training 16 at 10", "b training 32 at 10"]
    assert right["legend"] == ["a training 1 at 40", "b training 2 at 40"]
    assert left["cursor"] == right["cursor"] == "visible"
    assert left["x"] < right["x"]
    assert away["cursor"] == "hidden"
    assert away["legend"] == seen["before"]["legend"]


def test_a_run_can_be_switched_off_and_on(seen):
    """Its curves go, and the plots that only it has; no poll brings them back; the keyboard stays where it was."""
    without, later = seen["without"], seen["later"]
    assert without["checked"] is False
    assert without["loss"]["legend"] == ["a training 1"]
    assert [style for style, _ in without["loss"]["curves"]] == [seen["before"]["curves"][0][0]]  # a keeps its colour
    assert seen["only"]["legend"] == ["b 40"]
    assert without["only"] is None
    assert later == {"loss": without["loss"], "checked": False, "focused": "b"}
    assert seen["again"] == {"loss": seen["before"], "only": seen["only"]}
