"""read_jsonl and its use for reviews: fields, damaged lines, what is skipped."""

import numpy as np
import pytest

from jnn.data import Skipped, read_jsonl, read_reviews

REVIEWS = b'{"text": "good \\u00e9", "label": 1}\n{"text": "bad", "label": 0}\n'
FIELDS = {"text": str, "label": (0, 1)}


def test_records_are_the_fields_asked_for(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1, "b": 2, "c": [1], "d": true, "e": {"f": null}}\r\n')
    fields = {"a": int, "b": float, "c": list, "d": bool, "e": dict}
    (record,) = read_jsonl(tmp_path / "a.jsonl", fields)
    assert record == {"a": 1, "b": 2.0, "c": [1], "d": True, "e": {"f": None}}
    assert type(record["b"]) is float
    assert read_jsonl(tmp_path / "a.jsonl", {"a": int}) == [{"a": 1}]


def test_reviews_are_texts_and_labels(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(REVIEWS)
    texts, labels = read_reviews(tmp_path / "a.jsonl")
    assert texts == ["good é", "bad"]
    assert (labels.tolist(), labels.dtype) == ([1, 0], np.int32)


DAMAGED = [
    (b"{", "a.jsonl: line 3, offset 64: not JSON in UTF-8"),
    (b"", "a.jsonl: line 3, offset 64: not JSON in UTF-8"),
    (b'{"text": "\xff", "label": 1}', "a.jsonl: line 3, offset 64: not JSON in UTF-8"),
    (b'{"text": "x", "label": NaN}', "line 3, offset 64: not JSON in UTF-8 (NaN is no number of JSON)"),
    (b'{"text": "x", "label": ' + b"1" * 5000 + b"}", "line 3, offset 64: not JSON"),
    (b'{"text": "x"}', "line 3, offset 64: expected 'label' to be one of (0, 1), found no such field"),
    (b'{"text": "x", "label": 2}', "line 3, offset 64: expected 'label' to be one of (0, 1), found 2"),
    (b'{"text": "x", "label": true}', "line 3, offset 64: expected 'label' to be one of (0, 1), found True"),
    (b'{"text": 1, "label": 1}', "line 3, offset 64: expected 'text' to be of type str, found 1"),
    (b"[1]", "line 3, offset 64: expected an object with ['label', 'text'], found [1]"),
    (b"[" * 100_000, "line 3, offset 64: not JSON"),
]


@pytest.mark.parametrize(("line", "message"), DAMAGED)
def test_a_damaged_line_is_one_clear_error(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_bytes(REVIEWS + line + b"\n" + REVIEWS)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (braces and quotes: compared as text)
        read_reviews(tmp_path / "a.jsonl")
    assert message in str(caught.value)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" + b"0" * 400, b"9007199254740993"])
def test_a_float_is_finite_and_holds_whole_numbers(tmp_path, number):
    (tmp_path / "a.jsonl").write_bytes(b'{"x": ' + number + b"}\n")
    with pytest.raises(ValueError, match=r"line 1, offset 0: expected 'x' to be of type float, found "):
        read_jsonl(tmp_path / "a.jsonl", {"x": float})


def test_integers_are_exact_whatever_their_size(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"x": 18446744073709551617, "y": 9007199254740992}\n')
    assert read_jsonl(tmp_path / "a.jsonl", {"x": int, "y": float}) == [{"x": 2**64 + 1, "y": 2.0**53}]


def test_damaged_lines_are_skipped_and_counted_if_asked(tmp_path):
    lines = b"".join(line + b"\n" for line, _ in DAMAGED)
    (tmp_path / "a.jsonl").write_bytes(REVIEWS + lines + REVIEWS)
    skipped = Skipped()
    assert [r["text"] for r in read_jsonl(tmp_path / "a.jsonl", FIELDS, skipped=skipped)] == 2 * ["good é", "bad"]
    assert skipped.count == len(DAMAGED)
    assert "line 3, offset 64" in skipped.messages[0]
    assert "line 13, " in skipped.messages[-1]


def test_too_many_damaged_lines_stop_the_reading_after_all(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(REVIEWS + 3 * b"{\n")
    with pytest.raises(ValueError, match=r"3 records are damaged, and at most 2 may be skipped .* line 5, offset 68"):
        read_jsonl(tmp_path / "a.jsonl", FIELDS, skipped=Skipped(limit=2))


@pytest.mark.parametrize(
    ("data", "skipped", "found"), [(b"", None, "an empty file"), (b"{\n[\n", Skipped(), "2 damaged ones")]
)
def test_no_record_is_one_clear_error(tmp_path, data, skipped, found):
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(ValueError, match=rf"a.jsonl: expected one record a line, found {found}"):
        read_jsonl(tmp_path / "a.jsonl", FIELDS, skipped=skipped)
