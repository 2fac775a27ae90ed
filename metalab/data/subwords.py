"""Sub-words: text as numbers and back, by byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al.
2019). Any text of any script can be written: what no sub-word covers falls to bytes.

A vocabulary is a file that comes with metalab, learnt from meta-train texts alone.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from metalab.checkpoints import SHIPPED
from metalab.errors import CheckpointError
from metalab.storage import atomic_write

SIZE = 4096
"""Sub-words of a vocabulary, with the special ones and the 256 bytes."""
PAD, START, END, CUT = range(4)
"""Special ones: padding, the start of a text to be written, its end, and between two texts read as one."""
SPECIAL = ["<pad>", "<start>", "<end>", "<cut>"]


class Vocabulary:
    """Turns texts into lists of numbers below :data:`SIZE` and back, without loss up to Unicode's NFC."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Return the numbers of ``text``; no special ones."""
        return self._tokenizer.encode(_plain(text), add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return :meth:`encode` of many texts."""
        held = self._tokenizer.encode_batch([_plain(text) for text in texts], add_special_tokens=False)
        return [one.ids for one in held]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ``ids`` up to the first :data:`END`; special numbers and broken bytes vanish."""
        held = []
        for number in ids:
            if number == END:
                break
            if number >= len(SPECIAL):
                held.append(int(number))
        return self._tokenizer.decode(held).replace("\ufffd", "").strip()

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Return where each number of :meth:`encode` stands in ``text``, NFC and stripped: (start, end)."""
        held = self._tokenizer.encode(_plain(text), add_special_tokens=False)
        return [(max(0, start - 1), max(0, end - 1)) for start, end in held.offsets]  # less the first space

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON. Raises :class:`StorageError`."""
        atomic_write(path, self.to_json().encode())

    def to_json(self) -> str:
        """Return what :meth:`save` writes."""
        return self._tokenizer.to_str()


def train_vocabulary(texts: Iterable[str], size: int = SIZE) -> Vocabulary:
    """Learn ``size`` sub-words from ``texts``; the same texts in the same order give the same ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_plain(text) for text in texts), trainer)
    return Vocabulary(tokenizer)


@functools.cache
def vocabulary(name: str) -> Vocabulary:
    """Return the vocabulary called ``name`` that comes with metalab. Raises :class:`CheckpointError`."""
    path = SHIPPED / f"{name}.json"
    if not path.is_file():
        raise CheckpointError(
            "there is no such vocabulary", where=path, fix="Make it: python -m metalab ship"
        )
    return Vocabulary(Tokenizer.from_str(path.read_text(encoding="utf-8")))


def _plain(text: str) -> str:
    """Return ``text`` in Unicode's NFC with a space before it, so that a first word is one like any other."""
    return " " + unicodedata.normalize("NFC", text).strip()
