"""Sweeps: hundreds of training runs as one program, each with its own hyperparameters, seed and order of examples.

    sweep = Sweep(spec, loss, lambda h: optax.adam(h["learning_rate"]), arrays, batch_size=32)
    members = sweep.begin([{"learning_rate": 1e-3}, {"learning_rate": 1e-2}], seeds=[0, 1])
    members, metrics = sweep.train(members, 100)          metrics: name -> (members, ...)
    sweep.evaluate(members, validation)["loss"]           (members,)
    members = members.take([1])                           those that are worth going on with
    sweep.alone(members, 0) -> step, state, batches       one of them as `fit` takes it

    found = search(sweep, space, plan, sampler, validation, folder=...)     all of this, saved after every turn

A member is an ordinary run: a `TrainState` (`jnn.train`), hyperparameters, and a seed, of which its initial values, its
noise and its order of examples are functions. A hyperparameter is any number that the optimizer, its schedule or the
loss reads: the optimizer is built of them by name, and the loss reads them as `ctx.given`. What changes a shape, or is
no number (depth, width, an activation, the size of a batch), is `Structure`: each is a program of its own, and a
function of it gives the `Sweep`.

The parts, each of use alone:

    `_space`                      Uniform, LogUniform, Choice, Repeats, Structure: what may be chosen
    `_samplers`, `_optuna`        what to try: grid, random, Sobol; Optuna's TPE, GP and CMA-ES by ask and tell
    `_members`                    members side by side as one pytree; taken, put back, joined
    `_over`                       how members are computed on a backend: one by one, in blocks, side by side, on devices
    `_programs`                   what one member does: begins, makes updates, is measured
    `_sweep`                      begin, train, evaluate, alone
    `_halving`, `_asha`, `_population`      plans: pure functions of what was measured: who goes on, for how long
    `_store`, `_log`, `_found`    all members of a search, what was measured of them, and which are best
    `_search`                     the loop: ask, begin, train, evaluate, save, tell
    `_confirm`                    the best ones once more, by seeds that nobody chose among; the test, looked at once
    `report`                      pictures; it needs matplotlib and is imported by name

Laws: a member is its own run, whoever is beside it: the same draws, the same batches, the same numbers but for the
order of sums. What is not finite in one changes no other. Only those that go on are computed: they are packed into
powers of two, so few programs are compiled, and what fills one up costs a CPU nothing. Plans and samplers see scores
alone, which are saved with the members: a sweep that was killed and started again is the one that was not, bit for bit.

What does not live here: layers, losses, data sets.
"""

from jnn.sweep._asha import Asha
from jnn.sweep._confirm import Confirmation, confirm
from jnn.sweep._found import Found
from jnn.sweep._halving import SuccessiveHalving
from jnn.sweep._log import Log, Plan, Turn
from jnn.sweep._members import Members, join
from jnn.sweep._optuna import OptunaSampler
from jnn.sweep._population import Population
from jnn.sweep._samplers import GridSampler, RandomSampler, Sampler, SobolSampler
from jnn.sweep._search import search
from jnn.sweep._space import Choice, LogUniform, Repeats, Space, Structure, Uniform
from jnn.sweep._sweep import Sweep

__all__ = [
    "Asha",
    "Choice",
    "Confirmation",
    "Found",
    "GridSampler",
    "Log",
    "LogUniform",
    "Members",
    "OptunaSampler",
    "Plan",
    "Population",
    "RandomSampler",
    "Repeats",
    "Sampler",
    "SobolSampler",
    "Space",
    "Structure",
    "SuccessiveHalving",
    "Sweep",
    "Turn",
    "Uniform",
    "confirm",
    "join",
    "search",
]
