"""The embedded source: characters of the fonts inside matplotlib's wheel, drawn anew each time.

Each character is reduced to its pen line once (a field of distances to its skeleton, cached); a drawing
is that field seen through a random affine map, an elastic deformation, a stroke width and ink noise, so a
class has unlimited examples. Splits are by script; look-alikes of a held-out character, turned or not, are
left out of meta-train, and so is everything that is a digit (the digits source tests the carry-over).
"""

from __future__ import annotations

import contextlib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from metalab.data.sampling import check_groups, choose_classes, digests, episode, largest_way
from metalab.errors import MetalabError
from metalab.storage import atomic_write, home
from metalab.tasks import SPLITS, Split, TaskBatch, TaskShape

FIELD = 48
"""Side of a stored distance field, in pixels."""
BOX = 36
"""The longer side of a character inside its field."""
STEP = 1 / 16
"""Distance per stored unit, in field pixels (8 bits reach 16 pixels)."""
CACHE_VERSION = 3

FONTS = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSansMono",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
)
SCRIPTS: dict[Split, tuple[str, ...]] = {
    "train": (
        "Latin",
        "Greek",
        "Cyrillic",
        "Arabic",
        "Canadian Aboriginal",
        "Lisu",
        "Coptic",
        "Old Italic",
        "Mathematical symbols",
        "Technical symbols",
        "Arrows",
        "Other symbols",
    ),
    "validation": ("Georgian", "Lao"),
    "test": ("Armenian", "Hebrew", "Nko", "Tifinagh"),
}
_BLOCKS = {
    "Mathematical": "Mathematical symbols",
    "Supplemental Mathematical": "Mathematical symbols",
    "Miscellaneous Mathematical": "Mathematical symbols",
    "Miscellaneous Technical": "Technical symbols",
    "Arrows": "Arrows",
    "Supplemental Arrows": "Arrows",
    "Miscellaneous Symbols": "Other symbols",
    "Geometric Shapes": "Other symbols",
    "Currency": "Other symbols",
    "Letterlike": "Other symbols",
    "Dingbats": "Other symbols",
    "Spacing Modifier": "Other symbols",
}


@dataclass(frozen=True)
class Glyphs:
    """All characters: ``fields`` (n_drawings, 48, 48) uint8 distances; ``first`` and ``count`` (n_classes,)
    say which drawings belong to a class; ``character`` and ``script`` name it."""

    fields: Tensor
    first: Tensor
    count: Tensor
    characters: list[str]
    scripts: list[str]

    def classes(self, split: Split) -> dict[str, list[int]]:
        """Map each script of ``split`` to its class ids."""
        groups: dict[str, list[int]] = {script: [] for script in SCRIPTS[split]}
        for number, script in enumerate(self.scripts):
            if script in groups:
                groups[script].append(number)
        return {script: ids for script, ids in groups.items() if ids}


def load_glyphs() -> Glyphs:
    """Read the cached characters, rendering them first if need be (a few seconds, once).

    A cache that cannot be written is no error: the characters are then rendered in memory.
    """
    import matplotlib

    path = home() / "cache" / f"glyphs-{CACHE_VERSION}-{matplotlib.__version__}.safetensors"
    try:
        return _unpack(load_tensors(path.read_bytes()))
    except Exception:  # absent or damaged: make it anew
        glyphs = render_glyphs()
    with contextlib.suppress(MetalabError):
        atomic_write(path, save_tensors(_pack(glyphs)))
    return glyphs


def render_glyphs() -> Glyphs:
    """Render every usable character of the fonts, in one style per font that has it."""
    import matplotlib
    from PIL import ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    wanted: dict[int, list[str]] = {}
    for name in FONTS:
        for code in _codes(folder / f"{name}.ttf"):
            wanted.setdefault(code, []).append(name)
    fonts = {name: ImageFont.truetype(str(folder / f"{name}.ttf"), 64) for name in FONTS}
    jobs = [
        (code, font)
        for code in sorted(wanted)
        if script_of(chr(code)) is not None
        for font in wanted[code][:3]
    ]
    drawn = [_draw(chr(code), fonts[font]) for code, font in jobs]
    with ThreadPoolExecutor() as pool:
        fields = list(pool.map(_distance_field, drawn))
    styles: dict[str, list[np.ndarray]] = {}
    shapes: dict[str, np.ndarray] = {}
    for (code, _), mask, field in zip(jobs, drawn, fields, strict=True):
        if field is not None:
            styles.setdefault(chr(code), []).append(field)
            shapes.setdefault(chr(code), mask)
    characters = _distinct(styles, shapes)
    counts = torch.tensor([len(styles[character]) for character in characters])
    return Glyphs(
        torch.from_numpy(np.stack([field for character in characters for field in styles[character]])),
        counts.cumsum(0) - counts,
        counts,
        characters,
        [script_of(character) or "" for character in characters],
    )


def script_of(character: str) -> str | None:
    """Return the alphabet that ``character`` belongs to here, or None if it is not used."""
    from fontTools import unicodedata as scripts

    category = unicodedata.category(character)
    decomposition = unicodedata.decomposition(character)
    is_number = category[0] == "N" or unicodedata.numeric(character, None) is not None
    if category[0] not in "LS" or is_number or decomposition:
        return None
    script = scripts.script(character)
    if script != "Zyyy":
        name = scripts.script_name(script)
        return name if any(name in names for names in SCRIPTS.values()) else None
    block = scripts.block(character)
    return next((name for prefix, name in _BLOCKS.items() if block.startswith(prefix)), None)


def _codes(path: Path) -> list[int]:
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        return sorted(font.getBestCmap())


def _draw(character: str, font: object) -> np.ndarray | None:
    """Return a character as a filled mask (48, 48) bool, centred, its longer side 36 pixels."""
    from PIL import Image

    mask = font.getmask(character, mode="L")  # type: ignore[attr-defined]
    if not mask.size[0] or not mask.size[1]:
        return None
    image = Image.frombytes("L", mask.size, bytes(mask))
    box = image.getbbox()
    if box is None:
        return None
    image = image.crop(box)
    scale = BOX / max(image.size)
    width, height = (max(2, round(side * scale)) for side in image.size)
    canvas = Image.new("L", (FIELD, FIELD))
    canvas.paste(
        image.resize((width, height), Image.Resampling.BILINEAR),
        ((FIELD - width) // 2, (FIELD - height) // 2),
    )
    return np.asarray(canvas) > 110


def _distance_field(mask: np.ndarray | None) -> np.ndarray | None:
    """Return distances to the pen line (48, 48) uint8, or None if the shape is no line drawing."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    if mask is None or mask.sum() < 20:
        return None
    skeleton = skeletonize(mask)
    if skeleton.sum() < 10 or mask.sum() > 9 * skeleton.sum():  # a blob: mean stroke over nine pixels
        return None
    distance = distance_transform_edt(~skeleton)
    return np.clip(np.rint(distance / STEP), 0, 255).astype(np.uint8)


def _distinct(styles: dict[str, list[np.ndarray]], shapes: dict[str, np.ndarray]) -> list[str]:
    """Drop doubles inside a script, and from meta-train whatever resembles a held-out character."""
    codes = {character: _code(styles[character][0]) for character in styles}
    by_script: dict[str, list[str]] = {}
    for character in styles:
        by_script.setdefault(script_of(character) or "", []).append(character)
    kept: dict[Split, list[str]] = {}
    for split in SPLITS:
        kept[split] = []
        for script in SCRIPTS[split]:
            chosen: list[str] = []
            for character in by_script.get(script, []):
                if (
                    not chosen
                    or _likeness(codes[character], np.stack([codes[c] for c in chosen])).max() < 0.97
                ):
                    chosen.append(character)
            kept[split] += chosen
    for split, others in (("validation", ["test"]), ("train", ["validation", "test"])):
        held = np.stack([codes[character] for other in others for character in kept[other]])
        turned = np.concatenate([np.rot90(held, k, axes=(1, 2)) for k in range(4)])
        kept[split] = [c for c in kept[split] if _likeness(codes[c], turned).max() < 0.93]
    return [character for split in SPLITS for character in kept[split]]


def _code(field: np.ndarray) -> np.ndarray:
    """Return a blurred pen line of unit norm (48, 48), for comparing shapes."""
    soft = np.exp(-0.5 * (field.astype(np.float32) * STEP / 1.8) ** 2)
    return soft / np.linalg.norm(soft)


def _likeness(code: np.ndarray, others: np.ndarray) -> np.ndarray:
    return others.reshape(len(others), -1) @ code.ravel()


def _pack(glyphs: Glyphs) -> dict[str, Tensor]:
    text = "\n".join(f"{c}\t{s}" for c, s in zip(glyphs.characters, glyphs.scripts, strict=True))
    names = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return {"fields": glyphs.fields, "first": glyphs.first, "count": glyphs.count, "names": names}


def _unpack(tensors: dict[str, Tensor]) -> Glyphs:
    rows = [line.split("\t") for line in bytes(tensors["names"].numpy()).decode().split("\n")]
    characters, scripts = ([row[i] for row in rows] for i in (0, 1))
    return Glyphs(tensors["fields"], tensors["first"], tensors["count"], characters, scripts)


class GlyphSource:
    """Tasks of freshly drawn characters. A class id is ``4 * character + quarter turns``."""

    name = "glyphs"
    channels = 1
    endless = True

    def __init__(
        self,
        size: int = 32,
        episodes: str = "within",
        rotations: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size, self.episodes, self.rotations = size, episodes, rotations
        self.device = torch.device(device)
        self.glyphs = load_glyphs()
        self._fields = self.glyphs.fields.to(self.device)
        self._first, self._count = self.glyphs.first.to(self.device), self.glyphs.count.to(self.device)
        self._ids = {
            split: {script: self._turned(ids, split) for script, ids in self.glyphs.classes(split).items()}
            for split in SPLITS
        }
        upright = [i for ids in self._ids["train"].values() for i in ids if i % 4 == 0]
        self._train = torch.tensor(upright, device=self.device)

    def _turned(self, ids: list[int], split: Split) -> list[int]:
        turns = 4 if self.rotations and split == "train" else 1
        return [4 * number + turn for number in ids for turn in range(turns)]

    @property
    def n_train_classes(self) -> int:
        """Number of classes to pre-train on: every meta-train character, upright.

        Turned characters serve meta-training alone: told apart in one classifier, they made the features
        worse (meta-validation, nearest centroid, 5-way 1-shot: 48 % against 86 %).
        """
        return len(self._train)

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Map each script of ``split`` to its class ids."""
        return self._ids[split]

    def class_names(self, split: Split) -> dict[int, str]:
        """Name classes by their character, with the angle if it is turned."""
        return {i: self.class_name(i) for ids in self._ids[split].values() for i in ids}

    def class_name(self, class_id: int) -> str:
        """Return e.g. "Ա" or "Ж 90°"."""
        character, turn = self.glyphs.characters[class_id // 4], class_id % 4
        return character if not turn else f"{character} {90 * turn}°"

    def largest_way(self, split: Split) -> int:
        """Return the most classes that a task of ``split`` can have."""
        return largest_way(self._ids[split], self.episodes)

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if no alphabet of ``split`` has enough characters."""
        check_groups(self._ids[split], shape.way, f"glyphs, {split} split", self.episodes)

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks; images (n_tasks, way * n, 1, size, size) in 0..1."""
        groups = [torch.tensor(ids) for ids in self._ids[split].values()]
        if self.episodes == "mixed":
            groups = [torch.cat(groups)]
        classes = choose_classes(groups, n_tasks, shape.way, generator)
        per_class = shape.shot + shape.query
        ids = classes.unsqueeze(-1).expand(-1, -1, per_class).reshape(-1)
        images = self.draw(ids, generator).view(n_tasks, shape.way, per_class, 1, self.size, self.size)
        return episode(images, classes, shape)

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` images (n, 1, size, size) and class numbers (n,) from meta-train, upright."""
        labels = torch.randint(len(self._train), (n,), device=self.device, generator=generator)
        return self.draw(self._train[labels], generator), labels

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each character of ``split`` to digests of its pen lines, one a font that has it."""
        return {
            self.glyphs.characters[number]: digests(
                self.glyphs.fields.narrow(0, int(self.glyphs.first[number]), int(self.glyphs.count[number]))
            )
            for ids in self.glyphs.classes(split).values()
            for number in ids
        }

    def draw(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each class id (n,) once, differently each time: (n, 1, size, size) in 0..1."""
        n, size = len(ids), self.size

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(n, *shape, device=self.device, generator=generator)

        def normal(*shape: int) -> Tensor:
            return torch.randn(n, *shape, device=self.device, generator=generator)

        character, turn = ids // 4, (ids % 4).float()
        style = (uniform(0, 1) * self._count[character]).long()
        fields = self._fields[self._first[character] + style].unsqueeze(1).float() * STEP
        # Affine map from drawing to field coordinates, both in -1..1: turn, shear, scale, shift.
        angle = turn * (torch.pi / 2) + 0.17 * normal().clamp(-2, 2)
        scale = uniform(0.8, 1.3)
        stretch, shear = torch.exp(0.12 * normal()), 0.15 * normal()
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        row_x = torch.stack([cos * stretch, (cos * shear - sin) / stretch, uniform(-0.12, 0.12)], -1)
        row_y = torch.stack([sin * stretch, (sin * shear + cos) / stretch, uniform(-0.12, 0.12)], -1)
        grid = F.affine_grid(torch.stack([row_x, row_y], 1), [n, 1, size, size], align_corners=False)
        # Elastic deformation: coarse random shifts, smoothly interpolated.
        bend = F.interpolate(0.07 * normal(2, 5, 5), size=(size, size), mode="bicubic", align_corners=True)
        grid = grid + bend.movedim(1, -1)
        distance = F.grid_sample(fields, grid, padding_mode="border", align_corners=False)
        # Pen: half-width in field pixels, a soft edge, uneven pressure, paper noise.
        pressure = F.interpolate(normal(1, 4, 4), size=(size, size), mode="bilinear", align_corners=True)
        half_width = torch.exp(uniform(-0.4, 1.0, 1, 1, 1)) + 0.2 * pressure
        edge = FIELD / size / scale.view(n, 1, 1, 1)
        ink = torch.sigmoid(3.0 * (half_width - distance) / edge)
        return (ink * uniform(0.75, 1.0, 1, 1, 1) + 0.03 * normal(1, size, size)).clamp(0, 1)
