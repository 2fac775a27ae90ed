"""Drafts of texts as candidates to choose from: a writer's and those in the style of examples, described."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metalab.backbones.writer import Writer
from metalab.candidates import Candidates, as_pairs, as_text, stacked
from metalab.data.pairs import padded, target_ids
from metalab.data.subwords import PAD, Vocabulary, vocabulary
from metalab.draft_features import NAMES, draft_features
from metalab.drafts import Draft, drafts
from metalab.extracts import nearest_summary
from metalab.rouge import rouge_l
from metalab.tasks import Examples
from metalab.writing import likelihoods, write

WRITTEN, WRITTEN_LENGTH = 4, 28
"""Drafts of the writer for a text, and their most sub-words: summaries have no more."""
JUDGED = 24
"""Sub-words of a draft whose log probability is asked for."""
KNOWN = 400_000
"""Drafts whose log probabilities are remembered, at most: some 100 MB."""


class Drafter:
    """Makes and describes the drafts of texts with a frozen ``writer``; remembers what it made."""

    columns = len(NAMES)

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._beams: dict[tuple[int, bytes], list[str]] = {}
        self._chances: dict[tuple[int, bytes, str], np.ndarray] = {}

    def candidates(self, support: Examples, x: Tensor, y: Tensor | None, each_without: bool) -> Candidates:
        """Return the drafts of texts ``x`` (n, length), with their ROUGE-L where ``y`` (n, t) is known.

        ``each_without``: ``x`` are the support texts themselves, and each must do without its own pair.
        """
        words = vocabulary(self.writer.vocabulary)
        pairs = as_pairs(support, words)
        texts = [as_text(row, words) for row in x.long().tolist()]
        truths = None if y is None else [words.decode(row) for row in y.tolist()]
        with torch.no_grad():
            beams = self._written(x, words)
            held, near, known = [], [], []
            for at, (text, written) in enumerate(zip(texts, beams, strict=True)):
                others = [pair for i, pair in enumerate(pairs) if i != at] if each_without else pairs
                known.append(others)
                held.append(drafts(others, text, written))
                near.append(nearest_summary(others, text) if others else "")
            chances = self._likelihoods(x, held, words)
        features = [draft_features(*parts) for parts in zip(held, texts, known, near, chances, strict=True)]
        made = [[draft.text for draft in own] for own in held]
        return stacked(made, features, truths, rouge_l, words, x.device)

    def _written(self, x: Tensor, words: Vocabulary) -> list[list[str]]:
        """Return what the writer writes for each text, the likeliest first."""
        version = self._version()
        keys = [(version, row.numpy().tobytes()) for row in x.cpu().int()]
        known = {key: self._beams.get(key) for key in keys}  # another thread may forget them meanwhile
        new = [at for at, key in enumerate(keys) if known[key] is None]
        if new:
            params = self.writer.params()
            memory = self.writer.read(params, x[new])
            found = write(self.writer, params, memory, beams=WRITTEN, length=WRITTEN_LENGTH)[0]
            known |= {
                keys[at]: [words.decode(row) for row in rows]
                for at, rows in zip(new, found.tolist(), strict=True)
            }
            self._beams.update(known)
        return [known[key] for key in keys]

    def _likelihoods(self, x: Tensor, held: list[list[Draft]], words: Vocabulary) -> list[np.ndarray]:
        """Return the writer's log probabilities (drafts, 3) of each text's drafts."""
        version = self._version()
        keys = [
            [(version, row.numpy().tobytes(), draft.text) for draft in own]
            for row, own in zip(x.cpu().int(), held, strict=True)
        ]
        known = {key: self._chances.get(key) for own in keys for key in own}
        new = [(at, key) for at, own in enumerate(keys) for key in own if known[key] is None]
        if new:
            params = self.writer.params()
            rows = torch.tensor([at for at, _ in new], device=x.device)
            memory = self.writer.read(params, x).chosen(rows)
            ids = [target_ids(one) for one in words.encode_all([key[2] for _, key in new])]
            targets = torch.from_numpy(padded(ids)[:, :JUDGED]).to(x.device)
            logs = likelihoods(self.writer, params, memory, targets)
            counts = (targets != PAD).to(logs)
            total = (logs * counts).sum(1)
            told = torch.stack([total / counts.sum(1), logs[:, 0], total], 1).cpu().numpy()
            known |= {key: row for (_, key), row in zip(new, told, strict=True)}
            if len(self._chances) > KNOWN:
                self._beams.clear()
                self._chances.clear()
            self._chances.update(known)
        return [np.stack([known[key] for key in own]) for own in keys]

    def _version(self) -> int:
        """Return a number that changes when weights of the writer do."""
        return sum(parameter._version for parameter in self.writer.parameters())
