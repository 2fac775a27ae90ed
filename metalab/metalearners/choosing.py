"""Choosers: a network learns which of many candidate texts a task wants, from the examples' own candidates.

Each candidate is described by numbers; how good the candidates of the examples are is known, since their true
texts are. A set encoder (Garnelo et al. 2018) reads these and retunes the network that describes (FiLM, Perez
et al. 2018); a ridge regression solved on them (R2-D2, Bertinetto et al. 2019, equation 6) and attention
(Vinyals et al. 2016, equation 1) correct what it scores. Trained to raise the expected measure of the choice.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.candidates import Candidates
from metalab.data.pairs import ROUND, TARGET_LENGTH
from metalab.data.subwords import PAD
from metalab.metalearners.base import State, scalar
from metalab.metalearners.writers import Writing
from metalab.tasks import Examples

HIDDEN, KEY, CODE_SIZE = 64, 32, 32
NEVER = -1e4
"""Score of padding."""
SHARP = 0.05
"""Difference of the measure that matters in telling the best candidates of an example."""
KNOWN = 400
"""Tasks whose candidates are remembered, at most: some 100 MB."""
IMITATION = 0.1
"""Weight of matching the best candidates, beside that of the expected measure."""


class Choosing(Writing):
    """Adaptation yields what candidates are made from (:meth:`prepared`), and of the choice ``film``
    (2, hidden), ``weight`` (hidden,), and ``keys`` (m, 32) with ``rest`` (m,) to attend to.

    How candidates are made is the application's affair. The shared writer is not meta-trained.
    """

    one_by_one = True
    columns: ClassVar[int]
    """Numbers that describe a candidate."""

    class Options(Writing.Options):
        """What the chooser may use."""

        attends: bool = Field(
            True, title="Attends", description="Looks at single candidates of the examples that are alike."
        )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        backbone.requires_grad_(False)
        self._known: dict[tuple, tuple[Candidates, Candidates]] = {}
        self.first = nn.Linear(self.columns, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        self.encoder = nn.Sequential(
            nn.Linear(2 * HIDDEN + 2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CODE_SIZE)
        )
        self.generator = nn.Linear(CODE_SIZE, 2 * HIDDEN)
        nn.init.zeros_(self.generator.weight)
        nn.init.zeros_(self.generator.bias)
        self.key = nn.Linear(HIDDEN, KEY, bias=False)
        self.log_ridge, self.log_sharpness = scalar(2.0), scalar(1.5)
        self.solved_share, self.read_share = scalar(0.5), scalar(0.5)
        self.log_scale = scalar(3.0)

    def prepared(self, support: Examples) -> State:
        """Return what candidates are made from: ``pairs.x``, ``pairs.y`` (the examples, perhaps none), the
        writer's ``code`` and whatever else is changed of it."""
        return {"pairs.x": support.x, "pairs.y": support.y, "code": self.no_code()}

    @abstractmethod
    def candidates(self, state: State, x: Tensor, y: Tensor | None = None) -> Candidates:
        """Return the candidates of texts ``x`` (n, length), with gains where ``y`` (n, t) is known."""

    @abstractmethod
    def learnt(self, support: Examples) -> tuple[State, Candidates]:
        """Return :meth:`prepared`, and candidates of examples, each made without its own pair, with gains."""

    def adapt(self, support: Examples, way: int) -> State:
        """Return the state, see the class."""
        prepared, told = self.learnt(support)
        return {**prepared, **self._choice(told)}

    def _choice(self, held: Candidates) -> State:
        """Return what the candidates of the examples tell about the choice."""
        plain = self._described(held.features, None)
        wanted = _centred(held.gains, held.mask)
        best = (held.gains / SHARP).masked_fill(~held.mask, NEVER).softmax(-1)[..., None]
        even = (held.mask / held.mask.sum(-1, keepdim=True))[..., None]
        told = torch.cat(
            [
                (best * plain).sum(1),
                (even * plain).sum(1),
                (best[..., 0] * held.gains).sum(1, keepdim=True),
                (even[..., 0] * held.gains).sum(1, keepdim=True),
            ],
            1,
        )
        film = self.generator(self.encoder(told).mean(0)).view(2, HIDDEN)
        h = self._described(held.features, film)
        scores = _centred(self.out(h)[..., 0] / self.log_scale.exp(), held.mask)
        rest = (wanted - scores)[held.mask]
        rows = (h - (even * h).sum(1, keepdim=True))[held.mask]
        eye = torch.eye(HIDDEN, device=h.device, dtype=h.dtype)
        weight = torch.linalg.solve(rows.t() @ rows + self.log_ridge.exp() * eye, rows.t() @ rest)
        return {
            "choice.film": film,
            "choice.weight": weight,
            "choice.keys": F.normalize(self.key(h[held.mask]), dim=-1),
            "choice.rest": rest,
        }

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the chooser without an example, then adapted."""
        return {"without examples": self.without_examples(), "adapted": self.adapt(support, way)}

    def without_examples(self) -> State:
        """Return the state in which nothing is known of the task."""
        none = self.backbone.input_mean
        nothing = Examples(none.new_zeros(0, ROUND), torch.zeros(0, TARGET_LENGTH).to(none.device).long())
        return {
            **self.prepared(nothing),
            "choice.film": none.new_zeros(2, HIDDEN),
            "choice.weight": none.new_zeros(HIDDEN),
            "choice.keys": none.new_zeros(0, KEY),
            "choice.rest": none.new_zeros(0),
        }

    def scores(self, state: State, held: Candidates) -> Tensor:
        """Return the score (n, C) of each candidate; :data:`NEVER` for padding."""
        h = self._described(held.features, state["choice.film"])
        corrected = self.solved_share * (h @ state["choice.weight"])
        if self.options.attends and len(state["choice.keys"]):
            likeness = F.normalize(self.key(h), dim=-1) @ state["choice.keys"].t()
            read = (likeness * self.log_sharpness.exp()).softmax(-1) @ state["choice.rest"]
            corrected = corrected + self.read_share * read
        return (self.out(h)[..., 0] + self.log_scale.exp() * corrected).masked_fill(~held.mask, NEVER)

    def search(self, state: State, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best candidates (n, beams, TARGET_LENGTH) and the logarithms of their shares."""
        held = self.candidates(state, x)
        shares = self.scores(state, held).log_softmax(-1)
        count = min(self.options.beams, shares.shape[1])
        best = shares.topk(count, 1)
        ids = held.ids.gather(1, best.indices[..., None].expand(-1, -1, TARGET_LENGTH))
        spare = self.options.beams - count
        return F.pad(ids, (0, 0, 0, spare), value=PAD), F.pad(best.values, (0, spare), value=NEVER)

    def trial(self, support: Examples, query: Examples, way: int) -> Tensor:
        """Return scores, gains and mask of the candidates: (n, C, 3)."""
        told, held = self._met(support, query)
        parts = [self.scores(self._choice(told), held), held.gains, held.mask.to(held.gains)]
        return torch.stack(parts, -1)

    def _met(self, support: Examples, query: Examples) -> tuple[Candidates, Candidates]:
        """Return the candidates of the examples and of the query texts; those of a task that was met before
        are remembered, since the writer does not change."""
        key = (sum(one._version for one in self.backbone.parameters()), *map(_content, (support, query)))
        held = self._known.get(key)
        if held is None:
            with torch.no_grad():
                state, told = self.learnt(support)
                held = told, self.candidates(state, query.x, query.y)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = held
        return held

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the choices, and :meth:`trial`."""
        outputs = self.trial(support, query, way)
        return self.loss(outputs, query), outputs

    def loss(self, outputs: Tensor, examples: Examples) -> Tensor:
        """Return minus the expected measure of the choice, and how far choices are from the best."""
        scores, gains, mask = outputs.unbind(-1)
        shares = scores.log_softmax(-1)
        best = (gains / SHARP).masked_fill(mask == 0, NEVER).softmax(-1)
        expected = (shares.exp() * gains).sum(-1)
        return (-expected - IMITATION * (best * shares).sum(-1)).mean()

    def score(self, outputs: Tensor, examples: Examples) -> Tensor:
        """Return the mean measure of what is chosen, one number a task."""
        scores, gains, _ = outputs.unbind(-1)
        return gains.gather(-1, scores.argmax(-1, keepdim=True))[..., 0].mean(-1)

    def _described(self, features: Tensor, film: Tensor | None) -> Tensor:
        h = F.relu(self.first(features))
        h = self.second(h)
        if film is not None:
            h = h * (1 + film[0]) + film[1]
        return F.relu(h)


def _content(part: Examples) -> bytes:
    """Name texts by what they are, however they are padded."""
    rows = [[number for number in row if number != PAD] for t in (part.x, part.y) for row in t.int().tolist()]
    return hashlib.sha256(repr(rows).encode()).digest()


def _centred(values: Tensor, mask: Tensor) -> Tensor:
    """Return ``values`` (n, C) less the mean of each row's entries that are not padding."""
    weights = mask.to(values)
    mean = (values * weights).sum(-1, keepdim=True) / weights.sum(-1, keepdim=True)
    return values - mean
