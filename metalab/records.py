"""From raw images to a backbone's examples, computed once: in memory image by image, on disk by data set."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metalab.backbones import Backbone, Frozen, Listener
from metalab.data.sounds import as_pictures
from metalab.preparation import prepare
from metalab.storage import atomic_write, home
from metalab.tasks import Examples, Task
from metalab.threads import spread

MOST = 4096
"""Records kept in memory, 17 kB each."""
AT_ONCE = 64
"""Images prepared at once: at full size they are large."""
PIECE = 5
"""Images that one core works at on its own."""

Images = np.ndarray | Tensor | Sequence[np.ndarray]
"""An array of images, or a list of images (H, W) or (H, W, C) of different sizes."""

_known: OrderedDict[bytes, Tensor] = OrderedDict()
_guard = threading.Lock()


def examples(images: Images, backbone: Backbone) -> Tensor:
    """Return raw images as the examples (n, ...) that ``backbone`` adapts to: images, or records of photos.

    What was recorded before is not computed again. Raises :class:`DataError`.
    """
    if isinstance(backbone, Listener):
        return as_pictures(images).to(backbone.input_mean.device)
    one_array = isinstance(images, np.ndarray | Tensor)
    if not isinstance(backbone, Frozen):
        return prepare(images, backbone) if one_array else _prepared(images, backbone)
    if one_array and images.ndim < 3:
        return prepare(images, backbone)  # raises: these are no images
    keys = [_key(image, backbone) for image in images]
    with _guard:
        held = {key: _known[key] for key in keys if key in _known}
    missing = list({key: number for number, key in enumerate(keys) if key not in held}.values())

    def record(part: list[int]) -> Tensor:
        x = prepare(images[part], backbone) if one_array else _prepared([images[i] for i in part], backbone)
        return backbone.record(x)

    on_cpu = backbone.input_mean.device.type == "cpu"
    for chunk in _split(missing, AT_ONCE):
        records = spread(record, _split(chunk, PIECE)) if on_cpu else [record(chunk)]
        fresh = dict(zip((keys[i] for i in chunk), torch.cat(records), strict=True))
        held |= fresh
        with _guard:
            _known.update(fresh)
            while len(_known) > MOST:
                _known.popitem(last=False)
    return torch.stack([held[key] for key in keys])


def recorded(task: Task, backbone: Backbone) -> Task:
    """Return ``task`` of prepared images as ``backbone`` takes it: photos become records, once."""
    if not isinstance(backbone, Frozen):
        return task

    def record(held: Examples) -> Examples:
        on_cpu = held.x.device.type == "cpu"
        parts = spread(backbone.record, held.x.split(PIECE)) if on_cpu else [backbone.record(held.x)]
        return Examples(torch.cat(parts), held.y)

    return Task(record(task.support), record(task.query), task.way, task.classes)


def stored_examples(images: Sequence[np.ndarray], backbone: Backbone) -> Tensor:
    """Return :func:`examples` of a data set, kept on disk under its content: the second time is instant."""
    if not isinstance(backbone, Frozen):
        return examples(images, backbone)
    digest = hashlib.sha256(b"".join(_key(image, backbone) for image in images)).hexdigest()[:32]
    path = home() / "cache" / "records" / f"{digest}.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("records").to(backbone.input_mean.device)
    except (OSError, SafetensorError):  # not there yet, or damaged: computed anew
        records = examples(images, backbone)
        atomic_write(path, save({"records": records.cpu()}))
        return records


def _split(numbers: list[int], size: int) -> list[list[int]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _prepared(images: Sequence[np.ndarray], backbone: Backbone) -> Tensor:
    return torch.cat([prepare(np.asarray(image)[None], backbone) for image in images])


def _key(image: np.ndarray | Tensor, backbone: Frozen) -> bytes:
    pixels = np.ascontiguousarray(image.cpu() if isinstance(image, Tensor) else image)
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=16)
    digest.update(f"{pixels.shape} {pixels.dtype} {backbone.size}".encode())
    digest.update(backbone.fingerprint)
    return digest.digest()
