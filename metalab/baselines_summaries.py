"""What meta-learning must beat on summaries: what a user can have without it, on the same tasks.

They see the texts as the network does: what was cut off a long document is unknown to them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.candidates import as_pairs, as_text, written_ids
from metalab.data.pairs import Pair
from metalab.data.subwords import vocabulary
from metalab.drafting import Drafter
from metalab.extracts import centroid, lead, nearest_summary, template, text_rank, title_and_lead
from metalab.tasks import Task
from metalab.writing import likelihoods, write, writing_loss

NAME = "documents"
"""Vocabulary of summaries."""
RIDGE = 10.0
"""Penalty of the weights, chosen on meta-validation."""
SCRATCH_STEPS, SCRATCH_RATE = 60, 3e-3


def _extracted(extract: Callable[[Sequence[Pair], str], str]) -> Callable[[Backbone], Method]:
    """What ``extract`` makes of the support pairs and a document."""

    def baseline(backbone: Backbone) -> Method:
        words = vocabulary(NAME)

        def method(task: Task, number: int) -> Tensor:
            support = as_pairs(task.support, words)
            texts = [extract(support, as_text(row, words)) for row in task.query.x.long().tolist()]
            return written_ids(texts, words).to(task.query.x.device)

        return method

    return baseline


def _ridge(backbone: Backbone) -> Method:
    """The very drafts that a chooser has, as it sees them, and ridge regression on those of the examples."""
    from sklearn.linear_model import Ridge

    drafter = Drafter(backbone)

    def method(task: Task, number: int) -> Tensor:
        held = drafter.candidates(task.support, task.support.x, task.support.y, True)
        model = Ridge(RIDGE).fit(held.features[held.mask].cpu().numpy(), held.gains[held.mask].cpu().numpy())
        asked = drafter.candidates(task.support, task.query.x, None, False)
        scores = torch.from_numpy(model.predict(asked.features.flatten(0, 1).cpu().numpy())).to(asked.gains)
        best = scores.view(asked.mask.shape).masked_fill(~asked.mask, -torch.inf).argmax(1)
        return asked.ids[torch.arange(len(best), device=best.device), best]

    return method


def _unadapted(backbone: Backbone) -> Method:
    """What the pre-trained writer writes without an example."""

    def method(task: Task, number: int) -> Tensor:
        params = backbone.params()
        return write(backbone, params, backbone.read(params, task.query.x))[0][:, 0]

    return method


def _from_scratch(backbone: Backbone) -> Method:
    """The same writer, newly initialised, trained on the support pairs alone."""

    def method(task: Task, number: int) -> Tensor:
        model = backbone.from_scratch(number).requires_grad_(True)
        with torch.enable_grad():
            optimiser = torch.optim.Adam(model.parameters(), lr=SCRATCH_RATE)
            for _ in range(SCRATCH_STEPS):
                params = model.params()
                logs = likelihoods(model, params, model.read(params, task.support.x), task.support.y)
                optimiser.zero_grad()
                writing_loss(logs, task.support.y).backward()
                optimiser.step()
        params = model.params()
        return write(model, params, model.read(params, task.query.x))[0][:, 0]

    return method


SUMMARY_BASELINES = [
    ("un-adapted", "Un-adapted writer", _unadapted),
    ("lead", "First sentence", _extracted(lead)),
    ("title-lead", "Title and first sentence", _extracted(title_and_lead)),
    ("template", "First word of the nearest example, then the title", _extracted(template)),
    ("centroid", "Most central sentence (tf-idf)", _extracted(centroid)),
    ("text-rank", "TextRank", _extracted(text_rank)),
    ("nearest-summary", "Summary of the nearest example", _extracted(nearest_summary)),
    ("ridge", "Ridge regression over the chooser's drafts", _ridge),
    ("from-scratch", "From scratch on the support set", _from_scratch),
]
