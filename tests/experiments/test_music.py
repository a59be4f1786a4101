"""Chorales, tiny: states there and back, networks that see no future, melodies that stay as given, a whole run."""

import dataclasses
from fractions import Fraction
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import browser, music
from experiments.choir import LAYERS, Sizes, behind, choir_spec, next_states, sing, told
from experiments.chorale_rows import AHEAD, columns, windows
from experiments.chorales import (
    HELD,
    HOLD,
    REST,
    SILENT,
    START,
    VOICES,
    chorales,
    notes,
    on_grid,
    pitches,
    tokens,
    transpositions,
    tunes,
)
from experiments.counted_chorales import counted
from experiments.harness import launch
from experiments.music import Config
from experiments.staves import altered, grand_staff, pieces_of, spelled
from experiments.sung import Song, page, parallels
from jnn.data import Bar, Note, Part, read_midi
from jnn.strict_json import loads
from tests.data.sources.scores import attributes, note, score
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

TINY = {"steps": 2, "warmup": 1, "context": 16, "embed": 8, "layers": 1, "heads": 2, "batch_size": 8, "examples": 1}
SCALE = (0, 2, 4, 5, 7, 9, 11)


def made(rng, bars=3):
    """A little chorale in quarters and eighths, as MusicXML: each voice walks along a scale in its range."""
    voices = {}
    for voice, low in zip(VOICES, (65, 60, 53, 48), strict=True):
        degrees = np.clip(np.cumsum(rng.integers(-1, 2, 4 * bars)) + 3, 0, 6)
        sung = [low + SCALE[d] for d in degrees]
        cut = [
            note(pitch, 2) * 2 if rng.random() < 0.2 else note(pitch, 4, fermata=i % 8 == 7)
            for i, pitch in enumerate(sung)
        ]
        measures = ["".join(cut[4 * bar : 4 * bar + 4]) for bar in range(bars)]
        voices[voice] = [attributes(4) + measures[0], *measures[1:]]
    return score(voices)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "bach_chorales").mkdir()
    for i in range(20):
        (folder / "bach_chorales" / f"bwv{i}.xml").write_bytes(made(np.random.default_rng(i)))
    (folder / "bach_chorales" / "solo.xml").write_bytes(score({"Piano": [attributes() + note(60, 16)]}))
    fine = {voice: [attributes(8) + note(60, 1) + note(60, 31)] for voice in VOICES}
    (folder / "bach_chorales" / "fine.xml").write_bytes(score(fine))  # of thirty-seconds
    return str(folder)


def part(name, *sung, fermata=()):
    """A part of (onset, quarters, pitch), of two bars."""
    own = [
        Note(Fraction(onset), Fraction(length), pitch, i in fermata) for i, (onset, length, pitch) in enumerate(sung)
    ]
    bars = [Bar(Fraction(0), Fraction(1), Fraction(4)), Bar(Fraction(1), Fraction(4), Fraction(4))]
    return Part(name, own, bars, 0)


def test_a_piece_is_its_notes_its_bars_and_its_fermatas():
    melody = part("Soprano", (0, 1, 72), (1, 1.5, 72), (3, 2, 71), fermata=(2,))
    others = [part(f"{voice} & Organ", (0, 5, 60 - i)) for i, voice in enumerate(VOICES[1:])]
    piece = on_grid("a", [part("Flute", (0, 5, 90)), melody, *others])
    held = 72 + HELD
    assert piece.states[:14, 0].tolist() == [72, held, held, held, 72, *[held] * 5, SILENT, SILENT, 71, 71 + HELD]
    assert piece.place.tolist() == [12, 13, 14, 15, *range(16)]
    assert piece.until.tolist() == [*range(12, 0, -1), *[0] * 8]
    assert [one.notes for one in notes(piece.states)] == [
        [n._replace(fermata=False) for n in one.notes] for one in (melody, *others)
    ]
    assert tokens(piece.states[8:13, 0]).tolist() == [HOLD, HOLD, REST, REST, 71]
    before = np.array([START, *piece.states[:-1, 0]])
    np.testing.assert_array_equal(next_states(before, tokens(piece.states[:, 0])), piece.states[:, 0])
    assert on_grid("a", [melody, *others[:2]]) is None
    assert on_grid("a", [part("Soprano", (0, 1 / 8, 72)), *others]) is None


def test_no_tune_is_in_two_parts_and_voices_stay_in_their_ranges(data_dir):
    parts = chorales(data_dir)
    assert sum(map(len, parts)) == 20
    assert all(parts)
    numbers = iter(tunes([piece for own in parts for piece in own]))
    known = [{next(numbers) for _ in own} for own in parts]
    assert not known[0] & known[1] | known[0] & known[2] | known[1] & known[2]
    moved = transpositions(parts.train)
    assert len(moved) > len(parts.train)
    whole, more = (np.concatenate([pitches(piece.states) for piece in own]) for own in (parts.train, moved))
    np.testing.assert_array_equal((whole.min(0), whole.max(0)), (more.min(0), more.max(0)))


def test_a_tune_is_known_in_another_key_and_with_another_beginning(data_dir):
    first, second, *_ = chorales(data_dir).train
    higher = dataclasses.replace(first, states=first.states + 2)
    begun = dataclasses.replace(first, states=np.roll(first.states, 8, 0))
    assert tunes([first, second, higher, begun]) == [0, 1, 0, 0]


@pytest.mark.parametrize("context", [16, 7, 100])
def test_rows_that_count_once_tell_each_step_once(data_dir, context):
    pieces = chorales(data_dir).train
    rows = windows(pieces, context, once=True)
    told_of = rows["now"][rows["counts"] > 0]
    np.testing.assert_array_equal(told_of, np.concatenate([piece.states for piece in pieces]))
    known = columns(pieces[0])
    np.testing.assert_array_equal(known["state"][1:], known["now"][:-1])
    np.testing.assert_array_equal(known["ahead"][: -AHEAD[0], 0], pieces[0].states[AHEAD[0] :, 0])


def rows_of(rng, b=2, t=12):
    state = rng.integers(0, SILENT, (b, t + 1, 4))
    made = {
        "state": state[:, :-1],
        "now": state[:, 1:],
        "place": rng.integers(0, 16, (b, t)),
        "until": rng.integers(0, 9, (b, t)),
    }
    return {
        name: jnp.asarray(column) for name, column in (made | {"ahead": rng.integers(0, SILENT, (b, t, 8))}).items()
    }


@pytest.mark.parametrize("model", LAYERS)
def test_a_token_hangs_on_the_past_and_the_voices_above_alone(model):
    sizes = Sizes(model, 8, 2, 2, 16, 0.0)
    params, rows = jnn.init(choir_spec(sizes), jax.random.key(0)), rows_of(np.random.default_rng(0))

    @jax.jit
    def logits(rows):
        return told(params, behind(params, rows, sizes, key=None), rows["state"], rows["now"], sizes, key=None)

    whole = logits(rows)
    for step, voice in ((5, 0), (5, 2), (11, 3)):
        later = rows["now"].at[:, step, voice].add(1)
        state = rows["state"].at[:, step + 1 : step + 2, voice].add(1)
        changed = np.asarray(
            jnp.abs(logits(rows | {"now": later, "state": state}) - whole).max((0, 3)) > 0
        )  # (t, voices)
        assert not changed[:step].any()
        assert changed[step].tolist() == [other > voice for other in range(4)]
        assert changed[step + 1 :].all()


@pytest.mark.parametrize("model", LAYERS)
def test_what_is_given_is_sung_and_the_rest_is_drawn_from_what_is_told(model):
    """At a temperature of nearly 0 each drawn token is the likeliest of a network that reads what was drawn."""
    sizes = Sizes(model, 8, 1, 2, 16, 0.0, ahead=True)
    params, rows = jnn.init(choir_spec(sizes), jax.random.key(1)), rows_of(np.random.default_rng(1))
    given = jnp.full((2, 12, 4), -1).at[..., 0].set(rows["now"][..., 0])
    read = {name: rows[name] for name in ("place", "until", "ahead")}
    states = sing(params, sizes, read, given, jax.random.key(0), temperature=1e-6)
    np.testing.assert_array_equal(states[..., 0], given[..., 0])
    before = jnp.concatenate([jnp.full((2, 1, 4), START), states[:, :-1]], 1)
    logits = told(params, behind(params, read | {"state": before}, sizes, key=None), before, states, sizes, key=None)
    np.testing.assert_array_equal(next_states(before, logits.argmax(-1))[..., 1:], states[..., 1:])


def test_counts_tell_more_than_chance(data_dir):
    parts = chorales(data_dir)
    found = counted(parts, transpositions(parts.train))
    assert found["ngram_loss"] == pytest.approx(sum(found[f"ngram_{voice.lower()}"] for voice in VOICES))
    assert found["ngram_loss"] < 4 * np.log(12)


def test_parallel_fifths_are_counted(data_dir):
    piece = chorales(data_dir).train[0]
    steps = np.repeat([[72, 65, 60, 48], [74, 67, 62, 48]], 4, 0)
    own = dataclasses.replace(piece, states=steps, place=piece.place[:8], until=piece.until[:8])
    found = parallels([Song("drawn", own, (1, 2, 3)), Song("Bach's", piece)])
    assert found["parallels"] == pytest.approx(
        2 / 3
    )  # soprano and alto in fifths, and tenor in octaves; alto and tenor in fourths


def test_pitches_are_spelled_as_keys_have_them():
    assert [spelled(pitch, 0)[1] for pitch in (60, 66, 70, 68, 63)] == [0, 1, -1, 1, -1]
    assert [altered(35 + i, 2) for i in range(7)] == [1, 0, 0, 1, 0, 0, 0]  # C and F sharp
    assert [altered(35 + i, -2) for i in range(7)] == [0, 0, -1, 0, 0, 0, -1]  # E and B flat
    assert all(sum(pieces_of(n)) == n for n in range(1, 40))


def test_a_score_and_a_page_show_all_notes(data_dir):
    piece = chorales(data_dir).train[0]
    figure = grand_staff(piece, drawn=(1, 2, 3))
    heads = [patch for patch in figure.axes[0].patches if type(patch).__name__ == "Ellipse"]
    count = sum(len(own.notes) for own in notes(piece.states))
    assert len(heads) == count
    text = page([Song("</script>", piece)])
    assert "http" not in text
    assert text.count("</script>") == 1
    (shown,) = loads(text.partition("const PIECES = ")[2].partition(";  //")[0])
    assert sum(map(len, shown["voices"])) == count


@pytest.mark.slow
def test_the_page_sounds_when_its_button_is_pressed(tmp_path, data_dir):
    """Real events of a mouse in a real browser; what is played is read where it goes to the speaker."""
    if browser.found() is None:
        pytest.skip("no Chromium is installed")
    file = tmp_path / "page.html"
    file.write_text(page([Song("One", chorales(data_dir).train[0])]))
    with browser.browser() as tab:
        tab.open(file)
        tab.wait("document.querySelector('section button') !== null")
        where = tab.value("(r => [r.x + 9, r.y + 9])(document.querySelector('section button').getBoundingClientRect())")
        tab.drag([where, where])
        tab.value("ear = playing.context.createAnalyser(); playing.gains.forEach(gain => gain.connect(ear)); 0")
        loudest = "(x => (ear.getFloatTimeDomainData(x), Math.max(...x)))(new Float32Array(ear.fftSize))"
        assert tab.wait(f"{loudest} > 0.01", seconds=10)
        tab.drag([where, where])
        assert tab.wait("playing === null", seconds=10)


def options(folder, data_dir, **changes):
    given = {**TINY, "workdir": folder, "data_dir": data_dir, **changes}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_network_that_knows_nothing_is_as_good_as_chance(ahead):
    """Of 130 tokens, for each voice that is told; steps beyond a piece have no weight."""
    sizes = Sizes("lstm", 8, 1, 2, 16, 0.1, ahead=ahead)
    params = jnn.init(choir_spec(sizes), jax.random.key(0))
    params["out"] = jax.tree.map(jnp.zeros_like, params["out"])
    batch = rows_of(np.random.default_rng(0)) | {"counts": jnp.ones((2, 12)).at[1, 7:].set(0), "weight": jnp.ones(2)}
    output = music.loss(params, batch, SimpleNamespace(key=jax.random.key(1)), sizes)
    np.testing.assert_allclose(output.values, (4 - ahead) * np.log(130), rtol=1e-5)
    assert output.weights.sum() == 19


@pytest.mark.slow
@pytest.mark.parametrize("model", LAYERS)
def test_a_run_leaves_scores_midi_and_a_page(tmp_path, data_dir, model, capsys):
    pytest.importorskip("mido")
    launch(music.experiment, Config, options(tmp_path / "run", data_dir, model=model))
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert {"test_loss", "test_soprano", "ngram_loss", "parallels", "parallels_bach"} < set(result)
    assert "A chorale of its own" in (tmp_path / "run" / "report.html").read_text()
    assert "harmonised" in (tmp_path / "run" / "chorales.html").read_text()
    harmonised, bach = (next((tmp_path / "run" / "midi").glob(f"*{name}.mid")) for name in ("harmonised", "by_Bach"))
    assert read_midi(harmonised)[0] == read_midi(bach)[0]
    assert len(read_midi(bach)) == 4


def needs_chorales():
    pytest.importorskip("mido")
    needs("bach_chorales")


SHORT = ["--steps", "30", "--warmup", "5", "--embed", "32", "--layers", "1", "--context", "64", "--examples", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("model", LAYERS)
def test_a_short_run_learns_and_is_resumed(tmp_path, model):
    needs_chorales()
    resumed("experiments.music", tmp_path, [*SHORT, "--model", model])
    result = loads((tmp_path / "whole" / "result.json").read_text())
    assert result["test_loss"] < 10  # of 4 log 130, 19.5


@pytest.mark.slow
def test_a_preflight_reports(tmp_path):
    needs_chorales()
    flown("experiments.music", tmp_path, SHORT)
