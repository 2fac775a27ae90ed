"""Colour pictures that can be drawn offline, several domains mixed, as in Meta-Dataset.

Characters in colour on textures, textures, and places in the photos that come with scikit-image and
scikit-learn. For meta-training adapters of the photo backbone; ``bench photos`` shows how little that carries
over to real photos.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from metalab.data.glyphs import GlyphSource
from metalab.preparation import resize
from metalab.tasks import seeded

Picture = NDArray[np.float32]
"""(H, W, 3) in 0..1."""
CHARACTERS, TEXTURES, PLACES = 200, 150, (3, 4)
"""Classes of the first two domains; rows and columns of places in each photo."""


def mixed_pictures(
    side: int, per_class: int = 16, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures (n, side, side, 3) and class numbers (n,), those of each domain in a row."""
    chance = np.random.default_rng(seed)
    pictures, labels = [], []
    for number, held in enumerate(_classes(side, per_class, chance)):
        pictures += [np.rint(255 * picture.clip(0, 1)).astype(np.uint8) for picture in held]
        labels += [number] * len(held)
    return np.stack(pictures), np.array(labels)


def _classes(side: int, n: int, chance: np.random.Generator) -> Iterator[list[Picture]]:
    glyphs = GlyphSource(size=side, episodes="mixed", rotations=False)
    known = [i for ids in glyphs.groups("train").values() for i in ids]
    pen = seeded("cpu", int(chance.integers(2**31)), "pictures")
    for number in chance.choice(known, CHARACTERS, replace=False):
        ink = glyphs.draw(torch.full((n,), int(number)), pen)[:, 0, :, :, None].numpy()
        own, colour = chance.random() < 0.5, chance.random(3)
        grounds = [0.6 * _texture(_style(chance), side, chance) + 0.4 * chance.random(3) for _ in range(n)]
        colours = [colour + 0.1 * chance.normal(size=3) if own else chance.random(3) for _ in range(n)]
        yield [a * c.clip(0, 1) + (1 - a) * g for a, c, g in zip(ink, colours, grounds, strict=True)]
    for _ in range(TEXTURES):
        style = _style(chance)
        yield [_texture(style, side, chance) for _ in range(n)]
    for photo in photos().values():
        for row in range(PLACES[0]):
            for column in range(PLACES[1]):
                yield [_crop(photo, row, column, side, chance) for _ in range(n)]


def photos() -> dict[str, NDArray[np.uint8]]:
    """Return the photos (H, W, 3) that installed packages bring along, by what they show."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    return {
        "astronaut": data.astronaut(),
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "temple": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }


Style = tuple[float, float, float, Picture, Picture]
"""Of a texture: frequency, stretch, angle, two colours."""


def _style(chance: np.random.Generator) -> Style:
    frequency, stretch = np.exp(chance.uniform(np.log(0.02), np.log(0.3))), np.exp(0.5 * chance.normal())
    return float(frequency), float(stretch), chance.uniform(0, np.pi), chance.random(3), chance.random(3)


def _texture(style: Style, side: int, chance: np.random.Generator) -> Picture:
    """Draw noise in a band of frequencies, between two colours; each time a little different."""
    frequency, stretch, angle, first, second = style
    frequency, angle = frequency * np.exp(0.1 * chance.normal()), angle + 0.1 * chance.normal()
    y, x = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = np.hypot(along * stretch, across / stretch)
    band = np.exp(-((radius - frequency) ** 2) / (0.5 * frequency**2))
    noise = np.real(np.fft.ifft2(np.fft.fft2(chance.normal(size=(side, side))) * band))
    mix = ((noise - noise.min()) / max(np.ptp(noise), 1e-9))[..., None]
    colours = [(colour + 0.05 * chance.normal(size=3)).clip(0, 1) for colour in (first, second)]
    return (mix * colours[0] + (1 - mix) * colours[1]).astype(np.float32)


def _crop(photo: NDArray[np.uint8], row: int, column: int, side: int, chance: np.random.Generator) -> Picture:
    """Cut out a place of a photo, with other borders, mirrored or not, in another light each time."""
    height, width = photo.shape[:2]
    size = int(min(height, width) * chance.uniform(0.25, 0.5))
    centre = height * (row + 0.5) / PLACES[0], width * (column + 0.5) / PLACES[1]
    top, left = (
        int(np.clip(middle + 0.05 * whole * chance.normal() - size / 2, 0, whole - size))
        for middle, whole in zip(centre, (height, width), strict=True)
    )
    cut = torch.from_numpy(np.array(photo[top : top + size, left : left + size])).movedim(2, 0)[None]
    picture = resize(cut.float() / 255, side)[0].movedim(0, 2).numpy()
    mirrored = picture[:, ::-1] if chance.random() < 0.5 else picture
    return mirrored * chance.uniform(0.7, 1.3) + chance.uniform(-0.1, 0.1)
