"""The search: plans and samplers over members, saved and taken up again, and whether its winner is luck."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.models import mlp_spec
from jnn.param import flatten
from jnn.sweep import (
    Asha,
    Choice,
    GridSampler,
    Log,
    LogUniform,
    OptunaSampler,
    Population,
    RandomSampler,
    Repeats,
    SobolSampler,
    Structure,
    SuccessiveHalving,
    Sweep,
    Uniform,
    confirm,
    search,
)
from jnn.train import checkpoint, fit
from tests.sweep import small

PLANS = {
    "halving": SuccessiveHalving(members=8, rungs=(3, 6, 12)),
    "brackets": SuccessiveHalving(members=4, rungs=(3, 6), brackets=2, every=3),
    "asha": Asha(members=10, slots=4, rungs=(3, 6, 12)),
    "population": Population(members=6, steps=9, every=3),
}


def found(plan, folder=None, *, make=None, space=small.SPACE, sampler=None, **options):
    """A search of the small network."""
    sampler = sampler or RandomSampler(space, seed=1)
    more = {"metric": "accuracy", "mode": "max", "save_seconds": 0.0} | options
    return search(make or small.shared(8), space, plan, sampler, small.arrays(40, 1), folder=folder, **more)


class Killed(Exception):
    """The end of a process, in a test."""


def killed_after(plan, turns):
    """A plan of which the process dies after some turns."""

    class Mortal(type(plan)):
        def next(self, log):
            if len(log.rows) == turns:
                raise Killed
            return super().next(log)

        def __repr__(self):
            return repr(plan)

    return Mortal(**vars(plan))


@pytest.mark.parametrize("name", PLANS)
def test_resumed_is_uninterrupted(name, tmp_path):
    plan = PLANS[name]
    whole = found(plan, tmp_path / "whole")
    for turns in (1, 2):
        with pytest.raises(Killed):
            found(killed_after(plan, turns), tmp_path / "killed")
    resumed = found(plan, tmp_path / "killed")
    assert resumed.log.rows == whole.log.rows
    assert checkpoint.diff(*(checkpoint.read(tmp_path / run).state for run in ("whole", "killed"))) == []
    assert found(plan, tmp_path / "whole").log.rows == whole.log.rows  # a finished one is read


def test_structure_is_grouped_and_resumed(tmp_path):
    plan, made = SuccessiveHalving(members=8, rungs=(3, 6)), []

    def make(width):
        made.append(width)
        return small.shared(width)

    own = {"make": make, "space": small.STRUCTURED}
    whole = found(plan, tmp_path / "whole", **own)
    assert sorted(made) == [4, 8]
    with pytest.raises(Killed):
        found(killed_after(plan, 1), tmp_path / "killed", **own)
    resumed = found(plan, tmp_path / "killed", **own)
    assert resumed.log.rows == whole.log.rows
    best = whole.ranking()[0]
    sweep, member = resumed.member(best)
    assert sweep.spec["fc0"]["w"].shape == (5, whole.values(best)["width"])
    for path, x in flatten(member).items():
        np.testing.assert_array_equal(x, flatten(whole.member(best)[1])[path], err_msg=path)


def test_a_member_of_a_search_is_an_ordinary_run():
    done = found(PLANS["halving"], seed=5)
    number = done.ranking()[0]
    sweep, member = done.member(number)
    begun = sweep.begin([done.values(number)], [5 + number])
    step, state, batches = sweep.alone(begun, 0)
    alone, _ = fit(step, state, batches, steps=12, every=12)
    for path, x in flatten(alone.params).items():
        np.testing.assert_allclose(np.asarray(flatten(member.state.params)[path])[0], x, atol=1e-5)


def test_halving_leaves_the_better_half():
    done = found(PLANS["halving"])
    numbers = [row["numbers"] for row in done.log.rows]
    assert [len(row) for row in numbers] == [8, 4, 2]
    assert set(numbers[1]) == set(done.log.best(range(8), 3)[:4])
    assert set(numbers[2]) == set(done.log.best(numbers[1], 6)[:2])
    assert done.ranking() == done.log.best(numbers[2])


def test_who_breaks_down_after_a_rung_leaves_no_place_to_who_did_not_come_past_it():
    plan, log = SuccessiveHalving(members=4, rungs=(10, 20)), Log(small.SPACE)
    log.add({"numbers": [0, 1, 2, 3], "steps": [10] * 4, "scores": [0.3, 0.1, 0.4, 0.2], "values": {}})
    log.add({"numbers": [1, 3], "steps": [10, 20], "scores": [math.nan, 0.15], "values": {}})  # 1 is where it was
    assert plan.next(log) is None
    assert not log.alive(1)
    assert math.isnan(log.score(1))
    assert log.curve(1) == [(10, 0.1)]


def test_asha_takes_all_places_and_promotes_the_best():
    done = found(PLANS["asha"])
    rows = done.log.rows
    assert {len(row["numbers"]) for row in rows[:3]} == {4}
    assert sorted(done.log.steps()) == list(range(10))
    for rung, above in ((3, 6), (6, 12)):
        came = [i for i, step in done.log.steps().items() if step >= rung]
        gone = [i for i in came if done.log.steps()[i] > rung]
        assert len(gone) >= len(came) // 2
        assert set(done.log.best(came, rung)[: len(came) // 2]) <= set(gone)
        assert all(step in (3, 6, 12) for step in done.log.steps().values()), above


def test_who_breaks_down_is_said_and_left_out():
    said = []
    space = small.SPACE | {"learning_rate": Choice(1e-2, 1e30)}
    done = found(PLANS["halving"], space=space, sampler=GridSampler(space, points=2), tell=said.append)
    broken = [i for i in done.log.steps() if not done.log.alive(i)]
    assert [i for i in range(8) if done.log.values(i)["learning_rate"] > 1] == broken
    assert len(said) == len(broken) == 4
    assert said[0].startswith("search: member 4 (learning_rate=1e+30, dropout=0, decay=0) broke down after step 0")
    assert all(set(row["numbers"]).isdisjoint(broken) for row in done.log.rows[1:])


def test_a_population_copies_the_best():
    said = []
    space = {"learning_rate": Choice(1e-3, 1e-2, 1e30)}
    plan = Population(members=6, steps=9, every=3)
    done = found(plan, space=space, sampler=RandomSampler(space, seed=0), tell=said.append)
    first = done.log.rows[0]
    broken = [i for i, score in zip(first["numbers"], first["scores"], strict=True) if math.isnan(score)]
    assert broken
    assert len(done.log.rows[1]["numbers"]) == 6  # those go on as copies
    assert set(map(int, done.log.rows[1]["values"])) >= set(broken)
    assert {done.log.steps()[i] for i in done.ranking()} == {9}


def test_the_best_once_more():
    done = found(PLANS["halving"])
    with pytest.raises(ValueError, match="a member of the search has the seed 3"):
        confirm(done, small.arrays(40, 1), small.arrays(40, 2), first_seed=3)
    once_more = confirm(done, small.arrays(40, 1), small.arrays(40, 2), top=2, seeds=4)
    assert once_more.scores.shape == (2, 4)
    assert once_more.numbers == done.ranking()[:2]
    assert once_more.scores.mean(1).argmax() == once_more.winner
    assert 0 < once_more.confidence <= 1
    assert once_more.test.shape == (4,)
    assert once_more.first == done.value(once_more.numbers[0]) == max(map(done.value, done.ranking()))


def test_of_runs_by_the_same_hyperparameters_the_best_is_one_of_the_best():
    space = {"learning_rate": LogUniform(1e-3, 1e-1), "run": Repeats(2)}
    plan = SuccessiveHalving(members=4, rungs=(1,))
    done = found(plan, space=space, sampler=GridSampler(space, points=2))
    once_more = confirm(done, small.arrays(40, 1), small.arrays(40, 2), top=4, seeds=2)
    assert once_more.numbers[0] == done.ranking()[0]
    assert sorted(values["learning_rate"] for values in once_more.values) == [1e-3, 1e-1]


def test_samplers_cover_the_space():
    space = small.SPACE | {"width": Structure(4, 8)}
    for sampler in (RandomSampler(space, seed=0), SobolSampler(space, seed=0)):
        points = [*sampler.ask(3), *sampler.ask(61)]
        rates = np.log10([point["learning_rate"] for point in points])
        assert -3 <= rates.min() < -2.9
        assert -1.1 < rates.max() <= -1
        assert abs(rates.mean() + 2) < 0.15
        assert {point["width"] for point in points} == {4, 8}
        assert points[3:] == type(sampler)(space, seed=0).ask(64)[3:]
    grid = GridSampler(space, points=3).ask(36)
    assert len({tuple(point.values()) for point in grid}) == 36
    with pytest.raises(ValueError, match=r"37 points were asked for, and the grid has 36\. Give"):
        GridSampler(space, points=3).ask(37)


@pytest.mark.parametrize("kind", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "cmaes"])
def test_optuna_learns_where_the_minimum_is(kind):
    for package in ["optuna"] + ["cmaes"] * (kind == "cmaes") + ["torch"] * (kind == "gp"):
        pytest.importorskip(package)
    space = {"a": Uniform(-1.0, 1.0), "b": LogUniform(1e-3, 1e3)}
    score = lambda point: (point["a"] - 0.3) ** 2 + (math.log10(point["b"]) / 3) ** 2

    def run(rounds=6):
        sampler, best = OptunaSampler(space, kind, seed=0), []
        for start in range(0, 8 * rounds, 8):
            points = sampler.ask(8)
            best.append(min(map(score, points)))
            for i, point in enumerate(points):
                sampler.tell(start + i, math.nan if i == 7 else score(point), 1 if i == 6 else 5, i != 6)
        return best

    best = run()
    assert min(best[3:]) < 0.02
    if kind == "tpe":
        assert run() == best


@pytest.mark.slow
def test_optuna_searches_structure_and_is_resumed(tmp_path):
    pytest.importorskip("optuna")
    own = lambda: {"make": small.shared, "space": small.STRUCTURED, "sampler": OptunaSampler(small.STRUCTURED, seed=0)}
    plan = SuccessiveHalving(members=4, rungs=(3, 6), brackets=3)
    whole = found(plan, **own())
    with pytest.raises(Killed):
        found(killed_after(plan, 3), tmp_path, **own())
    assert found(plan, tmp_path, **own()).log.rows == whole.log.rows


class Listening(RandomSampler):
    """A sampler that writes down what it is told."""

    def tell(self, number, score, step, final):
        self.heard = [*getattr(self, "heard", []), (number, step, final, score)]


def test_samplers_hear_of_who_waited_and_came_further_after_all():
    sampler = Listening(small.SPACE, seed=1)
    done = found(PLANS["asha"], sampler=sampler)
    last = {number: (step, final, score) for number, step, final, score in sampler.heard}
    assert {number: step for number, (step, _, _) in last.items()} == done.log.steps()
    assert all(final == (step == 12) for step, final, _ in last.values())
    assert all(score == done.log.score(n) or math.isnan(score) for n, (_, _, score) in last.items())
    assert len(sampler.heard) > len(last)  # of some twice, of nobody twice at one step
    assert len({heard[:2] for heard in sampler.heard}) == len(sampler.heard)


def test_optuna_is_told_twice_of_who_went_on():
    optuna = pytest.importorskip("optuna")
    sampler = OptunaSampler({"rate": Uniform(0.0, 1.0)}, seed=0)
    (point, _) = sampler.ask(2)
    sampler.tell(0, 0.5, 3, False)
    sampler.tell(1, math.nan, 3, False)
    sampler.tell(0, 0.25, 6, True)
    state = optuna.trial.TrialState
    assert [trial.state for trial in sampler.study.trials] == [state.PRUNED, state.FAIL, state.COMPLETE]
    assert (sampler.study.best_params, sampler.study.best_value) == (point, 0.25)
    sampler.ask(1)
    sampler.tell(2, 0.125, 6, True)  # by the order in which it was asked for
    assert sampler.study.best_value == 0.125


def test_a_folder_is_of_one_search(tmp_path):
    plan = SuccessiveHalving(members=2, rungs=(2,))
    found(plan, tmp_path)
    with pytest.raises(ValueError, match="plan"):
        found(SuccessiveHalving(members=4, rungs=(2,)), tmp_path)
    with pytest.raises(ValueError, match=r"after turn 0 the checkpoint goes on with members \[0, 1\]"):
        found(plan, tmp_path, sampler=RandomSampler(small.SPACE, seed=2))


def test_what_is_no_search():
    plan = SuccessiveHalving(members=2, rungs=(2,))
    with pytest.raises(TypeError, match="expected a function of width that gives a Sweep"):
        found(plan, space=small.STRUCTURED)
    with pytest.raises(TypeError, match="expected a space such as"):
        search(small.sweep(), {"a": 1}, plan, None, small.arrays())
    with pytest.raises(ValueError, match="expected rungs that rise"):
        SuccessiveHalving(members=2, rungs=(4, 2))
    with pytest.raises(TypeError, match=r"SuccessiveHalving: expected rungs such as \(50, 100, 200\), found 80"):
        SuccessiveHalving(members=2, rungs=80)
    with pytest.raises(
        ValueError, match=r"search: expected points of .*decay.*, found one of \['learning_rate', 'width'\]"
    ):
        found(plan, sampler=RandomSampler(small.STRUCTURED, seed=0))
    with pytest.raises(ValueError, match="multiples of the first"):
        Asha(members=4, slots=2, rungs=(2, 3))
    values = {"0": {"width": 4}, "1": {"width": 8}}
    log = Log(
        {"width": Structure(4, 8)}, [{"numbers": [0, 1], "steps": [3, 3], "scores": [0.1, 0.2], "values": values}]
    )
    with pytest.raises(ValueError, match="'width' is a Structure"):
        Population(members=2, steps=6, every=3, share=0.5).next(log)


def test_a_hyperparameter_that_nothing_reads_is_told_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(small.shared(8), "train", None)
    space = small.SPACE | {"weight_decay": LogUniform(1e-5, 1e-1)}
    with pytest.raises(ValueError, match=r"nothing reads the hyperparameter .weight_decay.*ctx\.given.*leave it out"):
        found(PLANS["halving"], space=space)


def test_what_one_program_of_a_structure_reads_or_nobody_searches_is_not_refused():
    """Dropout of no hidden layer; a choice of one; runs that differ by their seeds."""
    plan = SuccessiveHalving(members=4, rungs=(1,))
    make = lambda depth: small.sweep(4, depth=depth)
    space = {"learning_rate": Choice(1e-2), "dropout": Uniform(0.0, 0.5), "depth": Structure(0, 1)}
    own = {"make": make, "space": space | {"idle": Choice(1.0)}}
    done = found(plan, sampler=GridSampler(own["space"], points=2), **own)
    shallow, deep = (group.sweep for group in done.store.groups.values())
    assert shallow.unread(done.values(0)) == ["depth", "dropout", "idle"]
    assert deep.unread(done.values(1)) == ["depth", "idle"]
    space = {"learning_rate": LogUniform(1e-3, 1e-1), "run": Repeats(2)}
    done = found(plan, space=space, sampler=GridSampler(space, points=2))
    assert [done.values(i)["run"] for i in range(4)] == [0, 1, 0, 1]
    assert len({done.value(i) for i in range(4)}) > 2
    assert "run" not in done.member(0)[1].values


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize("injected", [False, True])
def test_what_an_update_only_carries_along_is_unread(dtype, injected):
    """A loss that is cast, with all that it is given; a rate that is in the state of the optimizer."""
    adam = (
        (lambda h: optax.inject_hyperparams(optax.adam)(learning_rate=h["rate"]))
        if injected
        else lambda h: optax.adam(h["rate"])
    )
    sweep = Sweep(mlp_spec((5, 8, 2)), small.loss, adam, small.arrays(), 8, compute_dtype=dtype)
    assert sweep.unread({"rate": 0.1, "decay": 0.1, "idle": 0.1, "mask": np.ones((3, 2))}) == ["idle", "mask"]


def test_a_metric_that_is_not_there_is_told_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(small.shared(8), "train", None)
    with pytest.raises(KeyError, match="the loss has the metrics accuracy, loss, no 'f1'"):
        found(PLANS["halving"], metric="f1")


def test_ends_are_not_passed_by_rounding():
    rng = np.random.default_rng(0)
    for _ in range(200):
        low, high = sorted((10.0 ** rng.uniform(-8, 4, 2)).tolist())
        assert Uniform(-low, high).at(1.0) <= high
        assert LogUniform(low, high).at(1.0) <= high
    with pytest.raises(ValueError, match="Give bounds that lie closer"):
        LogUniform(1e-300, 1e10)


def test_a_mode_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="expected mode 'min' or 'max', found 'largest'"):
        search(small.shared(8), small.SPACE, None, None, small.arrays(40, 1), mode="largest")


def test_dimensions_and_their_way_back():
    for dimension in (*small.SPACE.values(), Structure("relu", "tanh"), Uniform(-2.0, 3.0)):
        for u in (0.01, 0.3, 0.99):
            value = dimension.at(u)
            assert dimension.at(dimension.unit(value)) == pytest.approx(value)
    for wrong, error in (
        (lambda: Uniform(1.0, 0.0), ValueError),
        (lambda: LogUniform(0.0, 1.0), ValueError),
        (lambda: Choice("a"), TypeError),
        (lambda: Choice(1, 1), ValueError),
        (lambda: Structure((1, 2)), TypeError),
    ):
        with pytest.raises(error):
            wrong()
