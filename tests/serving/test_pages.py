"""The pool of pages: nothing is lost, nothing is shared that is written, what is not used longest goes first."""

import numpy as np
import pytest

from jnn.serving import PagePool


def taken(pool, count):
    return [pool.take() for _ in range(count)]


def test_pages_are_taken_once_and_given_back_once():
    pool = PagePool(3, 2)
    assert sorted(taken(pool, 3)) == [0, 1, 2]
    assert pool.take() is None
    pool.give_back([1])
    assert pool.take() == 1
    pool.give_back([0, 1, 2])
    with pytest.raises(ValueError, match="page 2 was given back, and nobody uses it"):
        pool.give_back([2])
    with pytest.raises(ValueError, match="at least one page of at least one token"):
        PagePool(0, 2)


def test_whole_pages_of_equal_beginnings_are_shared():
    pool = PagePool(8, 2)
    mine = taken(pool, 3)
    pool.remember([1, 2, 3, 4, 5], mine)
    assert pool.shared([1, 2, 3, 4, 9]) == mine[:2]
    assert pool.shared([1, 2, 9, 4]) == mine[:1]
    assert pool.shared([3, 4]) == []  # the same tokens behind others are something else
    assert [pool.users[page] for page in mine] == [3, 2, 1]


def test_a_kept_page_is_found_until_it_is_needed_and_the_last_of_a_sequence_goes_first():
    pool = PagePool(3, 1)
    mine = taken(pool, 3)
    pool.remember([1, 2, 3], mine)
    pool.give_back(mine)
    assert (pool.free, pool.kept) == (3, 3)
    assert pool.take() == mine[2]
    assert pool.shared([1, 2, 3]) == mine[:2]
    assert pool.take() is None


@pytest.mark.parametrize("seed", range(20))
def test_what_is_found_is_what_was_written(seed):
    """Against a pool that really holds tokens, by random sequences that grow, end and begin alike."""
    rng, pool = np.random.default_rng(seed), PagePool(12, 2)
    memory, live = {}, []
    for _ in range(200):
        if live and rng.random() < 0.4:
            tokens, pages = live.pop(rng.integers(len(live)))
            pool.give_back(pages)
            continue
        tokens = rng.integers(0, 2, rng.integers(1, 9)).tolist()
        pages = pool.shared(tokens)
        assert [memory[page] for page in pages] == [tuple(tokens[2 * i : 2 * i + 2]) for i in range(len(pages))]
        while len(pages) * 2 < len(tokens) and (page := pool.take()) is not None:
            memory[page] = tuple(tokens[2 * len(pages) : 2 * len(pages) + 2])
            pages.append(page)
        pool.remember(tokens[: 2 * len(pages)], pages)
        live.append((tokens, pages))
        held = [page for _, pages in live for page in pages]
        assert pool.users == [held.count(page) for page in range(12)]
        assert pool.free == 12 - len(set(held))
    for _, pages in live:
        pool.give_back(pages)
    assert pool.free == 12
