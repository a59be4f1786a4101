import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import Packed, SourceBatches
from jnn.layers import segment_mask
from jnn.losses import cross_entropy
from jnn.models import transformer, transformer_spec
from jnn.param import init


def documents(seed, n, longest):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 50, rng.integers(2, longest + 1)).astype(np.int32) for _ in range(n)]


@pytest.mark.parametrize("seed", range(20))
def test_every_token_is_in_one_row_once(seed):
    context = int(np.random.default_rng(seed).integers(3, 40))
    texts = documents(seed, 30, 2 * context)
    packed = Packed(texts, context)
    pairs = []
    for row in (packed[i] for i in range(len(packed))):
        kept = row["segments"] > 0
        assert (row["weight"] == kept).all()
        assert not kept[kept.sum() :].any()  # padding is at the end
        assert (np.diff(row["segments"][kept]) >= 0).all()
        pairs += zip(row["x"][kept].tolist(), row["y"][kept].tolist(), strict=True)
    expected = [pair for text in texts for pair in zip(text[:-1].tolist(), text[1:].tolist(), strict=True)]
    assert sorted(pairs) == sorted(expected)


def test_rows_are_nearly_full():
    packed = Packed(documents(0, 3000, 200), 256)
    assert np.mean([packed[i]["weight"].mean() for i in range(len(packed))]) > 0.99


def test_positions_begin_anew_with_every_segment():
    packed = Packed(documents(1, 40, 20), 32)
    for row in (packed[i] for i in range(len(packed))):
        for segment in range(1, row["segments"].max() + 1):
            own = row["positions"][row["segments"] == segment]
            assert own.tolist() == list(range(len(own)))


def test_packed_loss_is_that_of_the_documents_alone():
    texts = documents(2, 6, 9)
    p = init(transformer_spec(50, 16, layers=2, heads=2, embed=8), jax.random.key(0))

    def losses(x, y, segments, positions):
        mask = segment_mask(segments)
        return cross_entropy(transformer(p, x, key=None, positions=positions, mask=mask), y)

    @jax.jit  # documents are of any length: one program for all of them
    def of_each(pairs):
        return sum(cross_entropy(transformer(p, x, key=None), y).sum() for x, y in pairs)

    packed = Packed(texts, 16)
    rows = [packed[i] for i in range(len(packed))]
    batch = {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}
    values = jax.jit(losses)(batch["x"], batch["y"], batch["segments"], batch["positions"])
    together, alone = (values * batch["weight"]).sum(), of_each([(t[:-1], t[1:]) for t in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_in_batches_and_with_known_lengths():
    texts = documents(3, 50, 20)
    known = Packed(texts, 32, lengths=[len(t) for t in texts])
    batches = SourceBatches(known, 4, seed=0)
    tokens = sum(batches[s]["weight"].sum() for s in range(batches.steps_per_epoch))
    assert tokens == sum(len(t) - 1 for t in texts)
    assert batches[0]["weight"].shape == (4, 32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Packed([], 4), "found 0 documents"),
        (lambda: Packed([np.arange(3)], 0), "expected context to be an integer, 1 or more, found 0"),
        (lambda: Packed([np.arange(3)], 4, lengths=[3, 3]), "2 lengths"),
        (lambda: Packed([np.arange(3), np.arange(1)], 4), "document 1 has 1 tokens"),
        (lambda: Packed([np.arange(3)], 4, lengths=[5])[0], r"document 0: expected 5 integers, found int64\[3\]"),
        (lambda: Packed([np.ones(3)], 4)[0], r"expected 3 integers, found float64\[3\]"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
