"""Tasks over a user's own pairs of texts: all meta-test; of each group some are learnt from, others asked."""

from __future__ import annotations

from pathlib import Path

import torch

from metalab.data.archives import Note
from metalab.data.pairs import PairSource, cut_short
from metalab.data.pairs_in import read_pairs
from metalab.data.subwords import Vocabulary
from metalab.errors import DataError
from metalab.tasks import Examples, Split, TaskShape


class OwnPairs(PairSource):
    """Tasks drawn from the file ``path``, one group (language, package) each. Raises :class:`DataError`.

    ``notes`` name the rows that cannot be used, and say how many texts are read or written in part only.
    """

    def __init__(
        self,
        path: Path,
        application: str,
        vocabulary: Vocabulary,
        size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        held = read_pairs(path, application)
        super().__init__("pairs", {"test": held.groups}, vocabulary, size, device)
        self.notes, self._path = list(held.notes), path
        for group, pairs in held.groups.items():
            sources, targets = cut_short(pairs, vocabulary, size)
            if sources or targets:
                what = (
                    f"only the beginning is used of {len(sources)} texts to be read and of {len(targets)} "
                    f"to be written, of {len(pairs)}"
                )
                self.notes.append(Note(f"{path}, {group}", what, "warning"))

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` for another split than meta-test, and as :meth:`PairSource.check`."""
        if split != "test":
            raise DataError("own pairs are meta-test only", where="source", fix="Train on what comes along")
        super().check(shape, split)

    def labelled_pairs(self, n: int, generator: torch.Generator) -> tuple[Examples, torch.Tensor]:
        """Raise :class:`DataError`: there is nothing to train on."""
        raise DataError("own pairs are meta-test only", where="source", fix="Train on what comes along")
