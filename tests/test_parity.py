"""Parity: outer gradients against naive loops, heads against scikit-learn, metric rules against hand work."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small import learner, task
from torch import Tensor, nn

from metalab.backbones import Backbone
from metalab.metalearners import MetaLearner, check_options, get_metalearner
from metalab.metalearners.lrd2 import logistic
from metalab.metalearners.metaoptnet import crammer_singer
from metalab.metalearners.r2d2 import extended, ridge
from metalab.tasks import Examples

WAY = 3


def naive_features(backbone: Backbone, params: dict[str, Tensor], x: Tensor) -> Tensor:
    """Conv4 in evaluation mode, written with the library's own norms, in the textbook's order."""
    buffers = dict(backbone.named_buffers())
    h = (x - buffers["input_mean"].view(1, -1, 1, 1)) / buffers["input_std"].view(1, -1, 1, 1)
    for i in range(4):
        h = F.conv2d(h, params[f"conv{i}"], padding=1)
        weight, bias = params[f"norm{i}_weight"], params[f"norm{i}_bias"]
        if backbone.normalisation == "running":
            mean, var = buffers[f"norm{i}_mean"], buffers[f"norm{i}_var"]
            h = F.batch_norm(h, mean, var, weight, bias, training=False)
        elif backbone.normalisation == "batch":
            h = F.batch_norm(h, None, None, weight, bias, training=True)
        else:
            h = F.group_norm(h, math.gcd(h.shape[1], 8), weight, bias)
        h = F.max_pool2d(F.relu(h), 2)
    return h.flatten(1)


class Naive:
    """Algorithm 2 of Finn et al. 2017 with plain autograd, for every method that is a variant of it."""

    def __init__(self, method: MetaLearner, steps: int, second_order: bool) -> None:
        self.method, self.steps, self.second_order = method, steps, second_order
        self.meta = dict(method.named_parameters())

    def adapts(self, name: str) -> bool:
        kind = self.method.name
        return {"anil": name in ("weight", "bias"), "boil": name not in ("weight", "bias")}.get(kind, True)

    def rate(self, name: str, step: int) -> Tensor | float:
        head = {"weight": "head_weight", "bias": "head_bias"}.get(name, name)
        if self.method.name == "metasgd":
            own = {"weight": "head_rate", "bias": "bias_rate"}.get(name, f"rates.{name}")
            return self.meta[own]
        if self.method.name == "mamlpp":
            return self.meta[f"rates.{head}"][step]
        return self.method.options.inner_lr

    def logits(self, fast: dict[str, Tensor], x: Tensor) -> Tensor:
        return naive_features(self.method.backbone, fast, x) @ fast["weight"].t() + fast["bias"]

    def start(self, support: Examples) -> dict[str, Tensor]:
        fast = {n.removeprefix("backbone."): p for n, p in self.meta.items() if n.startswith("backbone.")}
        if self.method.options.head == "shared":
            weight = torch.stack([self.meta["head_weight"]] * WAY)
            bias = torch.stack([self.meta["head_bias"]] * WAY)
        else:
            features = naive_features(self.method.backbone, fast, support.x)
            centres = torch.stack([features[support.y == k].mean(0) for k in range(WAY)])
            scale = self.meta["log_temperature"].exp() / features.shape[1]
            weight, bias = 2 * scale * centres, -scale * (centres**2).sum(1)
        # Clones: the inner gradient of the backbone leaves out the way through the head's start.
        return {**{name: p.clone() for name, p in fast.items()}, "weight": weight, "bias": bias}

    def run(self, support: Examples) -> list[dict[str, Tensor]]:
        path = [self.start(support)]
        for step in range(self.steps):
            fast = path[-1]
            moving = [name for name in fast if self.adapts(name)]
            loss = F.cross_entropy(self.logits(fast, support.x), support.y)
            gradients = torch.autograd.grad(
                loss, [fast[name] for name in moving], create_graph=True, retain_graph=True
            )
            if not self.second_order:
                gradients = [gradient.detach() for gradient in gradients]
            moved = {n: fast[n] - self.rate(n, step) * g for n, g in zip(moving, gradients, strict=True)}
            path.append({**fast, **moved})
        return path


GRADIENT_METHODS = {
    "maml": {},
    "maml, shared head": {"head": "shared"},
    "maml, first order": {"first_order": True},
    "fomaml": {},
    "anil": {},
    "anil, shared head": {"head": "shared"},
    "boil": {},
    "metasgd": {},
    "mamlpp": {},
    "mamlpp, first-order phase": {"first_order_share": 0.5},
    "reptile": {},
}


@pytest.mark.parametrize("normalisation", ["running", "group", "batch"])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("case", list(GRADIENT_METHODS))
def test_outer_gradients_equal_a_naive_loop(case: str, steps: int, normalisation: str) -> None:
    """Logits, loss and outer gradients to 1e-10 in float64."""
    name, options = case.split(",")[0], {**GRADIENT_METHODS[case], "inner_steps": steps, "inner_lr": 0.1}
    method = learner(name, normalisation=normalisation, **options)
    method.progress.fill_(0.1)
    support, query = task()
    first_order = name in ("fomaml", "reptile") or "first" in case
    naive = Naive(method, steps, not first_order)
    path = naive.run(support)
    outputs = [naive.logits(fast, query.x) for fast in path]
    expected = F.cross_entropy(outputs[-1], query.y)
    if name == "mamlpp" and steps > 1:
        losses = [F.cross_entropy(output, query.y) for output in outputs[1:]]
        left = (1 - 0.1 / 0.25) / steps
        expected = left * sum(losses[:-1]) + (1 - left * (steps - 1)) * losses[-1]
    loss, own = method(support, query, WAY)
    torch.testing.assert_close(own, outputs[-1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    if name == "reptile":  # its gradient is another one: start minus end of a loop over all examples
        everything = Examples(torch.cat([support.x, query.x]), torch.cat([support.y, query.y]))
        path = naive.run(everything)
        expected = sum((path[0][n] - path[-1][n].detach()).square().sum() for n in path[0]) / 2
    parameters = naive.meta
    ours = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    theirs = torch.autograd.grad(expected, list(parameters.values()), allow_unused=True)
    for name, a, b in zip(parameters, ours, theirs, strict=True):
        zero = torch.zeros_like(parameters[name])
        a, b = zero if a is None else a, zero if b is None else b
        torch.testing.assert_close(
            a, b, rtol=1e-10, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_float32_is_near_float64() -> None:
    support, query = task()
    gradients = []
    for dtype in (torch.float32, torch.float64):
        maml = learner("maml", inner_lr=0.1).to(dtype)
        parts = (Examples(part.x.to(dtype), part.y) for part in (support, query))
        found = torch.autograd.grad(maml(*parts, WAY)[0], list(maml.parameters()))
        gradients.append(torch.cat([g.double().flatten() for g in found]))
    # Not 1e-4: single ties of ReLU and max-pooling flip.
    assert (gradients[0] - gradients[1]).norm() < 5e-4 * gradients[1].norm()


def test_second_order_differs_from_first_order() -> None:
    support, query = task()
    gradients = []
    for first_order in (False, True):
        maml = learner("maml", first_order=first_order)
        gradients.append(torch.autograd.grad(maml(support, query, WAY)[0], maml.backbone.conv0)[0])
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6


class Identity(Backbone):
    """Features are the inputs: a linear head on them with squared error has a quadratic loss."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, 4, "running")
        self.film_channels, self.feature_dim = (), inputs

    def extract(self, params, x, film=None) -> Tensor:
        return x


def test_imaml_equals_the_analytic_solution_on_a_quadratic() -> None:
    """φ = argmin ‖Xφ - y‖²/n + λ/2 ‖φ - θ‖², and the outer gradient (I + H/λ)⁻¹ ∇L(φ) (equations 3, 6)."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    options = {"head": "shared", "inner_steps": 1000, "inner_lr": 0.1, "proximity": 0.7, "cg_steps": 10}
    imaml = get_metalearner("imaml")(Identity(4), check_options("imaml", options)).double()
    with torch.no_grad():
        imaml.head_weight.copy_(draw(4))
        imaml.head_bias.copy_(draw())
    support, query = Examples(draw(6, 4), draw(6, 1)), Examples(draw(8, 4), draw(8, 1))

    start = torch.cat([imaml.head_weight, imaml.head_bias[None]]).detach()
    x, asked = F.pad(support.x, (0, 1), value=1.0), F.pad(query.x, (0, 1), value=1.0)
    hessian = 2 * x.t() @ x / 6 + 0.7 * torch.eye(5, dtype=torch.float64)
    end = torch.linalg.solve(hessian, 2 * x.t() @ support.y[:, 0] / 6 + 0.7 * start)
    outer = 2 * asked.t() @ (asked @ end - query.y[:, 0]) / 8
    expected = 0.7 * torch.linalg.solve(hessian, outer)

    loss, outputs = imaml(support, query, 1)
    torch.testing.assert_close(outputs[:, 0], asked @ end, rtol=1e-8, atol=1e-8)
    weight, bias = torch.autograd.grad(loss, [imaml.head_weight, imaml.head_bias])
    torch.testing.assert_close(torch.cat([weight, bias[None]]), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("name", "grows"), [("imaml", False), ("maml", True)])
def test_memory_of_the_outer_gradient(name: str, grows: bool) -> None:
    """iMAML keeps no more for its outer gradient after 8 inner steps than after 2; MAML does."""
    support, query = task()
    kept = []
    for steps in (2, 8):
        nodes, waiting = set(), [learner(name, inner_steps=steps)(support, query, WAY)[0].grad_fn]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in nodes:
                nodes.add(node)
                waiting += [following for following, _ in node.next_functions]
        kept.append(len(nodes))
    assert (kept[1] > 2 * kept[0]) == grows
    assert grows or kept[1] == kept[0]


def test_without_its_gates_the_learned_optimizer_is_gradient_descent() -> None:
    options = {"inner_steps": 2, "inner_lr": 0.1}
    learned, fomaml = learner("learned-optimizer", **options), learner("fomaml", **options)
    with torch.no_grad():
        learned.gates.weight.zero_()
        learned.gates.bias.copy_(torch.tensor([0.0, -800.0]))
        for name, parameter in fomaml.named_parameters():
            parameter.copy_(dict(learned.named_parameters())[name])
    support, _ = task()
    a, b = learned.adapt(support, WAY), fomaml.adapt(support, WAY)
    for name in b:
        torch.testing.assert_close(a[name], b[name], rtol=1e-10, atol=1e-12)


def test_ridge_is_scikit_learns() -> None:
    from sklearn.linear_model import Ridge

    x, y = torch.randn(12, 30, dtype=torch.float64), torch.randn(12, 3, dtype=torch.float64)
    for strength in (0.01, 1.0, 100.0):
        own = ridge(x, y, torch.tensor(strength, dtype=torch.float64))
        peer = Ridge(alpha=strength, fit_intercept=False, solver="cholesky").fit(x.numpy(), y.numpy())
        np.testing.assert_allclose(own.t().numpy(), peer.coef_, rtol=1e-9, atol=1e-10)


def test_newton_reaches_scikit_learns_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    x = torch.randn(40, 6, dtype=torch.float64)
    y = (x[:, 0] + 0.5 * torch.randn(40, dtype=torch.float64) > 0).double()
    ones = torch.ones(40, dtype=torch.float64)
    own = logistic(x, y, ones, torch.tensor(0.5, dtype=torch.float64), steps=20)
    peer = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-12, max_iter=1000).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(own.numpy(), peer.coef_[0], rtol=1e-5, atol=1e-6)


def test_the_dual_solver_reaches_scikit_learns_svm() -> None:
    from sklearn.svm import LinearSVC

    generator = np.random.default_rng(0)
    y = np.arange(24) % 3
    x = generator.normal(size=(24, 8)) + np.eye(3, 8)[y]
    peer = LinearSVC(
        multi_class="crammer_singer", fit_intercept=False, C=0.3, tol=1e-10, max_iter=1_000_000
    ).fit(x, y)
    own = torch.from_numpy(x)
    labels = F.one_hot(torch.from_numpy(y)).double()
    dual = crammer_singer(own @ own.t(), labels, torch.full((24,), 0.3, dtype=torch.float64), 5000)
    np.testing.assert_allclose((own.t() @ dual).t().numpy(), peer.coef_, rtol=1e-4, atol=1e-5)


def test_the_svms_gradient_is_that_of_its_solution() -> None:
    """Implicit, against finite differences of the whole solution."""
    torch.manual_seed(0)
    x = torch.randn(9, 5, dtype=torch.float64)
    labels = F.one_hot(torch.arange(9) % 3).double()
    softness, probe = torch.full((9,), 0.5, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)

    def value(x: Tensor) -> Tensor:
        return (x.t() @ crammer_singer(x @ x.t(), labels, softness, 3000) * probe).sum()

    x.requires_grad_()
    own = torch.autograd.grad(value(x), x)[0]
    direction = torch.randn_like(own)
    with torch.no_grad():
        measured = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    assert abs((own * direction).sum() - measured) < 1e-4 * abs(measured)


def by_hand(rule: Callable) -> Callable:
    """Give ``rule`` the method, features and labels of the support set, and features of the queries."""

    def run(name: str, **options: object) -> tuple[Tensor, Tensor]:
        method, (support, query) = learner(name, **options), task()
        with torch.no_grad():
            own = F.softmax(method.predict(method.adapt(support, WAY), query.x), dim=1)
            features = method.backbone(support.x), method.backbone(query.x)
            return own, F.softmax(rule(method, features[0], support.y, features[1]), dim=1)

    return run


def _means(features: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([features[labels == k].mean(0) for k in range(WAY)])


def _protonet(method, support, labels, query) -> Tensor:
    return -(torch.cdist(query, _means(support, labels)) ** 2) * method.log_temperature.exp() / query.shape[1]


def _simpleshot(method, support, labels, query) -> Tensor:
    support, query = (part - method.centre for part in (support, query))
    support, query = (part / part.norm(dim=1, keepdim=True) for part in (support, query))
    return -(torch.cdist(query, _means(support, labels)) ** 2) * method.log_temperature.exp()


def _matching(method, support, labels, query) -> Tensor:
    attention = torch.stack([F.cosine_similarity(q[None], support) for q in query])
    attention = F.softmax(attention * method.log_temperature.exp(), dim=1)
    return torch.stack([attention[:, labels == k].sum(1) for k in range(WAY)], dim=1).log()


def _relation(method, support, labels, query) -> Tensor:
    size, means = method.backbone.map_size, _means(support, labels)
    scores = torch.zeros(len(query), WAY, dtype=query.dtype)
    for i, q in enumerate(query):
        for k, mean in enumerate(means):
            pair = torch.cat([method.scale(part).view(1, -1, size, size) for part in (mean, q)], dim=1)
            h = F.relu(method.second(F.relu(method.first(pair)))).mean((2, 3))
            distance = (q - mean).square().sum() / len(q)
            scores[i, k] = method.last(h)[0, 0] - method.log_temperature.exp() * distance
    return scores


def _feat(method, support, labels, query) -> Tensor:
    means = _means(support, labels)
    parts = [layer(method.scale(means))[None] for layer in (method.asks, method.keys, method.values)]
    moved = means + method.out(F.scaled_dot_product_attention(*parts)[0])
    return -(torch.cdist(query, moved) ** 2) * method.log_temperature.exp() / query.shape[1]


def _dn4(method, support, labels, query) -> Tensor:
    def places(vector: Tensor) -> list[Tensor]:
        return list(vector.view(-1, method.backbone.map_size**2).t())

    scores = torch.zeros(len(query), WAY, dtype=query.dtype)
    for i, q in enumerate(query):
        for k in range(WAY):
            held = [place for image in support[labels == k] for place in places(image)]
            best = []
            for place in places(q):
                likeness = sorted((F.cosine_similarity(place, other, dim=0) for other in held), reverse=True)
                best += likeness[: method.options.neighbours]
            scores[i, k] = sum(best) / len(best) * method.log_temperature.exp()
    return scores


def _softkmeans(method, support, labels, query) -> Tensor:
    logits = _protonet(method, support, labels, query)
    shares = F.softmax(logits, dim=1)
    moved = []
    for k in range(WAY):
        total = support[labels == k].sum(0) + (shares[:, k : k + 1] * query).sum(0)
        moved.append(total / ((labels == k).sum() + shares[:, k].sum()))
    scale = method.log_temperature.exp() / query.shape[1]
    return -(torch.cdist(query, torch.stack(moved)) ** 2) * scale


def _r2d2(method, support, labels, query) -> Tensor:
    x, y = extended(support), F.one_hot(labels).double()
    weight = torch.linalg.solve(x.t() @ x + method.log_ridge.exp() * torch.eye(x.shape[1]), x.t() @ y)
    return method.log_scale.exp() * extended(query) @ weight + method.bias


RULES = {
    "protonet": _protonet,
    "simpleshot": _simpleshot,
    "matching": _matching,
    "relation": _relation,
    "feat": _feat,
    "dn4": _dn4,
    "softkmeans": _softkmeans,
    "r2d2": _r2d2,
}


@pytest.mark.parametrize("name", list(RULES))
def test_predictions_equal_the_rule_worked_by_hand(name: str) -> None:
    own, expected = by_hand(RULES[name])(name)
    torch.testing.assert_close(own, expected, rtol=1e-8, atol=1e-10)


def test_sinkhorn_balances_the_classes() -> None:
    method, (support, query) = learner("ptmap", sinkhorn_steps=200), task()
    with torch.no_grad():
        plan = method.predict(method.adapt(support, WAY), query.x).exp()
    ones = torch.ones(len(query.y), dtype=plan.dtype)
    torch.testing.assert_close(plan.sum(1), ones, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(plan.sum(0), torch.full((WAY,), len(ones) / WAY, dtype=plan.dtype))


def test_tim_raises_the_mutual_information() -> None:
    method, (support, query) = learner("tim"), task()

    def information(logits: Tensor) -> Tensor:
        chances = F.softmax(logits, dim=1)
        marginal = chances.mean(0)
        uncertain = (chances * chances.log()).sum(1).mean()
        return method.options.conditional_weight * uncertain - (marginal * marginal.log()).sum()

    with torch.no_grad():
        state = method.adapt(support, WAY)
        features = method.features(state, query.x)
        before = method._logits(state["prototypes"], features)
        assert information(method.classify(state, features)) > information(before)


def test_leo_and_film_start_from_the_nearest_centroid() -> None:
    for name in ("leo", "film"):
        method, (support, query) = learner(name), task()
        with torch.no_grad():
            for module in method.modules():
                if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Linear):
                    module[-1].weight.zero_()
                    module[-1].bias.zero_()
            features = method.backbone(query.x)
            nearest = torch.cdist(features, _means(method.backbone(support.x), support.y)).argmin(1)
            own = method.predict(next(iter(method.path(support, WAY).values())), query.x)
        assert torch.equal(own.argmax(1), nearest), name
