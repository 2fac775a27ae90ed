"""Training a :class:`Matcher` on Omniglot drawings, and its checkpoint. One CPU thread; counted in steps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones import seeded_initialisation
from metalab.checkpoints import SHIPPED, load_checkpoint, load_into, save_checkpoint
from metalab.data.lake_runs import characters, read_ink
from metalab.data.strokes import Strokes, compose, hand, layout, render, strokes
from metalab.errors import DataError
from metalab.lake.matcher import GRID, SIZE, Matcher
from metalab.progress import Progress
from metalab.tasks import seeded

SHIPPED_LAKE = SHIPPED / "lake.safetensors"
"""Trained on the eight alphabets of Omniglot's two small sets by ``python -m metalab ship lake``."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training, chosen on held-out alphabets (train on small1, test on small2's others)."""

    steps: int = 10_000
    seed: int = 0
    classes: int = 32
    """Classes of a batch, two drawings each."""
    within: float = 0.7
    """Share of batches whose classes are of one alphabet; the others mix all."""
    two_drawers: float = 0.5
    """Share of batches that two drawers draw, as in a run; in the others each drawing has its own drawer."""
    mirror: bool = False
    """Whether mirrored characters count as further classes, as turned ones do."""
    composed: float = 0.3
    """Share of batches with new characters, each composed of two."""
    cells: int = 10
    """Parts of a drawing that seek a match in a step, of 100."""
    rate: float = 3e-3
    weight_decay: float = 1e-3
    strength: float = 1.0
    bend: float = 0.06


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside: on many small products a second one only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


GENTLE = Recipe(steps=4000, seed=1, rate=1.5e-3, strength=0.5, bend=0.04)
"""A second training, from the first's result, with less change to the drawings: half of the affine part."""


class Pool:
    """The training drawings: every character must have been drawn by the same number of drawers."""

    def __init__(self, data: Path | str, exclude: tuple[str, ...] = ()) -> None:
        """Read them. Raises :class:`DataError`."""
        held = [one for one in characters(data, exclude) if len(one.drawings) >= 2]
        if len(held) < 2:
            raise DataError("two characters with two drawings each are needed", where=data)
        ink = [
            read_ink(content, f"{data}: {one.alphabet}/{one.name}, drawer {drawer}")
            for one in held
            for drawer, content in sorted(one.drawings.items())
        ]
        self.strokes: Strokes = strokes(np.stack(ink))
        counts = torch.tensor([len(one.drawings) for one in held])
        drawers = int(counts.min())
        first = counts.cumsum(0) - counts
        self.rows = first[:, None] + torch.arange(drawers)[None]
        """Row of each character's drawing by each drawer (characters, drawers)."""
        self.alphabets: dict[str, list[int]] = {}
        for number, one in enumerate(held):
            self.alphabets.setdefault(one.alphabet, []).append(number)

    def batch(self, recipe: Recipe, generator: torch.Generator) -> Tensor:
        """Draw images (2 * classes, 1, 42, 42): first one drawing of each class, then another of each."""
        forms = 8 if recipe.mirror else 4
        if float(torch.rand(1, generator=generator)) < recipe.within:
            sizes = torch.tensor([float(len(ids)) for ids in self.alphabets.values()])
            alphabet = int(torch.multinomial(sizes, 1, generator=generator))
            ids = torch.tensor(list(self.alphabets.values())[alphabet])
        else:
            ids = torch.arange(len(self.rows))
        every = (ids[:, None] * forms + torch.arange(forms)).flatten()
        chosen = every[torch.randperm(len(every), generator=generator)[: recipe.classes]]
        n, drawers = len(chosen), self.rows.shape[1]
        if float(torch.rand(1, generator=generator)) < recipe.two_drawers:
            pair = torch.randperm(drawers, generator=generator)[:2].expand(n, 2)
        else:
            pair = torch.rand(n, drawers, generator=generator).topk(2, dim=1).indices
        rows = self.rows[chosen // forms].gather(1, pair).t().reshape(-1)
        form, drawn = chosen % forms, self.strokes[rows]
        warp = hand(2 * n, generator, recipe.strength, recipe.bend)
        if float(torch.rand(1, generator=generator)) < recipe.composed:
            partner = torch.randperm(n, generator=generator)
            plan = layout(form % 4, form[partner] % 4, generator)
            plan = type(plan)(*(part.repeat(2) for part in plan))
            drawn = compose(drawn, drawn[torch.cat([partner, partner + n])], plan, generator)
        else:
            form = form.repeat(2)
            warp = warp._replace(turn=warp.turn + form % 4 * (math.pi / 2), mirrored=(form // 4).float())
        return render(drawn, warp, SIZE)


def train(pool: Pool, recipe: Recipe, start: Matcher | None = None) -> Iterator[Progress | Matcher]:
    """Train by ``recipe``, from ``start`` if given; yields progress every 50 steps, at the end the matcher.

    Every drawing of a batch is a query once: it has to find the other drawing of its class among the others'.
    The loss is the cross-entropy of the global scores, the local scores and their sum.
    """
    with seeded_initialisation(recipe.seed):
        matcher = Matcher().to(memory_format=torch.channels_last)
    if start is not None:
        matcher.load_state_dict(start.state_dict())
    parameters = list(matcher.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.weight_decay)
    started, losses, rights = time.monotonic(), 0.0, 0.0
    matcher.train()
    for step in range(recipe.steps):
        rate = recipe.rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        generator = seeded("cpu", recipe.seed, "lake", step)
        images = pool.batch(recipe, generator)
        with torch.autocast("cpu", torch.bfloat16):
            features = matcher(images)
        half = len(images) // 2
        cells = torch.stack([torch.randperm(GRID * GRID, generator=generator)[: recipe.cells] for _ in "ab"])
        overall, local = matcher.scores(features[:half], features[half:], cells)
        truth, loss = torch.arange(half), torch.zeros(())
        for scores in (overall, local, overall + local):
            loss = loss + (F.cross_entropy(scores, truth) + F.cross_entropy(scores.t(), truth)) / 6
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        losses += loss.item()
        rights += float(((overall + local).argmax(1) == truth).float().mean())
        if (step + 1) % 50 == 0 or step + 1 == recipe.steps:
            done, seconds = (step % 50) + 1, time.monotonic() - started
            yield Progress(
                "train",
                step + 1,
                recipe.steps,
                loss=losses / done,
                accuracy=rights / done,
                rate=(step + 1) / seconds,
                eta=(recipe.steps - step - 1) * seconds / (step + 1),
            )
            losses = rights = 0.0
    yield matcher.eval()


def ship_lake(
    data: Path | str,
    out: Path | str,
    recipe: Recipe,
    exclude: tuple[str, ...] = (),
    start: Path | str | None = None,
) -> Iterator[Progress]:
    """Train on the drawings of ``data`` (a zip, or a folder of zips) and write the checkpoint to ``out``.

    ``start`` is a checkpoint to go on from. Raises :class:`DataError`, :class:`CheckpointError` and
    :class:`StorageError`.
    """
    begun = None if start is None else load_lake(start)
    pool = Pool(data, exclude)
    started, processor = time.monotonic(), time.process_time()
    with one_thread():
        for item in train(pool, recipe, begun and begun[0]):
            if isinstance(item, Matcher):
                meta = {
                    "recipe": dataclasses.asdict(recipe),
                    "start": begun and {k: begun[1][k] for k in ("recipe", "alphabets", "core_seconds")},
                    "alphabets": list(pool.alphabets),
                    "drawings": len(pool.strokes.fields),
                    "seconds": round(time.monotonic() - started),
                    "core_seconds": round(time.process_time() - processor),
                }
                save_checkpoint(out, "lake", item.state_dict(), meta)
            else:
                yield item


def shipped_lake() -> list[Path]:
    """Return the shipped checkpoints, of which the scores are averaged: ``lake.safetensors``, ``lake-1`` …"""
    return sorted(SHIPPED.glob("lake*.safetensors"))


def load_lake(path: Path | str) -> tuple[Matcher, dict]:
    """Return the matcher in ``path`` and what is known of its training.

    Raises :class:`CheckpointError`.
    """
    tensors, meta = load_checkpoint(path, "lake")
    matcher = Matcher()
    load_into(matcher, tensors, path)
    return matcher.to(memory_format=torch.channels_last).eval(), meta
