"""The report: one page that needs nothing else, and shows what it was given."""

import base64
import math
import random
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import pictures
from jnn.train.log import report
from jnn.train.log.report import by_metric, curves, write_report

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


def drawn():
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1])
    return figure


def sizes(source):
    """Width and height in pixels of all pictures of a page."""
    found = [base64.b64decode(text) for text in re.findall(r'base64,([^"]*)"', source)]
    return [tuple(int.from_bytes(png[at : at + 4]) for at in (16, 20)) for png in found]


def panels(history):
    return curves(history, by_metric(name for row in history for name in row if name != "step")).axes


@pytest.fixture
def written(tmp_path):
    def written(**changes):
        arguments = {
            "title": "A title",
            "notes": "What was done.",
            "metrics": {"accuracy": 0.98765432},
            "config": {"seed": 0},
            "history": HISTORY,
            "figures": {"A picture.": drawn},
            "parameters": "w  3x4  float32",
        }
        written.problems = write_report(tmp_path / "report.html", **arguments | changes)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return written


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
    page = Page(written(metrics={hostile: hostile}, config={hostile: hostile}, figures={hostile: Figure}))
    assert "script" not in page.tags
    assert "".join(page.text).count(hostile) == 5


def test_without_a_history_there_are_no_curves(written):
    assert len(Page(written(history=[], figures={})).addresses) == 0


def test_one_panel_a_metric_with_both_parts():
    loss, accuracy = panels(HISTORY)
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert [line.get_label() for line in accuracy.lines] == ["validation"]
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.1, 0.01, 0.001]
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")


def test_a_single_row_is_visible():
    (axes,) = panels([{"step": 1, "train/loss": 0.0}])
    assert axes.lines[0].get_marker() == "o"


# ---- whatever a run has measured, there is a page


ODD = {
    "mathematics": {"train/$a$ $\\frac$": 1.0, "val/$": 2.0, "x_^{": 3.0},
    "other parts": {"test/accuracy": 0.5, "learning_rate": 1e-3, "train/": 1.0, "/": 1.0, "": 1.0, "train": 1.0},
    "no finite value": {"train/loss": math.nan, "val/loss": math.inf},
    "the ends of a float": {"train/a": 1.7e308, "val/a": -1.7e308, "b": 5e-324, "train/c": 1e308, "val/c": 5e-324},
    "long and foreign names": {"train/" + "x" * 5000: 1.0, "损失": 2.0, "a\nb\t\0c": 3.0, "\udc80": 4.0},
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_was_measured_is_drawn(written, name):
    rows = [{"step": step} | {key: (1 - step % 2 / 2) * value for key, value in ODD[name].items()} for step in range(4)]
    page = Page(written(history=rows))
    assert written.problems == []
    assert len(page.addresses) == 2


def test_parts_and_metrics_are_those_of_the_live_page():
    assert by_metric(["train/loss", "lr", "val/loss", "test/accuracy", "train/"]) == {
        "lr": {"": "lr"},
        "loss": {"train": "train/loss", "val": "val/loss"},
        "test/accuracy": {"": "test/accuracy"},
        "train/": {"": "train/"},
    }


@pytest.mark.parametrize("seed", range(6))
def test_values_of_any_size_are_drawn_in_their_order(written, seed):
    """Positive or of both signs, over the whole range of a float: the picture's heights rise as the values do."""
    draw = random.Random(seed)
    sign = lambda: draw.choice([1, -1]) if seed % 2 else 1
    values = [sign() * 10.0 ** draw.uniform(-320, 308) for _ in range(20)]
    values += [sign() * 1.7e308, 5e-324] * (seed < 3)
    rows = [{"step": i, "train/x": value} for i, value in enumerate(values)]
    written(history=rows)
    assert written.problems == []
    (axes,) = panels(rows)
    heights = axes.lines[0].get_ydata()
    assert np.isfinite(heights).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.asarray(heights)[order]) >= 0).all()
    assert max(abs(heights)) < 1e101


def test_a_picture_that_fails_is_one_line_and_the_others_are_there(written):
    def failing():
        raise ValueError("no\ncolours")

    source = written(figures={"A good one.": drawn, "Bad.": failing, "Large.": lambda: Figure(figsize=(0, 1))})
    assert len(Page(source).addresses) == 2
    assert written.problems[0] == "Bad: cannot be drawn, ValueError: no colours"
    assert written.problems[1].startswith("Large: cannot be drawn, ")
    for line in written.problems:
        assert line in "".join(Page(source).text)


def test_many_metrics_are_a_few_panels_and_a_table(written, monkeypatch):
    monkeypatch.setattr(report, "PANELS", 3)
    monkeypatch.setattr(report, "LINES", 5)
    names = ["train/grad_norm/a", "train/loss", "val/loss", *(f"m{i}" for i in range(11))]
    source = written(history=[{"step": step} | dict.fromkeys(names, 0.123456) for step in range(2)])
    page = Page(source)
    assert len(page.addresses) == 2
    text = " ".join(page.text)
    assert "10 further metrics, their last values" in text
    assert "and 5 more." in text
    assert text.count("0.12346") == 5


def test_pictures_are_bounded(written):
    figures = {f"{size}": lambda size=size: Figure(figsize=size) for size in [(200, 200), (1, 900), (900, 1), (3, 2)]}
    for width, height in sizes(written(history=[], figures=figures)):
        assert width * height <= 1.01 * report.PIXELS
        assert max(width, height) <= report.SIDE + 1


@pytest.mark.parametrize("classes", [1, 2, 40, 41, 200, 1203])
def test_a_confusion_matrix_of_any_size_is_bounded(classes):
    matrix = np.zeros((classes, classes), int)
    matrix[0, -1] = 7
    figure = pictures.confusion(matrix, [f"${i}" for i in range(classes)])
    assert max(figure.get_size_inches()) < 20
    (axes,) = figure.axes
    shown = axes.images[0].get_array()
    assert len(shown) <= pictures.CELLS
    assert shown[0, -1] == (7 if classes > 1 else 0) or classes == 1
    assert len(axes.texts) <= 1


@pytest.mark.parametrize("odd", [math.nan, math.inf])
@pytest.mark.parametrize("all_of_them", [False, True])
def test_predictions_that_are_not_finite_are_counted(written, odd, all_of_them):
    scores, labels = np.array([0.1, 0.7, odd]), np.array([0, 1, 1])
    scores = np.full(3, odd) if all_of_them else scores
    figures = {
        "a": lambda: pictures.histogram(scores, labels, "probability"),
        "b": lambda: pictures.against(labels, scores, "m"),
        "c": lambda: pictures.against(labels[:, None], scores[:, None], "m"),
    }
    written(figures=figures, history=[])
    assert written.problems == []
    for draw in figures.values():
        assert f"; {3 if all_of_them else 1} of 3 are not finite" in draw().axes[0].get_xlabel()


def test_a_page_of_text_is_bounded():
    few, many = (pictures.page("a line\n" * count).texts[0].get_text() for count in (3, 100_000))
    assert few.splitlines() == ["a line"] * 3
    assert many.splitlines()[-1] == f"... and {100_000 - pictures.LINES:,} lines more"
    assert len(many.splitlines()) == pictures.LINES + 1
