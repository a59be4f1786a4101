"""Captum's attributions of the same networks: every method, over random configurations, in float64."""

import functools

import jax
import numpy as np
import pytest
import torch
from torch import nn

from jnn import explain
from tests.explain.networks import CLASSES, cnn, cnn_stages, mlp, mlp_stages, scored
from tests.oracle import configurations

KEY = jax.random.key(0)
ALL = pytest.mark.parametrize("rng", configurations(), ids=range(20))
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # torch's and Captum's own


@pytest.fixture(autouse=True)
def _wide():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def captum():
    pytest.importorskip("captum", reason="captum is not installed")
    import captum.attr
    import captum.concept

    return captum


def theirs(part):
    """A map with the weights of ours."""
    w, bias = torch.tensor(part["w"]), "b" in part
    if w.ndim == 2:
        module, w = nn.Linear(*w.shape, bias=bias), w.T
    else:
        module, w = nn.Conv2d(*w.shape[2:], w.shape[0], padding=1, bias=bias), w.permute(3, 2, 0, 1)
    with torch.no_grad():
        module.weight.copy_(w)
        if bias:
            module.bias.copy_(torch.tensor(part["b"]))
    return module


def torch_mlp(ps):
    return nn.Sequential(*[one for p in ps for one in (theirs(p), nn.ReLU())][:-1])


class TorchCNN(nn.Module):
    def __init__(self, ps):
        super().__init__()
        first, second, wide, out = map(theirs, ps)
        self.maps = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU())
        self.head = nn.Sequential(wide, nn.ReLU(), out)

    def forward(self, x):
        return self.head(self.maps(x).permute(0, 2, 3, 1).flatten(1))


def images(x):
    """(y, x, c) as torch's batch of one."""
    return torch.tensor(np.array(x)).permute(2, 0, 1)[None]


def back(attributed):
    return attributed[0].permute(1, 2, 0).detach().numpy()


def network(rng, **how):
    """Our stages, the same module, an image and a class."""
    ps, x = cnn(rng, **how)
    return cnn_stages(ps), TorchCNN(ps), x, int(rng.integers(CLASSES))


near = functools.partial(np.testing.assert_allclose, rtol=1e-7, atol=1e-10)


@ALL
def test_gradients(captum, rng, monkeypatch):
    stages, module, x, target = network(rng)
    f, given, start, attr = scored(stages, target), images(x), rng.normal(size=x.shape), captum.attr
    noisy = {"key": KEY, "noise": 0.3, "samples": 7}
    noise = 0.3 * np.array(jax.random.normal(KEY, (7, *x.shape), float))
    monkeypatch.setattr(torch, "normal", lambda mean, deviation: torch.tensor(noise).permute(0, 3, 1, 2))
    tunnel = attr.NoiseTunnel(attr.Saliency(module))
    pairs = {
        "saliency": (explain.saliency, attr.Saliency(module), {}),
        "input_times_gradient": (explain.input_times_gradient, attr.InputXGradient(module), {}),
        "integrated_gradients": (
            functools.partial(explain.integrated_gradients, baseline=start, steps=17),
            attr.IntegratedGradients(module),
            {"baselines": images(start), "n_steps": 17},
        ),
        "smooth_grad": (
            functools.partial(explain.smooth_grad, **noisy),
            tunnel,
            {"nt_samples": 7, "stdevs": 0.3, "abs": False},
        ),
        "smoothed saliency": (
            functools.partial(explain.smooth_grad, **noisy, of=explain.saliency),
            tunnel,
            {"nt_samples": 7, "stdevs": 0.3},
        ),
    }
    found = jax.jit(lambda x: {name: ours(f, x) for name, (ours, _, _) in pairs.items()})(x)
    for name, (_, method, how) in pairs.items():
        theirs_in_float32 = {"rtol": 1e-5, "atol": 1e-7} if name == "integrated_gradients" else {}  # their weights are
        near(found[name], back(method.attribute(given, target=target, **how)), err_msg=name, **theirs_in_float32)


@ALL
def test_guided_backpropagation(captum, rng):
    ps, x = cnn(rng)
    f = scored(cnn_stages(ps, activation=explain.guided(jax.nn.relu)), 1)
    expected = captum.attr.GuidedBackprop(TorchCNN(ps)).attribute(images(x), target=1)
    near(jax.jit(functools.partial(explain.gradient, f))(x), back(expected))


@ALL
def test_grad_cam_and_occlusion(captum, rng):
    stages, module, x, target = network(rng)
    cam = captum.attr.LayerGradCam(module, module.maps[-1])
    expected = cam.attribute(images(x), target=target, relu_attributions=True)
    features = functools.partial(explain.apply_stages, stages[:5])
    found = jax.jit(functools.partial(explain.grad_cam, features, scored(stages[5:], target)))(x)
    near(found, expected[0, 0].detach().numpy())
    window = tuple(int(n) for n in rng.integers(1, [n + 1 for n in x.shape[:2]]))
    stride = tuple(int(rng.integers(1, n + 1)) for n in window)
    expected = captum.attr.Occlusion(module).attribute(
        images(x), (x.shape[2], *window), strides=(1, *stride), baselines=0.7, target=target
    )
    hide = functools.partial(explain.occlusion, scored(stages, target), window=window, stride=stride, baseline=0.7)
    near(jax.jit(hide)(x), back(expected)[..., 0])


@ALL
def test_layerwise_relevance(captum, rng):
    """Of weights without bias: of a bias, Captum's gamma and z+ rules take another part than the papers."""
    rules = captum.attr._utils.lrp_rules
    epsilon = float(rng.choice([1e-9, 1e-2, 0.5]))
    pairs = {
        "epsilon": (explain.epsilon_rule(epsilon), lambda: rules.EpsilonRule(epsilon)),
        "gamma": (explain.gamma_rule(0.25, 1e-9), lambda: rules.GammaRule(0.25)),
        "positive": (explain.positive_rule(1e-9), rules.Alpha1_Beta0_Rule),
    }
    for name, (ours, make) in pairs.items():
        ps, x = cnn(rng, bias=name == "epsilon")
        x, target, module = np.abs(x), int(rng.integers(CLASSES)), TorchCNN(ps)
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.rule = make()
        expected = captum.attr.LRP(module).attribute(images(x), target=target)
        found = jax.jit(functools.partial(explain.layerwise_relevance, cnn_stages(ps, ours), target=target))(x)
        np.testing.assert_allclose(found, back(expected), rtol=1e-6, atol=1e-9, err_msg=name)


@ALL
def test_shapley_values(captum, rng):
    d = int(rng.integers(4, 8))
    ps, x = mlp(rng, d)
    f, module, start, target = scored(mlp_stages(ps), 2), torch_mlp(ps), rng.normal(size=d), 2
    groups = rng.permutation(np.concatenate([np.arange(4), rng.integers(0, 4, d - 4)]))
    row = lambda a: torch.tensor(a)[None]
    exact = captum.attr.ShapleyValues(module).attribute(row(x), row(start), target, feature_mask=row(groups))
    for ours in (explain.shapley_values, functools.partial(explain.kernel_shap, key=KEY)):
        found = jax.jit(functools.partial(ours, f, baseline=start, groups=groups))(x)
        near(found[groups], exact[0].detach().numpy(), rtol=1e-5, atol=1e-6)  # theirs are added up in float32


@ALL
def test_kernel_shap(captum, rng):
    """Both draw coalitions: both are near the exact values, and ours, whose come in pairs, no further by much."""
    ps, x = mlp(rng, 8)
    f, module = scored(mlp_stages(ps), 2), torch_mlp(ps)
    exact = np.array(jax.jit(functools.partial(explain.shapley_values, f))(x))
    torch.manual_seed(0)
    kernel = captum.attr.KernelShap(module)
    expected = kernel.attribute(torch.tensor(x)[None], target=2, n_samples=200, perturbations_per_eval=200)[0].numpy()
    found = np.array(jax.jit(lambda x: explain.kernel_shap(f, x, key=KEY, samples=200))(x))
    spread = np.abs(exact).max()
    assert np.abs(expected - exact).max() < 0.5 * spread
    assert np.abs(found - exact).max() < 0.25 * spread


@ALL
def test_gradient_shap(captum, rng):
    """The means of both, which draw, differ by no more than their standard errors say."""
    ps, x = mlp(rng, 5)
    rows = rng.normal(size=(3, 5))
    f, shap = scored(mlp_stages(ps), 1), captum.attr.GradientShap(torch_mlp(ps))
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - Captum draws from it
    given = torch.tensor(x)[None], torch.tensor(rows)
    expected = [shap.attribute(*given, target=1, n_samples=200, stdevs=0.0)[0].detach().numpy() for _ in range(10)]
    ours = jax.vmap(lambda key: explain.gradient_shap(f, x, rows, key=key, samples=200))
    found = jax.jit(ours)(jax.random.split(KEY, 10))
    error = np.hypot(*(np.std(all_, 0, ddof=1) / np.sqrt(10) for all_ in (found, expected)))
    assert (np.abs(np.mean(found, 0) - np.mean(expected, 0)) < 6 * error + 1e-9).all()


@ALL
def test_concept_activation(captum, rng, tmp_path):
    """By the same vector, which Captum is given for its classifier's; it computes in float32."""
    torch.set_default_dtype(torch.float32)
    ps, _ = mlp(rng)
    module, stages = torch_mlp(ps).float(), mlp_stages(ps)
    behind = jax.vmap(functools.partial(explain.apply_stages, stages[:2]))
    concept, others, x = (rng.normal(shift, 1, (12, 6)) for shift in (0.5, 0.0, 0.0))
    vector = explain.concept_vector(behind(concept), behind(others))

    class Ours(captum.concept.Classifier):
        def __init__(self):
            pass

        def train_and_eval(self, dataloader, **kwargs):
            return {"accs": torch.tensor(1.0)}

        def weights(self):
            v = torch.tensor(np.array(vector, np.float32))
            return torch.stack([v, -v])

        def classes(self):
            return [0, 1]

    loader = lambda rows: torch.utils.data.DataLoader(torch.tensor(rows, dtype=torch.float32), batch_size=4)
    two = [captum.concept.Concept(i, f"c{i}", loader(rows)) for i, rows in enumerate((concept, others))]
    tcav = captum.concept.TCAV(module, ["1"], classifier=Ours(), save_path=str(tmp_path))
    scores = tcav.interpret(torch.tensor(x, dtype=torch.float32), [two], target=3)["0-1"]["1"]
    found = explain.concept_activation(scored(stages[2:], 3), behind(x), vector)
    near(found, scores["sign_count"][0].numpy())
