"""Files of weights: one safetensors file each, with a JSON header that says what is inside. Never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metalab.config import FORMAT
from metalab.errors import CheckpointError
from metalab.storage import atomic_write

SHIPPED = Path(__file__).parent / "weights"
"""Checkpoints that come with metalab, made by ``python -m metalab ship``: ready without any training."""


def save_checkpoint(path: Path | str, kind: str, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write ``tensors`` and JSON-able ``meta`` to ``path`` atomically. Raises :class:`StorageError`.

    ``kind`` is one of "backbone", "training", "metalearner", "adapted-model", "picture-model".
    """
    atomic_write(Path(path), checkpoint_bytes(kind, tensors, meta))


def checkpoint_bytes(kind: str, tensors: dict[str, Tensor], meta: dict[str, Any]) -> bytes:
    """Return what :func:`save_checkpoint` writes."""
    header = {"metalab": json.dumps({"format": FORMAT, "kind": kind, **meta})}
    return save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, header)


def load_checkpoint(path: Path | str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and meta of a ``kind`` checkpoint; raises :class:`CheckpointError`."""
    tensors, meta = _read(path, True)
    if meta.get("kind") != kind:
        raise CheckpointError(
            f"holds {meta.get('kind')!r}, not {kind!r}", where=path, fix="Choose another file"
        )
    return tensors, meta


def checkpoint_kind(path: Path | str) -> str:
    """Return what kind of checkpoint is in ``path``; raises :class:`CheckpointError`."""
    return str(_read(path, False)[1].get("kind"))


def _read(path: Path | str, weights: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "there is no such file"
        raise CheckpointError(what, where=path, fix="Check the path")
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("metalab", "null"))
            names = file.keys() if weights else []
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"not a safetensors file, or damaged ({error})", where=path, fix="Use a file that metalab wrote"
        ) from None
    if not isinstance(meta, dict):
        raise CheckpointError(
            "a safetensors file, but not metalab's", where=path, fix="Use a file that metalab wrote"
        )
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"written in format {meta.get('format')}, this version reads {FORMAT}",
            where=path,
            fix="Train again with this version, or install the version that wrote it",
        )
    return tensors, meta


def prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries under ``prefix.`` without it."""
    return {
        name.removeprefix(prefix + "."): t for name, t in tensors.items() if name.startswith(prefix + ".")
    }


def load_into(module: Any, tensors: dict[str, Tensor], where: object) -> None:
    """Load ``tensors`` as the module's state; raises :class:`CheckpointError` if they do not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise CheckpointError(
            f"the weights do not fit this model ({' '.join(lines)})",
            where=where,
            fix="Use the configuration that the checkpoint was made with",
        ) from None
