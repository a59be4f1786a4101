"""Options of every experiment: each has a rule, and what breaks it is one line before anything else happens."""

import dataclasses
import importlib
import math
from pathlib import Path
from typing import Literal, get_origin, get_type_hints

import pytest

from experiments import options
from experiments.harness import launch

EXPERIMENTS = sorted(
    path.stem for path in Path(options.__file__).parent.glob("*.py") if "class Config(Common)" in path.read_text()
)
ODD = {
    int: [-1, 0, 1.5, "", "x", "nan", "1e3", 10**400, -(10**30)],
    float: [-1.0, 0.0, 2.0, math.nan, math.inf, -math.inf, "", "x"],
    str: ["", " ", "\0"],
}


def config_of(name):
    return importlib.import_module(f"experiments.{name}").Config


def kinds(config):
    """Option -> its type, of those that are numbers, texts, or several numbers."""
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        if kind is options.Preflight:
            inner = kinds(kind)
            yield from (("preflight" if n == "machine" else f"preflight.{n}", *rest) for n, *rest in inner)
        if get_origin(kind) is Literal or kind in (bool, options.Preflight):
            continue
        several = get_origin(kind) is tuple
        (one,) = {part for part in getattr(kind, "__args__", (kind,)) if part not in (type(None), ...)}
        if get_origin(one) is not Literal:
            yield field.name, one, several


def test_all_experiments_are_here():
    known = {"binary", "cifar10", "digits", "g2p", "gpt", "mnist", "neuron", "translate", "universal", "vanishing"}
    assert known <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_option_has_a_rule_that_its_default_keeps(name):
    config = config_of(name)
    assert [option for option, _, _ in kinds(config) if option not in options.RULES] == []
    options.check(config())


def end_of(name, option, *values):
    """The exit code and standard error of an experiment that is asked for this; None for one that would begin."""
    begun = []

    def experiment(config):
        begun.append(config)
        raise SystemExit(0)

    experiment.__module__ = f"experiments.{name}"
    with pytest.raises(SystemExit) as end:
        launch(experiment, config_of(name), [f"--{option.replace('_', '-')}", *map(str, values)])
    return None if begun else end.value.code


def changed(config, option, value):
    """A config with another value of an option, be it of the pre-flight."""
    outer, _, inner = option.partition(".")
    if outer == "preflight":
        value = dataclasses.replace(config.preflight, **{inner or "machine": value})
    return dataclasses.replace(config, **{outer: value})


def broken(name):
    """(option, value) of all odd values that break a rule of an experiment."""
    for option, kind, several in kinds(config_of(name)):
        for value in ODD[kind]:
            given = (value, value) if several else value
            if isinstance(value, kind) and not options.RULES[option][1](given):
                yield option, given


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_odd_value_breaks_the_rule_in_one_line(name, capsys):
    for option, value in broken(name):
        with pytest.raises(SystemExit) as end:
            options.check(changed(config_of(name)(), option, value))
        assert end.value.code == 2
        _, err = capsys.readouterr()
        assert err.startswith(f"error: --{option.replace('_', '-')}: expected "), err
        assert len(err.splitlines()) == 1


def test_an_odd_value_is_refused_before_anything_is_done(tmp_path, monkeypatch, capsys):
    """By the rule, or by what reads the command line; nothing is written, wherever it was to be."""
    monkeypatch.chdir(tmp_path)
    unread = [("steps", "1.5"), ("seed", "x"), ("seed", ""), ("save_seconds", "soon"), ("serve", "1e3"), ("lanes", "-")]
    for option, value in [*dict(broken("binary")).items(), *unread]:
        assert end_of("binary", option, value) == 2, (option, value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "option", "values"), [
    ("digits", "hidden", (64, 0)), ("digits", "channels", (-1,)),
    ("universal", "widths", ()), ("universal", "widths", (0,)), ("finetune", "methods", ()),
    ("align", "stages", ()), ("grpo", "group", (1,)), ("grpo", "beta", (-1,)), ("align", "beta", (-1,)),
    ("perceptron", "classes", (3, 3)), ("perceptron", "classes", (1, 10)), ("neuron", "held_out", (1,)),
    ("mnist", "dropout", (1,)), ("sentiment", "smoothing", (1.5,)), ("gpt", "context", (1,)),
    ("binary", "seed", (2**32,)), ("g2p", "length", (1,)), ("translate", "vocab", (0,)),
    ("gpt", "serve", (99999,)), ("gpt", "lanes", (0,)), ("gpt", "save_seconds", (-1,)), ("gpt", "workdir", ("",)),
])  # fmt: skip
def test_values_that_mean_nothing(name, option, values, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert end_of(name, option, *values) == 2
    assert capsys.readouterr().err.startswith(f"error: --{option.replace('_', '-')}: expected ")


WARMED = [name for name in EXPERIMENTS if "warmup" in {field.name for field in dataclasses.fields(config_of(name))}]


@pytest.mark.parametrize("name", WARMED)
def test_a_run_that_is_shorter_than_its_warm_up_warms_up_for_the_same_share_of_it(name, capsys):
    config, usual = config_of(name), config_of(name)()
    short = options.shortened(config(steps=5))
    options.check(short)
    assert short.warmup == 5 * usual.warmup // usual.steps
    assert capsys.readouterr().err.startswith(f"--warmup {short.warmup}, for the usual {usual.warmup} leave nothing")
    assert options.shortened(usual) is usual
    asked = config(steps=5, warmup=7)  # by somebody, who is told
    with pytest.raises(SystemExit):
        options.check(options.shortened(asked))
    told = "--warmup: expected fewer than the 5 steps, found 7. Type --steps 8 or more, or a smaller --warmup."
    assert told in capsys.readouterr().err


def test_help_has_a_line_for_each_of_the_notes(capsys):
    with pytest.raises(SystemExit):
        launch(importlib.import_module("experiments.digits").experiment, config_of("digits"), ["--help"])
    begun = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.split()]
    assert {"Data", "Networks", "Training", "Run", "Measured"} <= {*begun}
