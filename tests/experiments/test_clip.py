"""Pictures and words: families that no split parts, texts as bags, recalls, and runs that learn, go on, are planned."""

import json
from functools import partial

import jax
import numpy as np
import optax
import pytest
from PIL import Image

import jnn
from experiments import clip, emoji, retrieval
from jnn.train import create_state, make_step
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

COLOURS = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255), "black": (0, 0, 0), "gold": (255, 200, 0)}
PLACES = ("top", "bottom", "left", "right", "middle", "corner", "edge", "side")
TINY = {"channels": (4,), "dense": 8, "embed": 4, "texts": ("letters",), "words": ("red top",)}
OPTIONS = [
    "--channels",
    "2",
    "--dense",
    "8",
    "--embed",
    "4",
    "--texts",
    "letters",
    "--batch-size",
    "8",
    "--steps",
    "12",
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Emoji that are made: a bar of each colour in each place, twice, and a flag."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (root / "emoji" / "images").mkdir(parents=True)
    table = []
    for i, (colour, place) in enumerate((c, p) for c in COLOURS for p in range(len(PLACES))):
        for j in range(2):
            x = np.zeros((64, 64, 4), np.uint8)
            x[8 * place : 8 * place + 8, 8 * j :] = (*COLOURS[colour], 255)
            x[rng.integers(64), :20, 3] = 255
            name = f"{0x2000 + 2 * i + j:04x}"
            Image.fromarray(x).save(root / "emoji" / "images" / f"{name}.png")
            words = {"name": f"{colour} {PLACES[place]}".upper(), "short_name": f"{colour}_{j}"}
            kind = {"category": f"{'Dark' if colour in ('black', 'blue') else 'Light'} & Made", "subcategory": colour}
            table.append({"image": f"{name}.png"} | words | kind)
    table.append(table[0] | {"category": "Flags"})
    (root / "emoji" / "emoji.json").write_text(json.dumps(table))
    return str(root)


@pytest.mark.parametrize("method", ["clip", pytest.param("siglip", marks=pytest.mark.slow)])
def test_a_step_moves_both_towers(method, data_dir):
    pairs = emoji.emoji_pairs(data_dir)
    rows = emoji.letter_ngrams([pairs.captions[row] for row in pairs.data.train["row"][:8]])
    batch = {"x": pairs.data.train["x"][:8], "weight": np.ones(8, np.float32)} | rows
    config = clip.Config(**TINY)
    spec, optimizer = clip.network_spec(config, method, "letters"), optax.adam(0.01)
    before = jnn.init(spec, jax.random.key(0))
    state = create_state(jnn.init(spec, jax.random.key(0)), optimizer)
    step = make_step(partial(clip.loss, config=config), optimizer, jax.random.key(1))
    after, metrics = step(state, batch)
    assert np.isfinite(metrics["loss"].value())
    for path, x in jnn.flatten(before).items():
        assert (x != jnn.flatten(after.params)[path]).any(), path


def test_flags_are_left_out_and_no_picture_is_in_two_parts(data_dir):
    pairs = emoji.emoji_pairs(data_dir)
    parts = [{*part["row"].tolist()} for part in pairs.data[:3]]
    assert len(pairs.captions) == 2 * len(COLOURS) * len(PLACES)
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert len(parts[2]) > len(parts[1]) > 0
    assert pairs.data.train["x"].shape[1:] == (32, 32, 4)
    assert pairs.captions[2 * len(PLACES)] == "green top, 0"
    clear, red = np.array([[0, 0, 0, 0], [100, 0, 0, 100]], np.uint8)
    assert emoji.on_white(np.stack([clear, red])).tolist() == [[255, 255, 255], [255, 155, 155]]


def test_families_share_code_points_or_looks():
    x = np.random.default_rng(0).uniform(size=(6, 8, 8, 3))
    x[1] = x[0] + 0.01
    names = ["1f550.png", "1f551.png", "1f468-200d-1f527.png", "1f469-1f3fd-200d-1f527.png", "1f468.png", "1f467.png"]
    first, second, *others = emoji.families([emoji.base(name) for name in names], x)
    assert first == second
    assert others[0] == others[1] != others[2] == others[3]
    assert len({first, *others}) == 3


def test_of_a_family_one_tests_and_large_ones_train():
    family = np.concatenate([np.repeat(np.arange(30), 2), np.full(9, 30)])
    train, validation, test = emoji._split(family)
    assert (len(test), len(validation)) == (6, 3)
    assert (test % 2 == 0).all()
    assert {*range(60, 69)} <= {*train.tolist()}
    assert not {*family[train]} & {*family[test], *family[validation]}
    assert len(train) == 69 - 2 * 9


def test_texts_with_common_parts_share_ngrams():
    rows = emoji.letter_ngrams(["teapot", "tea pot", "bird"])
    bags = [{*ids[:n].tolist()} for ids, n in zip(rows["grams"], rows["length"], strict=True)]
    assert len(bags[0] & bags[1]) >= 3  # "<te", "tea", "<tea"
    assert not bags[0] & bags[2]


def test_the_own_text_is_blue():
    scores = np.array([[3.0, 2.0], [1.0, 0.0]])
    figure = retrieval.found_texts(np.zeros((2, 4, 4, 3)), ["a", "b" * 40], scores)
    said = [[(text.get_text(), text.get_color()) for text in axes.texts] for axes in figure.axes]
    blue, orange = retrieval.pictures.ACCENT, retrieval.pictures.WARM
    long = "b" * (retrieval.WIDTH - 1) + "…"
    assert said == [[("a", blue), (long, orange)], [("a", orange), (long, blue)]]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["clip", "siglip"])
def test_unseen_pairs_are_found_better_than_by_chance(tmp_path, data_dir, method):
    config = clip.Config(
        workdir=str(tmp_path),
        data_dir=data_dir,
        methods=(method,),
        steps=300,
        batch_size=16,
        learning_rate=5e-3,
        **TINY | {"channels": (8, 16), "dense": 32, "embed": 16},
    )
    outcome = clip.experiment(config)
    losses = [row[f"train/loss_{method}_letters"] for row in outcome.history]
    assert losses[-1] < 0.9 * losses[0]
    assert outcome.metrics[f"{method}_letters_texts_at_5"] > 1.5 * outcome.metrics["chance_texts_at_5"]
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
def test_real_emoji_are_found_by_minilms_words_better_than_by_chance(tmp_path):
    needs("emoji", "weights/minilm")
    config = clip.Config(workdir=str(tmp_path), methods=("clip",), texts=("minilm",), steps=100, channels=(16, 32))
    found = clip.experiment(config).metrics
    assert found["clip_minilm_texts_at_5"] > 3 * found["chance_texts_at_5"]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path, data_dir):
    asked("experiments.clip", tmp_path, [*OPTIONS, "--data-dir", data_dir])
