"""Held-out tasks on real photographs, for ``bench pictures``: the carry-over from drawn scenes to photos.

Two kinds. :class:`CropSource` cuts support and query from two halves of one of scikit-image's (and
scikit-learn's) photographs, whose labels a classical method gives: few photographs, and labels that follow
brightness or colour. :class:`StampScenes` composes scenes of photographed objects with exact outlines, Tux
Paint's stamps, on photographed grounds: a class is a kind (birds, fruit), and no object of it is in both the
support and the query set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from metalab.data.annotation import Instance, Picture
from metalab.data.fitting import fitting_size
from metalab.data.labelled import Target, targets
from metalab.data.scenes import SceneSource
from metalab.data.sprites import SIDE
from metalab.errors import DataError
from metalab.preparation import resize
from metalab.tasks import Examples, Split, TaskBatch, TaskShape

LEAST_SHARE, LEAST_PART, LEAST_SEEN = 0.02, 12, 0.4
"""Of a crop: the share that objects cover; of an object, the pixels; and the share of it within a crop."""
TRIES = 200
MEMBERS = 10
"""Least number of stamps of a kind."""
OTHER_STAMPS = ("cartoon", "symbols", "flags", "seasonal", "roadsigns", "_mirror", "_flip")
"""Words in the paths of stamps that are mostly drawn, or the same ones again."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A photograph (H, W, 3) uint8 with ``parts`` (H, W): 0 the ground, 1 and more the objects, one each.

    ``side`` is that of the crops; ``things``: whether objects are apart, so that each can be boxed.
    """

    image: np.ndarray
    parts: np.ndarray
    side: int
    things: bool


@cache
def labelled_photos() -> dict[str, LabelledPhoto]:
    """Return the photographs by what is to be found in them."""
    from skimage import color, data, filters, morphology, segmentation
    from sklearn.datasets import load_sample_image

    coins = data.coins()
    markers = np.where(coins < 30, 1, np.where(coins > 150, 2, 0))
    coins_found = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(coins), markers) == 2)
    deep = data.hubble_deep_field()
    bright = ndimage.gaussian_filter(deep.astype(float).max(2), 1.0) > 90
    tissue = data.immunohistochemistry()
    stain = ndimage.gaussian_filter(color.rgb2hed(tissue)[..., 2], 1.5)
    text, page = data.text(), data.page()
    brick = ndimage.gaussian_filter(data.brick().astype(float), 2.0)
    flower = load_sample_image("flower.jpg")
    red, green = flower[..., 0].astype(int), flower[..., 1].astype(int)

    def ink(image: np.ndarray) -> np.ndarray:
        return image < filters.threshold_sauvola(image, 51, k=0.15)

    found = {
        "coins": (coins, coins_found, 112, True),
        "galaxies": (deep, bright, 128, True),
        "stained tissue": (tissue, stain > filters.threshold_otsu(stain), 128, False),
        "handwriting": (text, ink(text), 80, False),
        "print": (page, ink(page), 80, False),
        "petals": (flower, ndimage.gaussian_filter((red - green).astype(float), 2.0) > 25, 160, False),
        "bricks": (data.brick(), brick < filters.threshold_local(brick, 81, offset=-4), 160, True),
    }
    return {
        name: LabelledPhoto(
            np.ascontiguousarray(
                np.broadcast_to(image if image.ndim == 3 else image[..., None], (*mask.shape, 3))
            ),
            ndimage.label(morphology.remove_small_objects(mask, max_size=LEAST_PART))[0],
            side,
            things,
        )
        for name, (image, mask, side, things) in found.items()
    }


class CropSource:
    """1-way tasks in one photograph: support crops of one half, query crops of the other.

    Crops are resized as the product resizes own pictures, so that objects are as large as in meta-training:
    ``size``. Tasks of one photograph are not independent of each other: an interval over them says how the
    choice of crops matters, not how photographs differ.
    """

    def __init__(self, photo: LabelledPhoto, target: Target) -> None:
        self.photo, self.target = photo, target
        chance = np.random.default_rng(0)
        shown = [self._crop(half, chance) for half in range(4) for _ in range(8)]
        self.size = fitting_size(shown, ["object"])

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` for more than one class: there is but one."""
        if shape.way > 1:
            raise DataError("photographs show one class each", where="--photos", fix="Use shapes 1-1 and 1-5")

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks of the photograph, whatever the split."""
        chance = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        x, y, shot = [], [], shape.shot
        for _ in range(n_tasks):
            half = int(chance.integers(4))
            crops = [self._crop(half, chance) for _ in range(shot)]
            crops += [self._crop(half ^ 1, chance) for _ in range(shape.query)]
            images = np.stack([crop.image for crop in crops])
            x.append(resize(torch.from_numpy(images).movedim(3, 1).float() / 255, self.size))
            y.append(targets(crops, ["object"], self.size, self.target))
        parts = [
            Examples(torch.stack([one[part] for one in x]), _stacked([one[part] for one in y], self.target))
            for part in (slice(shot), slice(shot, None))
        ]
        return TaskBatch(*parts, 1, torch.zeros(n_tasks, 1, dtype=torch.long))

    def _crop(self, half: int, chance: np.random.Generator) -> Picture:
        """Cut out a square with objects; halves 0 and 1 are left and right, 2 and 3 above and below."""
        height, width = self.photo.parts.shape
        low, high = [0, 0], [height, width]
        axis, middle = (1, width // 2) if half < 2 else (0, height // 2)
        (low if half % 2 else high)[axis] = middle
        side = min(self.photo.side, *(last - first for first, last in zip(low, high, strict=True)))
        for _ in range(TRIES):
            top, left = (int(chance.integers(a, b - side + 1)) for a, b in zip(low, high, strict=True))
            place = (slice(top, top + side), slice(left, left + side))
            held = self._instances(place)
            if held and np.mean(self.photo.parts[place] > 0) >= LEAST_SHARE:
                return Picture("crop", self.photo.image[place], held)
        raise DataError("no crop shows an object", where="--photos", fix="Use another photograph")

    def _instances(self, place: tuple[slice, slice]) -> list[Instance]:
        parts = self.photo.parts[place]
        if not self.photo.things:  # one instance: where it ends says nothing
            mask = parts > 0
            return [Instance("object", _around(mask), mask)] if mask.any() else []
        found = []
        for number in np.unique(parts[parts > 0]):
            mask = parts == number
            if self.target == "masks" or mask.sum() >= LEAST_SEEN * self._areas[number]:
                found.append(Instance("object", _around(mask), mask))
        return found

    @property
    def _areas(self) -> np.ndarray:
        return np.bincount(self.photo.parts.ravel())


def _around(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _stacked(targets_of: list[Tensor], target: Target) -> Tensor:
    if target == "masks":
        return torch.stack(targets_of)
    most = max(y.shape[1] for y in targets_of)
    nothing = targets_of[0].new_tensor([-1.0, 0, 0, 0, 0])
    return torch.stack([torch.cat([y, nothing.expand(len(y), most - y.shape[1], 5)], 1) for y in targets_of])


class StampScenes(SceneSource):
    """Scenes as :class:`SceneSource` draws them, of photographed objects on photographed grounds.

    ``folder`` is that of Debian's tuxpaint-stamps-default. Everything is meta-test. Raises
    :class:`DataError` where there are too few.
    """

    def __init__(self, folder: Path, size: int, target: Target) -> None:
        kinds = _stamps(folder)
        if len(kinds) < 2:
            raise DataError(
                "holds no two kinds of stamps", where=folder, fix="Install tuxpaint-stamps-default"
            )
        self.size, self.target = size, target
        self._pixels = torch.cat(list(kinds.values()))
        counts = torch.tensor([len(held) for held in kinds.values()])
        self._first, self._counts = counts.cumsum(0) - counts, counts
        self._names = list(kinds)
        self._splits = {"test": list(range(len(kinds)))}
        self._grounds = _grounds()

    def cast(self, objects: Tensor, shape: TaskShape, generator: torch.Generator) -> Tensor:
        """Return a stamp for each slot of a kind: of its even ones in the support set, else its odd ones."""
        scene = torch.arange(objects.shape[1]) % (shape.shot + shape.query)
        part = (scene >= shape.shot).long()[None, :, None]
        kind = objects.clamp(min=0)
        number = (self._counts[kind] + 1 - part) // 2
        chosen = (torch.rand(objects.shape, generator=generator) * number).long()
        return torch.where(objects < 0, -1, self._first[kind] + 2 * chosen + part)

    def _ground(self, n: int, generator: torch.Generator) -> Tensor:
        """Cut grounds (n, 3, size, size) out of the photographs."""
        found = []
        for a, b, c, d in torch.rand(n, 4, generator=generator).tolist():
            photo = self._grounds[int(a * len(self._grounds))]
            side = int(min(photo.shape[1:]) * (0.25 + 0.5 * b))
            top, left = (
                int(share * (whole - side)) for share, whole in zip((c, d), photo.shape[1:], strict=True)
            )
            found.append(resize(photo[None, :, top : top + side, left : left + side], self.size)[0])
        return torch.stack(found)


def _grounds() -> list[Tensor]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    images = [data.grass(), data.gravel(), data.brick(), data.coffee(), data.chelsea(), data.rocket()]
    images += [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    coloured = [np.broadcast_to(i if i.ndim == 3 else i[..., None], (*i.shape[:2], 3)) for i in images]
    return [torch.from_numpy(np.array(image)).movedim(2, 0).float() / 255 for image in coloured]


def _stamps(folder: Path) -> dict[str, Tensor]:
    """Return the cut-out photographs (n, 4, 48, 48) of each kind, a folder of the second level; colour is
    multiplied by alpha."""
    kinds: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.rglob("*.png")):
        parts = path.relative_to(folder).parts
        if len(parts) < 3 or any(word in "/".join(parts) for word in OTHER_STAMPS):
            continue
        image = Image.open(path).convert("RGBA")
        box = image.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox()
        if box is None:
            continue
        image = image.crop(box)
        image.thumbnail((SIDE, SIDE))
        square = Image.new("RGBA", (SIDE, SIDE))
        square.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
        pixels = np.asarray(square, dtype=np.float32) / 255
        if (pixels[..., 3] > 0.5).mean() < 0.97:  # else it is not cut out
            kinds.setdefault("/".join(parts[:2]), []).append(pixels)
    found = {}
    for name, held in kinds.items():
        if len(held) >= MEMBERS:
            found[name] = torch.from_numpy(np.stack(held)).permute(0, 3, 1, 2).contiguous()
            found[name][:, :3] *= found[name][:, 3:]
    return found
