"""The report: one page that needs nothing else, and shows what it was given."""

import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from jnn.train.log.report import curves, write_report

HISTORY = [{"step": i, "train/loss": 10.0**-i, "val/loss": 2 * 10.0**-i, "val/accuracy": 0.9} for i in range(4)]


class Page(HTMLParser):
    """Tags, the addresses they refer to, and the text."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        figure = Figure(figsize=(2, 1))
        figure.add_subplot().plot([0, 1])
        arguments = {
            "title": "A title",
            "notes": "What was done.",
            "metrics": {"accuracy": 0.98765432},
            "config": {"seed": 0},
            "history": HISTORY,
            "figures": {"A picture.": figure},
            "parameters": "w  3x4  float32",
        }
        write_report(tmp_path / "report.html", **arguments | changes)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_is_self_contained(written):
    source = written()
    page = Page(source)
    assert not {"script", "link", "iframe", "object", "a"} & set(page.tags)
    assert len(page.addresses) == 2  # the curves and the picture
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?:|url\(|@import", re.sub(r"base64,[^\"]*", "", source))


def test_shows_everything_it_was_given(written):
    text = " ".join(Page(written()).text)
    for part in ["A title", "What was done.", "0.98765", "seed", "A picture.", "w  3x4  float32"]:
        assert part in text


@pytest.mark.parametrize("where", ["title", "notes", "parameters"])
def test_text_is_escaped(written, where):
    page = Page(written(**{where: '<script>alert("x")</script> & <b>'}))
    assert "script" not in page.tags
    assert '<script>alert("x")</script> & <b>' in "".join(page.text)


def test_names_values_and_captions_are_escaped(written):
    hostile = '"><script>'
    page = Page(written(metrics={hostile: hostile}, config={hostile: hostile}, figures={hostile: Figure()}))
    assert "script" not in page.tags
    assert "".join(page.text).count(hostile) == 5


def test_without_a_history_there_are_no_curves(written):
    assert curves([]) is None
    assert len(Page(written(history=[], figures={})).addresses) == 0


def test_one_panel_a_metric_with_both_parts():
    loss, accuracy = curves(HISTORY).axes
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert [line.get_label() for line in accuracy.lines] == ["validation"]
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.1, 0.01, 0.001]
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")


def test_a_single_row_is_visible():
    (axes,) = curves([{"step": 1, "train/loss": 0.0}]).axes
    assert axes.lines[0].get_marker() == "o"
