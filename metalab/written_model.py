"""A writer adapted to a few pairs of texts: translates into their language, or sums up in their style."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.adaptation import describe, rebuild
from metalab.checkpoints import checkpoint_bytes, load_checkpoint, prefixed
from metalab.data.archives import Note
from metalab.data.pairs import TARGET_LENGTH, Pair, cut_short, pair_examples, source_examples
from metalab.data.pairs_in import WORDS, from_rows
from metalab.data.rows import plain_lines
from metalab.data.subwords import END, PAD, START, Vocabulary, vocabulary
from metalab.errors import CheckpointError, DataError
from metalab.metalearners import State
from metalab.metalearners.base import score
from metalab.metalearners.writers import Writing
from metalab.storage import atomic_write

if TYPE_CHECKING:
    from metalab.api import TaskResult

KIND = "written-model"
"""Of its checkpoints."""
AT_ONCE = 16
"""Texts written at once."""
PARTS = 24
"""Parts of a text, at most, whose weight is asked for one by one."""
FAINT = 0.1
"""Shares below it are not told."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True)
class Mark:
    """source[start:end] with its share, 0..1: how surely it is copied, or how much it mattered."""

    start: int
    end: int
    share: float


@dataclass(frozen=True)
class Written:
    """A text written for ``source``, which is as it was read: NFC, without spaces around it.

    ``probability`` is the geometric mean of its sub-words' probabilities, of a method that chooses among
    candidates its share among them; ``copied`` has the words of the
    source that it was copied from, ``from_source`` and ``from_examples`` the shares of it that were copied
    from either, ``taken_source`` and ``taken_examples`` the words of ``text`` that were. ``candidates`` are
    the other texts found, the best first, with their probabilities. ``unread`` characters at the
    source's end were beyond what is read; not ``ended``: the text was cut where no more is written.
    """

    text: str
    source: str
    probability: float
    copied: list[Mark]
    from_source: float
    from_examples: float
    unread: int
    ended: bool
    candidates: list[tuple[str, float]]
    taken_source: list[Mark]
    taken_examples: list[Mark]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class WrittenModel:
    """A writer with the state of one task."""

    metalearner: Writing
    state: State

    @property
    def application(self) -> str:
        """What it does."""
        return self.metalearner.application

    @property
    def vocabulary(self) -> Vocabulary:
        """The sub-words that it reads and writes."""
        return vocabulary(self.metalearner.backbone.vocabulary)

    def predict(self, texts: Sequence[str]) -> list[Written]:
        """Return what is written for each of ``texts``. Raises :class:`DataError` for an empty one."""
        plain = [self._checked(text, number) for number, text in enumerate(texts)]
        # Texts of like length go together: padding costs time.
        order = sorted(range(len(plain)), key=lambda i: len(plain[i]))
        found: dict[int, Written] = {}
        for first in range(0, len(order), AT_ONCE):
            rows = order[first : first + AT_ONCE]
            found |= dict(zip(rows, self._written([plain[i] for i in rows]), strict=True))
        return [found[i] for i in range(len(plain))]

    def outputs(self, texts: Sequence[str]) -> Tensor:
        """Return the sub-words (n, TARGET_LENGTH) that are written for ``texts``."""
        return torch.cat(
            [self._search(texts[i : i + AT_ONCE])[1][:, 0] for i in range(0, len(texts), AT_ONCE)]
        )

    @torch.no_grad()
    def explain(self, written: Written) -> list[Mark]:
        """Return how much each word of the source mattered for what was written, 1 for the one that did most.

        Each is left out in turn: what matters is by how much that makes the same text less likely. In sources
        of more than :data:`PARTS` words these are sentences, or runs of them.
        """
        source, target = written.source[: len(written.source) - written.unread], written.text
        parts = _parts(source)
        without = [f"{source[:start]} {source[end:]}" for start, end in parts]
        pairs = [Pair(text, target) for text in [source, *without]]
        chances: list[float] = []
        for first in range(0, len(pairs), AT_ONCE):
            examples = pair_examples(pairs[first : first + AT_ONCE], self.vocabulary, self._size)
            examples = examples.to(self._device)
            likelihood = self.metalearner.likelihoods(self.state, examples)
            chances += (likelihood * (examples.y != PAD)).sum(1).tolist()
        drops = [max(0.0, chances[0] - chance) for chance in chances[1:]]
        most = max(drops, default=0.0) or 1.0
        return [Mark(*part, drop / most) for part, drop in zip(parts, drops, strict=True)]

    @property
    def _size(self) -> int:
        return self.metalearner.backbone.size

    @property
    def _device(self) -> torch.device:
        return self.metalearner.backbone.input_mean.device

    @staticmethod
    def _checked(text: str, number: int) -> str:
        plain = unicodedata.normalize("NFC", plain_lines(text)).strip()
        if not plain:
            raise DataError("an empty text", where=f"texts[{number}]", fix="Give some words")
        return plain

    @torch.no_grad()
    def _search(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the texts as examples, what is written for each (n, beams, length), the best first, and the
        mean log probabilities (n, beams)."""
        x = source_examples(texts, self.vocabulary, self._size).to(self._device)
        found, chance = self.metalearner.search(self.state, x)
        return x, found.cpu(), chance.cpu()

    def _written(self, texts: Sequence[str]) -> list[Written]:
        x, found, chance = self._search(texts)
        copied = self._copied(x, found[:, 0].to(self._device)).cpu()
        held = []
        for source, beams, chances, shares in zip(texts, found, chance.exp().tolist(), copied, strict=True):
            ids, probability = beams[0], chances[0]
            others = zip(map(self.vocabulary.decode, beams[1:].tolist()), chances[1:], strict=True)
            pieces = self.vocabulary.pieces(source)
            read = pieces[: self._size]
            length = max(1, int((ids != PAD).sum() - (ids == END).sum()))
            own, examples = shares[:, : x.shape[1]], shares[:, x.shape[1] :]
            held.append(
                Written(
                    self.vocabulary.decode(ids.tolist()),
                    source,
                    probability,
                    _words(source, read, own.sum(0).tolist()),
                    float(own.sum() / length),
                    float(examples.sum() / length),
                    len(source) - pieces[self._size][0] if len(pieces) > self._size else 0,
                    bool((ids == END).any()),
                    list(others),
                    *self._taken(ids.tolist(), own.sum(1).tolist(), examples.sum(1).tolist()),
                )
            )
        return held

    @torch.no_grad()
    def _copied(self, x: Tensor, ids: Tensor) -> Tensor:
        """Return the probability (n, t, m) that each written sub-word was copied from each place, given that
        it is what it is. Places are those of the text, then those of examples."""
        writer = self.metalearner.backbone
        params, film, memory = self.metalearner.opened(self.state, x)
        before = torch.cat([ids.new_full((len(ids), 1), START), ids[:, :-1]], 1)
        h, _ = writer.write(params, memory, before, film)
        gate, places = writer.copying(params, h, memory)
        same = (ids[..., None] == memory.ids[:, None]) & (ids != PAD)[..., None] & (ids != END)[..., None]
        copied = (F.logsigmoid(gate)[..., None] + places).exp() * same
        made = writer.written(params, h).gather(-1, ids[..., None]) + F.logsigmoid(-gate)[..., None]
        return copied / (copied.sum(-1, keepdim=True) + made.exp())

    def _taken(self, ids: list[int], *shares: list[float]) -> list[list[Mark]]:
        """Return the words of the text of ``ids`` with each of ``shares`` that their sub-words have."""
        text = self.vocabulary.decode(ids)
        ends = [len(self.vocabulary.decode(ids[:at])) for at in range(len(ids) + 1)]
        pieces = list(itertools.pairwise(ends))
        return [_words(text, pieces, one) for one in shares]

    def save(self, path: Path | str) -> None:
        """Write everything to one safetensors file. Raises :class:`StorageError`."""
        atomic_write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        tensors = {f"learner.{k}": v for k, v in self.metalearner.state_dict().items()}
        tensors |= {f"state.{k}": v for k, v in self.state.items()}
        meta = {"vocabulary": _digest(self.vocabulary), **describe(self.metalearner)}
        return checkpoint_bytes(KIND, tensors, meta)


def load_written_model(path: Path | str) -> WrittenModel:
    """Read what :meth:`WrittenModel.save` wrote; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, KIND)
    metalearner = rebuild(meta, prefixed(tensors, "learner"), path)
    state = prefixed(tensors, "state")
    if not isinstance(metalearner, Writing) or not state:
        raise CheckpointError("describes no adapted writer", where=path)
    model = WrittenModel(metalearner, state)
    if meta.get("vocabulary") != _digest(model.vocabulary):
        raise CheckpointError(
            "was written with other sub-words", where=path, fix="Adapt again with this version"
        )
    return model


def adapt_writer(metalearner: Writing, pairs: Sequence[Pair]) -> WrittenModel:
    """Adapt to pairs of texts; nothing is meta-trained. Raises :class:`DataError` for none.

    Longer texts than are read or written are cut: :func:`cut_notes` says which.
    """
    if not pairs:
        raise DataError("no pair to learn from", where="examples", fix="Give one or more")
    writer = metalearner.backbone
    support = pair_examples(pairs, vocabulary(writer.vocabulary), writer.size).to(writer.input_mean.device)
    with torch.no_grad():
        state = metalearner.adapt(support, 1)
    return WrittenModel(metalearner, {name: tensor.detach() for name, tensor in state.items()})


def cut_notes(metalearner: Writing, pairs: Sequence[Pair], name: str = "examples") -> list[Note]:
    """Return notes about pairs of which only the beginning is read, or learnt to be written."""
    writer = metalearner.backbone
    sources, targets = cut_short(pairs, vocabulary(writer.vocabulary), writer.size)
    ours, theirs = WORDS[metalearner.application]
    notes = []
    for rows, words, size, done in (
        (sources, ours, writer.size, "read"),
        (targets, theirs, TARGET_LENGTH - 1, "written"),
    ):
        if rows:
            places = ", ".join(str(row + 1) for row in rows[:8]) + (", …" if len(rows) > 8 else "")
            what = f"of the {words} only the first {size} sub-words are {done} ({len(rows)} of {len(pairs)})"
            notes.append(Note(f"{name}, pair {places}", what, "warning"))
    return notes


def written_task_learning(
    metalearner: Writing, train_data: Any, train_labels: Any, test_data: Any, test_labels: Any
) -> TaskResult:
    """:func:`metalab.api.task_learning` for texts; ``accuracy`` is :func:`judged_outputs`."""
    from metalab.api import TaskResult

    model = adapt_writer(metalearner, text_pairs(metalearner.application, train_data, train_labels, "train"))
    predictions, accuracy = model.predict(_texts(test_data, "test_data")), None
    if test_labels is not None:
        pairs = text_pairs(metalearner.application, test_data, test_labels, "test")
        accuracy = judged_outputs(model, pairs)
    return TaskResult(predictions, [one.probability for one in predictions], accuracy, model)


def judged_outputs(model: WrittenModel, pairs: Sequence[Pair]) -> float:
    """Return the application's metric of what is written for ``pairs``.

    Where an application has none for texts, it is the geometric mean probability of the truth's sub-words.
    """
    from metalab.applications import application

    judge = application(model.application).judge
    truth = pair_examples(pairs, model.vocabulary, model.metalearner.backbone.size)
    if judge is score:
        device = model.metalearner.backbone.input_mean.device
        with torch.no_grad():
            return float(score(model.metalearner.likelihoods(model.state, truth.to(device)).cpu(), truth))
    return float(judge(model.outputs([pair.source for pair in pairs]), truth))


def text_pairs(application: str, data: Any, labels: Any, where: str) -> list[Pair]:
    """Return lists of texts, and of what is to be written for them, as pairs. Raises :class:`DataError`."""
    if len(data) != len(labels):
        raise DataError(f"{len(data)} texts but {len(labels)} labels", where=where)
    texts, wanted = _texts(data, f"{where}_data"), _texts(labels, f"{where}_labels")
    pairs = []
    for number, (source, target) in enumerate(zip(texts, wanted, strict=True)):
        row = {"source": source, "target": target}
        pairs += from_rows(iter([(f"{where}[{number}]", row)]), application, f"{where}[{number}]").only()
    return pairs


def _texts(data: Any, where: str) -> list[str]:
    for number, text in enumerate(data):
        if not isinstance(text, str):
            raise DataError("is no text", where=f"{where}[{number}]", fix="Give strings")
    return list(data)


def _words(source: str, pieces: Sequence[tuple[int, int]], shares: Sequence[float]) -> list[Mark]:
    """Return the words of ``source`` with the largest share among the sub-words (start, end) in each."""
    marks = []
    for match in re.finditer(r"\S+", source):
        inside = [
            share
            for (start, end), share in zip(pieces, shares, strict=False)
            if start < match.end() and end > match.start()
        ]
        if (share := min(1.0, max(inside, default=0.0))) >= FAINT:
            marks.append(Mark(match.start(), match.end(), share))
    return marks


def _parts(source: str) -> list[tuple[int, int]]:
    """Return where the words of ``source`` stand; of more than :data:`PARTS` its sentences, or
    runs of them."""
    found = [match.span() for match in re.finditer(r"\S+", source)]
    if len(found) > PARTS:
        cuts = [0, *(match.end() for match in _SENTENCE.finditer(source)), len(source)]
        found = [(a, b) for a, b in itertools.pairwise(cuts) if source[a:b].strip()]
        if len(found) == 1:  # one long sentence
            found = [match.span() for match in re.finditer(r"\S+", source)]
    each = -(-len(found) // PARTS)
    return [(found[i][0], found[min(i + each, len(found)) - 1][1]) for i in range(0, len(found), each)]


def _digest(held: Vocabulary) -> str:
    """Name a vocabulary by its content."""
    return hashlib.sha256(held.to_json().encode()).hexdigest()[:16]
