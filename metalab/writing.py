"""Texts as outputs: the likelihood of given ones, the loss, and search for the likeliest. Pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones.base import Film, Params
from metalab.backbones.writer import Memory, Past, Writer
from metalab.data.pairs import TARGET_LENGTH
from metalab.data.subwords import END, PAD, SIZE, START

NEVER = -1e4
"""Log probability of what must not be written."""
LENGTH_POWER = 0.6
"""Power of its length by which a text's log probability is divided in beam search (Wu et al. 2016)."""


def likelihoods(
    writer: Writer, params: Params, memory: Memory, targets: Tensor, film: Film | None = None
) -> Tensor:
    """Return the log probability (n, t) of each sub-word of ``targets`` (n, t), given those before it.

    That of padding means nothing. A sub-word is written, or copied from any place where it stands.
    """
    first = targets.new_full((len(targets), 1), START)
    h, _ = writer.write(params, memory, torch.cat([first, targets[:, :-1]], 1), film)
    gate, copied = writer.copying(params, h, memory)
    same = targets[..., None] == memory.ids[:, None]
    from_memory = copied.masked_fill(~same, NEVER).logsumexp(-1)
    logits = writer.written(params, h)
    made = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
    return torch.logaddexp(F.logsigmoid(gate) + from_memory, F.logsigmoid(-gate) + made)


def writing_loss(likelihood: Tensor, targets: Tensor) -> Tensor:
    """Return the mean negative log probability of the sub-words that are not padding, one number for each
    task (..., n, t)."""
    counts = (targets != PAD).to(likelihood.dtype)
    return -(likelihood * counts).sum((-1, -2)) / counts.sum((-1, -2)).clamp(min=1)


def likeliness(likelihood: Tensor, targets: Tensor) -> Tensor:
    """Return the geometric mean probability of a sub-word, one number for each task (..., n, t).

    ``likelihood`` are log probabilities; those where ``targets`` is padding do not count.
    """
    return (-writing_loss(likelihood, targets)).exp()


def next_word(
    writer: Writer,
    params: Params,
    memory: Memory,
    ids: Tensor,
    film: Film | None = None,
    past: list[Past] | None = None,
) -> tuple[Tensor, list[Past]]:
    """Return log probabilities (n, SIZE) of what follows the last of ``ids`` (n, t), and the new past."""
    h, past = writer.write(params, memory, ids, film, past)
    gate, copied = writer.copying(params, h[:, -1:], memory)
    from_memory = copied.new_zeros(len(ids), SIZE).scatter_add(1, memory.ids, copied[:, 0].exp())
    made = writer.written(params, h[:, -1:])[:, 0].softmax(-1)
    share = gate.sigmoid()
    chance = share * from_memory + (1 - share) * made
    chance[:, [PAD, START]] = 0
    return chance.clamp(min=1e-20).log(), past


def write(
    writer: Writer,
    params: Params,
    memory: Memory,
    film: Film | None = None,
    *,
    beams: int = 4,
    length: int = TARGET_LENGTH,
) -> tuple[Tensor, Tensor]:
    """Return the likeliest texts (n, beams, length), the best first, and their mean log probabilities
    (n, beams), found by beam search; one beam is greedy.

    ``film`` is one for all texts. Texts are ended by :data:`END`, then :data:`PAD`.
    """
    n, device = len(memory.ids), memory.ids.device
    ids = torch.full((n, 1), START, device=device)
    chance, past = next_word(writer, params, memory, ids, film)
    totals, first = chance.topk(beams, 1)  # the first sub-word of every beam is another one
    held = first[..., None]
    origin = torch.arange(n, device=device).repeat_interleave(beams)
    memory, past = memory.chosen(origin), _chosen(past, origin)
    ended, lengths = held[..., -1] == END, torch.ones(n, beams, device=device)
    closed = chance.new_full((SIZE,), NEVER)  # a text that has ended goes on with padding alone, at no cost
    closed[PAD] = 0
    for _ in range(length - 1):
        if bool(ended.all()):
            break
        chance, past = next_word(writer, params, memory, held[..., -1].flatten()[:, None], film, past)
        chance = chance.view(n, beams, SIZE)
        chance = torch.where(ended[..., None], closed, chance)
        sums = totals[..., None] + chance
        longer = lengths + (~ended).to(lengths.dtype)
        ranks = sums / longer.pow(LENGTH_POWER)[..., None]
        best = ranks.flatten(1).topk(beams, 1).indices
        beam, word = best // SIZE, best % SIZE
        totals, lengths = sums.flatten(1).gather(1, best), longer.gather(1, beam)
        ended = ended.gather(1, beam) | (word == END)
        held = torch.cat([held.gather(1, beam[..., None].expand(-1, -1, held.shape[2])), word[..., None]], 2)
        rows = (torch.arange(n, device=device)[:, None] * beams + beam).flatten()
        past = _chosen(past, rows)
    order = (totals / lengths.pow(LENGTH_POWER)).argsort(1, descending=True)
    held = held.gather(1, order[..., None].expand_as(held))
    return F.pad(held, (0, length - held.shape[2]), value=PAD), (totals / lengths).gather(1, order)


def _chosen(past: list[Past], rows: Tensor) -> list[Past]:
    return [Past(*(part[rows] for part in one)) for one in past]
