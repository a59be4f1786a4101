import json

import grain
import numpy as np
import pytest

from jnn.data import IteratorBatches, ReadAhead


def stream():
    """Pairs of the odd numbers below 100: what a filter leaves is no function of the index."""
    numbers = grain.MapDataset.range(100).seed(1).shuffle().to_iter_dataset()
    return numbers.filter(lambda i: i % 2 == 1).batch(2).map(lambda x: {"x": x})


def values(batches, steps):
    return [batches[step]["x"].tolist() for step in steps]


def test_restored_at_any_step_it_goes_on_the_same():
    whole = values(IteratorBatches(stream()), range(20))
    first = IteratorBatches(stream())
    for step in range(20):
        assert first[step]["x"].tolist() == whole[step]
        again = IteratorBatches(stream())
        again.restore(json.loads(json.dumps(first.state())))
        assert values(again, range(step + 1, 20)) == whole[step + 1 :]


def test_steps_may_be_left_out_and_taken_again():
    whole = values(IteratorBatches(stream()), range(12))
    batches = IteratorBatches(stream())
    order = [0, 3, 4, 1, 2, 11, 0]
    assert values(batches, order) == [whole[i] for i in order]
    np.testing.assert_array_equal(batches.stack(5, 2)["x"], whole[5:7])


def test_what_is_not_there_is_an_error():
    batches = IteratorBatches(stream())
    with pytest.raises(IndexError, match="has ended after 25 batches"):
        batches[25]
    with pytest.raises(IndexError, match="step -1 lies before all known states"):
        batches[-1]


def test_an_iterator_is_not_read_ahead_by_others():
    with pytest.raises(ValueError, match="ReadAhead: IteratorBatches has a state of its own"):
        ReadAhead(IteratorBatches(stream()))


@pytest.mark.parametrize("dataset", [[{"x": 1}], ({"x": i} for i in range(3)), 3], ids=["list", "generator", "int"])
def test_an_iterator_without_a_state_is_one_clear_error(dataset):
    with pytest.raises(TypeError, match=rf"whose iterator has get_state and .*, found {type(dataset).__name__}\."):
        IteratorBatches(dataset)
