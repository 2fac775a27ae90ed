"""What meta-learning must beat on masks and boxes: what a user can have without it, on the same tasks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones import Backbone
from metalab.baselines import Baseline, Method
from metalab.boxes import STRIDE, box_targets
from metalab.metalearners.base import class_means
from metalab.metalearners.guided import box_loss
from metalab.metalearners.pixels import MASKS, as_maps, pixel_examples
from metalab.metalearners.places import Labelling
from metalab.tasks import Task, seeded

if TYPE_CHECKING:  # scikit-learn takes a second to import, and the pages need none of it
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

PIXELS = 3000
"""Support pixels that a classifier of pixels is fitted to, as many of each class as possible."""
SCRATCH_STEPS, SCRATCH_RATE = 100, 3e-3
"""This rate, and those below, chosen on meta-validation."""
HEAD_STEPS, HEAD_RATE = 200, 1e-3
NEIGHBOURS = 5


def random_places(labelling: Labelling) -> Baseline:
    """A random classifier of pre-trained features of places: chance."""

    def make(backbone: Backbone) -> Method:
        def method(task: Task, number: int) -> Tensor:
            features = F.normalize(backbone(task.query.x), dim=1)
            shape = (labelling.count(task.way), features.shape[1])
            generator = seeded(features.device, number)
            head = torch.randn(shape, device=features.device, generator=generator)
            return labelling.shaped(features @ head.t(), task.query.x)

        return method

    return make


def _all_foreground(backbone: Backbone) -> Method:
    """Every pixel is of the first class: what a mask of everything is worth."""

    def method(task: Task, number: int) -> Tensor:
        n, _, height, width = task.query.x.shape
        outputs = task.query.x.new_zeros(n, task.way + 1, height, width)
        outputs[:, 1] = 1
        return outputs

    return method


def nearest_mean_place(labelling: Labelling) -> Baseline:
    """Frozen features, unit length, and the nearest mean place (of pixels: masked average pooling)."""

    def make(backbone: Backbone) -> Method:
        def method(task: Task, number: int) -> Tensor:
            support = labelling.examples(task.support, task.way)
            features = F.normalize(backbone(support.x), dim=1)
            means = class_means(features, support, labelling.count(task.way))
            features = F.normalize(backbone(task.query.x), dim=1)
            return labelling.shaped(20 * features @ F.normalize(means, dim=1).t(), task.query.x)

        return method

    return make


def _pixel_logistic(backbone: Backbone) -> Method:
    """Frozen features, unit length, and logistic regression over pixels."""
    from sklearn.linear_model import LogisticRegression

    def method(task: Task, number: int) -> Tensor:
        rows, labels = _sampled(F.normalize(backbone(task.support.x), dim=1), task, number)
        model = LogisticRegression(C=100.0, max_iter=300).fit(rows, labels)
        return _classified(model, F.normalize(backbone(task.query.x), dim=1), task)

    return method


def _neighbours(features_of: Callable[[Backbone, Tensor], Tensor]) -> Baseline:
    """The nearest support pixels in ``features_of``."""

    def make(backbone: Backbone) -> Method:
        from sklearn.neighbors import KNeighborsClassifier

        def method(task: Task, number: int) -> Tensor:
            rows, labels = _sampled(features_of(backbone, task.support.x), task, number)
            model = KNeighborsClassifier(min(NEIGHBOURS, len(rows)), weights="distance").fit(rows, labels)
            return _classified(model, features_of(backbone, task.query.x), task)

        return method

    return make


def _colours(backbone: Backbone, x: Tensor) -> Tensor:
    """Return the colour of each pixel at half the side (pixels, 3)."""
    return F.avg_pool2d(x, 2).permute(0, 2, 3, 1).flatten(0, 2)


def _unit(backbone: Backbone, x: Tensor) -> Tensor:
    return F.normalize(backbone(x), dim=1)


def places_trained(labelling: Labelling, steps: int, rate: float, scratch: bool = True) -> Baseline:
    """The same network, newly initialised or with ``scratch`` False as it was pre-trained, trained with a
    head for places on the support set alone."""

    def make(backbone: Backbone) -> Method:
        def method(task: Task, number: int) -> Tensor:
            x, shape = task.support.x, (labelling.count(task.way), backbone.feature_dim)
            with torch.enable_grad():
                model = backbone.from_scratch(number) if scratch else copy.deepcopy(backbone)
                model.requires_grad_(True).train()
                model.momentum = 1.0
                head = torch.randn(shape, device=x.device, generator=seeded(x.device, number)) * 0.01
                head.requires_grad_()
                optimiser = torch.optim.Adam([*model.parameters(), head], lr=rate)
                for _ in range(steps):
                    outputs = labelling.shaped(model(x) @ head.t(), x)
                    optimiser.zero_grad()
                    labelling.loss(outputs, task.support.y).backward()
                    optimiser.step()
                model(x)  # measures the statistics under the last parameters
            return labelling.shaped(model.eval()(task.query.x) @ head.t(), task.query.x).detach()

        return method

    return make


def _sampled(features: Tensor, task: Task, number: int) -> tuple[Tensor, Tensor]:
    """Return at most :data:`PIXELS` of the support pixels' ``features`` and labels, classes in even parts."""
    support = pixel_examples(task.support, task.way)
    counts = torch.bincount(support.y, minlength=task.way + 1).clamp(min=1)
    chance = support.weights().gt(0) / counts[support.y]
    generator = seeded(features.device, number, "pixels")
    chosen = torch.multinomial(chance, min(PIXELS, int((chance > 0).sum())), generator=generator)
    return features[chosen].cpu().numpy(), support.y[chosen].cpu().numpy()


def _classified(model: LogisticRegression | KNeighborsClassifier, features: Tensor, task: Task) -> Tensor:
    """Return the log probabilities of ``model`` as maps; classes that it never saw stay impossible."""
    chances = torch.from_numpy(model.predict_proba(features.cpu().numpy())).to(features)
    outputs = features.new_full((len(features), task.way + 1), 1e-6)
    outputs[:, torch.as_tensor(model.classes_, device=features.device)] = chances.clamp(min=1e-6)
    return as_maps(outputs.log(), task.query.x)


def _random_places(backbone: Backbone) -> Method:
    """A random dense head on pre-trained features: chance."""

    def method(task: Task, number: int) -> Tensor:
        level = backbone.levels(backbone.params(), task.query.x)[1]
        generator = seeded(level.device, number)
        head = torch.randn(task.way, 5, level.shape[1], device=level.device, generator=generator)
        return torch.einsum("nchw,kfc->nkfhw", F.normalize(level, dim=1), head)

    return method


def _trained_head(scratch: bool) -> Baseline:
    """A dense head trained on the support boxes: on frozen features (TFA, Wang et al. 2020), or with the
    whole network, newly initialised."""

    def make(backbone: Backbone) -> Method:
        def method(task: Task, number: int) -> Tensor:
            device = task.support.x.device
            generator = seeded(device, number, "head")
            with torch.enable_grad():
                model = backbone
                if scratch:
                    model = backbone.from_scratch(number).requires_grad_(True).train()
                    model.momentum = 1.0
                channels = model.feature_dim
                weight = torch.randn(5 * task.way, channels, 3, 3, device=device, generator=generator) * 0.01
                bias = torch.zeros(task.way, 5, device=device)
                bias[:, 0] = -2
                bias[:, 1:] = torch.log(task.support.x.new_tensor(task.support.x.shape[-1] / 5 / STRIDE))
                head = [nn.Parameter(weight), nn.Parameter(bias.flatten())]
                trained = [*head, *model.parameters()] if scratch else head
                optimiser = torch.optim.Adam(trained, lr=SCRATCH_RATE if scratch else HEAD_RATE)

                def outputs(level: Tensor) -> Tensor:
                    return F.conv2d(level, *head, padding=1).unflatten(1, (task.way, 5))

                def levels(x: Tensor) -> Tensor:
                    # Places of one length: the head's rate does not depend on the scale of features.
                    return F.normalize(model.levels(model.params(), x)[1], dim=1) * channels**0.5

                held = None if scratch else levels(task.support.x).detach()
                for _ in range(SCRATCH_STEPS if scratch else HEAD_STEPS):
                    optimiser.zero_grad()
                    level = levels(task.support.x) if scratch else held
                    box_loss(outputs(level), task.support.y).backward()
                    optimiser.step()
                if scratch:
                    levels(task.support.x)  # measures the statistics under the last parameters
                    model.eval()
            return outputs(levels(task.query.x)).detach()

        return method

    return make


def _prototype_boxes(backbone: Backbone) -> Method:
    """Frozen features and the nearest mean pixel of boxes; sides are the mean ones of the support boxes."""

    def method(task: Task, number: int) -> Tensor:
        height, width = (side // STRIDE for side in task.support.x.shape[2:])
        inside, core, sides = box_targets(task.support.y, task.way, height, width)
        held = F.normalize(backbone.levels(backbone.params(), task.support.x)[1], dim=1)
        query = F.normalize(backbone.levels(backbone.params(), task.query.x)[1], dim=1)
        ground = F.normalize(torch.einsum("nchw,nhw->c", held, (inside.amax(1) == 0).to(held)), dim=0)
        maps = []
        for k in range(task.way):
            mean = F.normalize(torch.einsum("nchw,nhw->c", held, inside[:, k]), dim=0)
            likeness = torch.einsum("nchw,c->nhw", query, mean - ground)
            near = F.max_pool2d(likeness[:, None], 3, 1, 1)[:, 0]  # peaks alone may be boxes
            score = torch.where(likeness >= near, 10 * likeness - 3, -20.0)
            place = core[:, k].nonzero(as_tuple=True)
            mean_sides = sides[:, k].permute(0, 2, 3, 1)[place].clamp(min=0.1).log().mean(0)
            maps.append(
                torch.cat(
                    [score[:, None], mean_sides.view(1, 4, 1, 1).expand(len(score), 4, *score.shape[1:])], 1
                )
            )
        return torch.stack(maps, 1)

    return method


MASK_BASELINES: list[tuple[str, str, Baseline]] = [
    ("un-adapted", "Un-adapted", random_places(MASKS)),
    ("all-foreground", "Everything is the object", _all_foreground),
    ("colour-neighbours", "Nearest colours", _neighbours(_colours)),
    ("feature-neighbours", "Frozen features + nearest pixels", _neighbours(_unit)),
    ("nearest-centroid", "Frozen features + nearest mean pixel", nearest_mean_place(MASKS)),
    ("logistic-regression", "Frozen features + logistic regression", _pixel_logistic),
    (
        "from-scratch",
        "From scratch on the support set",
        places_trained(MASKS, SCRATCH_STEPS, SCRATCH_RATE),
    ),
]
BOX_BASELINES: list[tuple[str, str, Baseline]] = [
    ("un-adapted", "Un-adapted", _random_places),
    ("nearest-centroid", "Frozen features + nearest mean pixel", _prototype_boxes),
    ("fine-tuned", "Frozen features + fine-tuned head (TFA)", _trained_head(scratch=False)),
    ("from-scratch", "From scratch on the support set", _trained_head(scratch=True)),
]
