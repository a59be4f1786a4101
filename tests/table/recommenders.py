"""Models that recommend, at toy sizes."""

from jnn import models
from jnn.laws import Block
from tests.table.rows import integers

USERS, FILMS = 5, 7


def features(*counts):
    """Of each side, ids below its count (3, 2) and their values."""
    return lambda rng: tuple(
        x for n in counts for x in (*integers(n, 3, 2)(rng), rng.normal(size=(3, 2)).astype("float32"))
    )


BLOCKS = [
    Block(
        "factorization_machine",
        models.factorization_machine_spec(11, 4),
        lambda p, ids, x, key: models.factorization_machine(p, ids, x),
        lambda rng: (*integers(11, 3)(rng), rng.normal(size=3).astype("float32")),
    ),
    Block(
        "neumf",
        models.neumf_spec(USERS, FILMS, 3, (8, 6, 4)),
        lambda p, users, items, key: models.neumf(p, users, items, key=key, rate=0.3),
        lambda rng: (*integers(USERS, 4)(rng), *integers(FILMS, 4)(rng)),
        noisy=True,
    ),
    Block(
        "two_tower",
        models.two_tower_spec(USERS, FILMS, (4, 8, 3)),
        lambda p, q, qx, i, ix, key: models.two_tower(p, (q, qx), (i, ix), key=key, rate=0.3),
        features(USERS, FILMS),
        noisy=True,
    ),
    Block(
        "sasrec",
        models.sasrec_spec(11, 6, 8, heads=2),
        lambda p, items, key: models.sasrec(p, items, key=key, rate=0.2),
        integers(11, 6),
        noisy=True,
        causal=True,
    ),
]
