"""Which ready model suits a few labelled pictures: measured on these pictures themselves.

What was meta-trained on drawn scenes may fail on photographs of another kind, where a plain classifier of
pixels does well (README, *Masks and boxes*). So each candidate is tried on labels that were kept from it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metalab.backbones.base import Film, Params
from metalab.backbones.efficientnet import EfficientNet
from metalab.data import TARGETS
from metalab.data.annotation import Picture
from metalab.data.fitting import fitting_size
from metalab.data.labelled import targets
from metalab.errors import DataError
from metalab.metalearners import MetaLearner, get_metalearner
from metalab.metalearners.base import score
from metalab.picture_model import PictureModel, adapt_pictures, shown_classes
from metalab.records import examples
from metalab.shipped import ON_PHOTOS, RECIPES, UNTRAINED, Trained, load_trained, shipped, untrained
from metalab.tasks import Examples
from metalab.threads import one_thread

CANDIDATES = {
    "segmentation": ("guided-masks-photo", "guided-masks", "pixel-lrd2-photo"),
    "detection": ("guided-boxes-photo", "guided-boxes"),
}
"""Ready models of an application: of equally good ones, and where nothing can be measured, the first."""
Known = dict[bytes, tuple[Tensor, ...]]
"""What was made of pictures, by their pixels."""
FOLDS = 4
"""Labelled pictures that are left out in turn, at most: each costs as much as adapting."""


@dataclass(frozen=True)
class PictureChoice:
    """The name of a ready model, what is known of it, and the score 0..1 of each candidate, if measured."""

    name: str
    trained: Trained
    scores: dict[str, float]

    @property
    def reason(self) -> str:
        """Say why this one was chosen."""
        if not self.scores:
            return "one labelled picture is too few to compare the ready models"
        measure = "mean IoU" if self.trained.config.application == "segmentation" else "AP50"
        told = ", ".join(f"{named(name)} {value:.0%}" for name, value in self.scores.items())
        return f"{measure} on labels that were kept from it: {told}"


@one_thread()
def choose(application: str, pictures: Sequence[Picture], classes: Sequence[str], size: int) -> PictureChoice:
    """Return the ready model that does best on ``pictures`` at side ``size``. Raises :class:`DataError`."""
    held = candidates(application)
    if len(held) == 1:
        return PictureChoice(*next(iter(held.items())), {})
    backbone = copy.copy(next(iter(held.values())).pretrained)
    backbone.size = size
    x = examples([picture.image for picture in pictures], backbone)
    support = Examples(x, targets(pictures, classes, size, TARGETS[application]).to(x.device))
    scores = tried({name: one.metalearner for name, one in held.items()}, support, len(classes))
    name = best(held, scores)
    return PictureChoice(name, held[name], scores)


def best(names: Iterable[str], scores: Mapping[str, float]) -> str:
    """Return the one of ``names`` with the best score, the first where there are none."""
    return max(names, key=lambda name: scores.get(name, 0.0))


def adapt_best(
    application: str, pictures: Sequence[Picture], classes: Sequence[str] | None = None
) -> tuple[PictureModel, PictureChoice]:
    """Adapt the ready model that suits ``pictures``; arguments as :func:`adapt_pictures`, raises as it."""
    classes = shown_classes(pictures, classes)
    size = fitting_size(pictures, classes)
    choice = choose(application, pictures, classes, size)
    return adapt_pictures(choice.trained.metalearner, pictures, classes, size), choice


def named(name: str) -> str:
    """Return what candidate ``name`` is called."""
    settings = {**RECIPES, **UNTRAINED}[name]
    label = get_metalearner(settings.get("metalearner", name)).label
    return f"{label}, photo features" if settings.get("backbone") == ON_PHOTOS["backbone"] else label


def candidates(application: str) -> dict[str, Trained]:
    """Return the ready models of ``application`` to choose from. Raises :class:`DataError` without any."""
    known = shipped(application).keys() | untrained(application).keys()
    names = [name for name in CANDIDATES[application] if name in known]
    if not names:
        raise DataError("no ready model is shipped", where=application, fix="Run: python -m metalab ship")
    return {name: load_trained(name) for name in names}


@torch.no_grad()
def tried(learners: Mapping[str, MetaLearner], support: Examples, way: int) -> dict[str, float]:
    """Return the mean score of each of ``learners`` on parts of ``support`` that it did not learn from.

    Empty where none can be kept: boxes on one picture a class.
    """
    parts = list(divisions(support, way))
    found, networks = {}, {}
    for name, held in learners.items() if parts else ():
        learner = _remembering(held, networks)
        scores = [
            float(score(learner.predict(learner.adapt(known, way), kept.x), kept)) for known, kept in parts
        ]
        found[name] = float(np.mean(scores))
    return found


def _remembering(learner: MetaLearner, networks: dict[bytes, Known]) -> MetaLearner:
    """Return a copy of ``learner`` whose backbone looks at each picture once, in however many divisions.

    What a frozen network has seen is kept in ``networks`` by its fingerprint: learners share it.
    """
    told = copy.deepcopy(learner)
    backbone = told.backbone
    look, own = backbone.levels, backbone.params()
    once = _once(lambda x: look(own, x), {})

    def levels(params: Params, x: Tensor, film: Film | None = None) -> tuple[Tensor, Tensor]:
        if film is not None or any(params[name] is not tensor for name, tensor in own.items()):
            return look(params, x, film)  # adjusted to a task
        fine, coarse = once(x)
        return fine, coarse

    backbone.levels = levels
    if isinstance(backbone, EfficientNet):
        backbone.maps = _once(backbone.maps, networks.setdefault(backbone.fingerprint, {}))
    return told


def _once(look: Callable[[Tensor], Sequence[Tensor]], known: Known) -> Callable[[Tensor], list[Tensor]]:
    """Return ``look``, pictures (n, ...) to maps (n, ...), which asks it only for those not ``known``."""

    def looked(x: Tensor) -> list[Tensor]:
        keys = [picture.cpu().numpy().tobytes() for picture in x]
        if new := [i for i, key in enumerate(keys) if key not in known]:
            known.update(zip((keys[i] for i in new), zip(*look(x[new]), strict=True), strict=True))
        return [torch.stack(maps) for maps in zip(*(known[key] for key in keys), strict=True)]

    return looked


def divisions(support: Examples, way: int) -> Iterator[tuple[Examples, Examples]]:
    """Yield parts of ``support`` to learn from, each with what is kept from it.

    Pictures are left out in turn, where their classes are on others too. If there is none such, masks are
    cut in two at the middle of what is labelled: one half teaches, the other judges.
    """
    shows = _shown(support.y, way)  # (n, way)
    spare = [i for i in range(len(shows)) if (shows.sum(0) - shows[i] >= 1).all()]
    for i in spare[:FOLDS]:
        rest = [j for j in range(len(shows)) if j != i]
        yield Examples(support.x[rest], support.y[rest]), Examples(support.x[i : i + 1], support.y[i : i + 1])
    if spare or support.y.is_floating_point():
        return
    for axis in (1, 2):
        mass = (support.y > 0).sum((0, 3 - axis)).cumsum(0)
        cut = int((mass <= mass[-1] / 2).sum())
        before = torch.arange(len(mass), device=mass.device) < cut
        before = before[:, None] if axis == 1 else before
        first, last = (torch.where(half, support.y, -1) for half in (before, ~before))
        if (first > 0).any() and (last > 0).any():
            yield Examples(support.x, first), Examples(support.x, last)
            yield Examples(support.x, last), Examples(support.x, first)


def _shown(y: Tensor, way: int) -> Tensor:
    """Return whether each picture shows each class, (n, way) int64; ``y`` masks or boxes."""
    numbers = y[..., 0] + 1 if y.is_floating_point() else y
    return torch.stack([(numbers == k + 1).flatten(1).any(1) for k in range(way)], 1).long()
