"""What meta-learning must beat on summaries: what a user can have without it, on the same tasks.

They see the texts as the network does: what was cut off a long document is unknown to them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.data.pairs import TARGET_LENGTH, Pair, source_examples, target_ids
from metalab.data.subwords import PAD, Vocabulary, vocabulary
from metalab.extracts import candidates, centroid, lead, nearest_summary, template, text_rank, title_and_lead
from metalab.rouge import rouge_l
from metalab.tasks import Examples, Task

NAME = "documents"
"""Vocabulary of summaries."""
LOGISTIC_C = 10.0


def support_pairs(support: Examples, words: Vocabulary) -> list[Pair]:
    """Return the support set as texts."""
    rows = zip(support.x.long().tolist(), support.y.tolist(), strict=True)
    return [Pair(document(x, words), words.decode(y)) for x, y in rows]


def document(ids: Sequence[int], words: Vocabulary) -> str:
    """Return the text of a row of a source, without padding."""
    return words.decode([number for number in ids if number != PAD])


def written_ids(texts: Sequence[str], words: Vocabulary) -> Tensor:
    """Return texts as outputs (n, TARGET_LENGTH)."""
    held = np.full((len(texts), TARGET_LENGTH), PAD, dtype=np.int64)
    for row, ids in zip(held, words.encode_all(texts), strict=True):
        ids = target_ids(ids)
        row[: len(ids)] = ids
    return torch.from_numpy(held)


def _extracted(extract: Callable[[Sequence[Pair], str], str]) -> Callable[[Backbone], Method]:
    """What ``extract`` makes of the support pairs and a document."""

    def baseline(backbone: Backbone) -> Method:
        words = vocabulary(NAME)

        def method(task: Task, number: int) -> Tensor:
            support = support_pairs(task.support, words)
            texts = [extract(support, document(row, words)) for row in task.query.x.long().tolist()]
            return written_ids(texts, words).to(task.query.x.device)

        return method

    return baseline


def _logistic(backbone: Backbone) -> Method:
    """Frozen features of each extract with its place and length, and logistic regression: which is best?

    Those of the support documents with the highest ROUGE-L are the positive examples.
    """
    from sklearn.linear_model import LogisticRegression

    words = vocabulary(NAME)

    def described(texts: Sequence[str]) -> np.ndarray:
        x = source_examples(texts, words, backbone.size).to(backbone.input_mean.device)
        place = np.minimum(np.arange(len(texts)), 5)
        lengths = np.array([len(text.split()) for text in texts])[:, None] / 10
        return np.hstack([F.normalize(backbone(x), dim=1).cpu().numpy(), np.eye(6)[place], lengths])

    def method(task: Task, number: int) -> Tensor:
        support = support_pairs(task.support, words)
        rows, labels = [], []
        for pair in support:
            held = candidates(support, pair.source)
            rows.append(described(held))
            scores = [rouge_l(text, pair.target) for text in held]
            labels += [int(at == int(np.argmax(scores))) for at in range(len(held))]
        model = None
        if 0 < sum(labels) < len(labels):
            model = LogisticRegression(C=LOGISTIC_C, class_weight="balanced", max_iter=300)
            model.fit(np.concatenate(rows), labels)
        texts = []
        for row in task.query.x.long().tolist():
            held = candidates(support, document(row, words))
            best = 0 if model is None else int(model.decision_function(described(held)).argmax())
            texts.append(held[best])
        return written_ids(texts, words).to(task.query.x.device)

    return method


SUMMARY_BASELINES = [
    ("lead", "First sentence", _extracted(lead)),
    ("title-lead", "Title and first sentence", _extracted(title_and_lead)),
    ("template", "First word of the nearest example, then the title", _extracted(template)),
    ("centroid", "Most central sentence (tf-idf)", _extracted(centroid)),
    ("text-rank", "TextRank", _extracted(text_rank)),
    ("nearest-summary", "Summary of the nearest example", _extracted(nearest_summary)),
    ("logistic-regression", "Frozen features + logistic regression over extracts", _logistic),
]
