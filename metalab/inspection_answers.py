"""Look into a task of question answering: tokens as points, before and after adaptation."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines_text import ANSWER_BASELINES
from metalab.inspection import BEFORE, TaskView, as_stages, kept_states
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import score
from metalab.tasks import Examples, Task, seeded

CLASSES = ("outside", "begin", "inside")
"""What a token is to the answer, in the order of the labels: not of it, its first token, a further one."""
TOKENS = 240
"""Looked at in the support set, and as many in the query set, at most."""
BESIDE = 4
"""Tokens shown to the left and to the right of each."""
HEIGHT, WIDTH = 16, 160
"""Of the picture of a token, in pixels."""
FAINT = 110
"""Grey of the neighbours in it, of 255."""


@torch.no_grad()
def inspect_answers(
    metalearner: MetaLearner, pretrained: Backbone, task: Task, words: Sequence[Sequence[str]]
) -> TaskView:
    """Adapt to ``task`` and look at every stage, as :func:`metalab.inspection.inspect_task` does.

    ``words`` has the words of each text's tokens, support before query, as
    :meth:`metalab.data.questions.Window.words` returns them. A point is a token of a passage, as many of each
    of :data:`CLASSES` as possible; its image and its caption show it among its neighbours. A stage's accuracy
    is the token F1 of the answers.
    """
    started = time.perf_counter()
    state = metalearner.adapt(task.support, task.way)
    metalearner.predict(state, task.query.x)
    seconds = time.perf_counter() - started

    asked = _sampled(task.query, "query")
    where = torch.cat([_sampled(task.support, "support"), task.support.y.numel() + asked])
    labels = torch.cat([task.support.y.flatten(), task.query.y.flatten()])[where].cpu().numpy()
    x = torch.cat([task.support.x, task.query.x])
    nearest = next(make for name, _, make in ANSWER_BASELINES if name == "nearest-centroid")
    found = [(BEFORE, pretrained(x), nearest(pretrained)(task, 0))]
    found += [
        (name, metalearner.features(state, x), metalearner.predict(state, task.query.x))
        for name, state in kept_states(metalearner, task)
    ]
    stages = as_stages(
        [
            (name, rows[where], _chances(outputs)[asked], float(score(outputs, task.query)))
            for name, rows, outputs in found
        ]
    )
    around = [_around(words[text], token) for text, token in (divmod(i, x.shape[1]) for i in where.tolist())]
    return TaskView(
        np.stack([_picture(*one) for one in around]),
        labels,
        np.arange(len(labels)) < len(labels) - len(asked),
        list(CLASSES),
        stages,
        seconds,
        captions=[f"{left} \u25b8{word}\u25c2 {right}".strip() for left, word, right in around],
    )


def _sampled(part: Examples, name: str) -> Tensor:
    """Return the tokens (count,) that are looked at, counted through all texts, label after label."""
    labels, generator = part.y.flatten(), seeded("cpu", 0, name)
    chosen = []
    for label in range(len(CLASSES)):
        held = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(held), generator=generator)[: TOKENS // len(CLASSES)]
        chosen.append(held[order.to(held.device)])
    return torch.cat(chosen)


def _chances(outputs: Tensor) -> Tensor:
    """Return probabilities (n * length, 3) of tokens from outputs (n, 3, 1, length)."""
    return outputs[:, :, 0].softmax(1).transpose(1, 2).flatten(0, 1)


def _around(words: Sequence[str], at: int) -> tuple[str, str, str]:
    """Return the token at ``at`` in words, and those to its left and right."""
    left, right = words[max(0, at - BESIDE) : at], words[at + 1 : at + 1 + BESIDE]
    return " ".join(map(_visible, left)), _visible(words[at]), " ".join(map(_visible, right))


def _visible(word: str) -> str:
    return "\u00b6" if word.startswith("\n") else word


def _picture(left: str, word: str, right: str) -> NDArray[np.float32]:
    """Return a picture (1, 16, 160) in 0..1 of ``word`` in its middle, between its fainter neighbours."""
    image = Image.new("L", (WIDTH, HEIGHT))
    pen, font = ImageDraw.Draw(image), _font()
    half = font.getlength(word) / 2
    start, end = max(0.0, WIDTH / 2 - half), WIDTH / 2 + half
    pen.text((start - font.getlength(left + " "), 1), left, fill=FAINT, font=font)
    pen.text((start, 1), word, fill=255, font=font)
    pen.text((end + font.getlength(" "), 1), right, fill=FAINT, font=font)
    return np.asarray(image, dtype=np.float32)[None] / 255


@functools.cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=11)
