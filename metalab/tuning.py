"""A writer tuned to the examples of a task: the nearest groups' codes, then a few steps on all weights."""

from __future__ import annotations

import torch
from torch import Tensor

from metalab.backbones.base import Params
from metalab.backbones.writer import Writer
from metalab.data.subwords import PAD
from metalab.tasks import Examples
from metalab.writing import likelihoods, writing_loss

LOOKED_AT = 6
"""Examples by which groups are compared, the shortest: all codes are tried on each."""
NEAREST = 3
"""Groups whose codes are kept."""
AT_ONCE = 12
"""Examples of one step."""


def shortest(support: Examples, count: int) -> Examples:
    """Return the ``count`` examples with the fewest sub-words to write, without needless padding."""
    lengths = (support.y != PAD).sum(1)
    rows = lengths.argsort(stable=True)[:count]
    most_y, most_x = int(lengths[rows].max()), int((support.x[rows] != PAD).sum(1).max())
    return Examples(support.x[rows, :most_x], support.y[rows, :most_y])


@torch.no_grad()
def nearest_codes(writer: Writer, support: Examples) -> tuple[Tensor, Tensor]:
    """Return the numbers (NEAREST,) of the groups under whose codes the examples are likeliest, the best
    first, and their shares (NEAREST,), which sum to one."""
    few, params = shortest(support, LOOKED_AT), writer.params()
    n, groups = len(few.x), max(1, int(writer.groups))
    codes = params["codes"][:groups].repeat_interleave(n, 0)
    x, y = few.x.repeat(groups, 1), few.y.repeat(groups, 1)
    film = writer.film_of(params, codes)
    logs = likelihoods(writer, params, writer.read(params, x, film), y, film)
    totals = (logs * (y != PAD)).sum(1).view(groups, n).sum(1)
    best = totals.topk(min(NEAREST, groups))
    return best.indices, (best.values / max(1, n)).softmax(0)


def fitted(writer: Writer, support: Examples, code: Tensor, steps: int, rate: float) -> dict[str, Tensor]:
    """Return ``code`` and the weights of ``writer``, by name, after ``steps`` of Adam on ``support``.

    A step sees :data:`AT_ONCE` examples, in turn; there are more steps if else some would never be seen.
    First-order, so no gradient passes.
    """
    with torch.enable_grad():
        moving = {name: value.detach().clone() for name, value in writer.params().items() if name != "codes"}
        moving["code"] = code.detach().clone()
        for value in moving.values():
            value.requires_grad_()
        optimiser = torch.optim.Adam(
            [
                {"params": [moving["code"]], "lr": 10 * rate},
                {"params": [value for name, value in moving.items() if name != "code"]},
            ],
            lr=rate,
        )
        n = len(support.x)
        for step in range(max(steps, -(-n // AT_ONCE)) if n and steps else 0):
            rows = torch.arange(step * AT_ONCE, step * AT_ONCE + min(AT_ONCE, n)) % n
            part = shortest(Examples(support.x[rows], support.y[rows]), AT_ONCE)
            optimiser.zero_grad()
            coded_loss(writer, moving, part).backward()
            optimiser.step()
    return {name: value.detach() for name, value in moving.items()}


def coded_loss(writer: Writer, moving: Params, part: Examples) -> Tensor:
    """Return the loss of the texts of ``part`` under changed weights and a code, both in ``moving``."""
    params = {name: moving.get(name, value) for name, value in writer.params().items()}
    film = writer.film_of(params, moving["code"])
    return writing_loss(likelihoods(writer, params, writer.read(params, part.x, film), part.y, film), part.y)
