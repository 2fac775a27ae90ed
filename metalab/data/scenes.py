"""Composed scenes: objects of a few classes and distractors on textured grounds, with exact masks and boxes.

The embedded source of tasks for segmentation and detection.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.data.sampling import check_groups, choose_classes, digests
from metalab.data.sprites import sprites
from metalab.tasks import Examples, Split, TaskBatch, TaskShape

SLOTS = 4
"""Most objects in a scene, each near a corner of its own."""
SCALE = (0.3, 0.6)
"""Side of an object as a share of the scene's."""
TILT = math.pi / 5
VISIBLE = 0.25
"""Share of an object that must be seen for it to count as an instance."""
BOX_FIELDS = 5
"""Of a box in a target: class in 0..way-1 or -1 for none, then x1, y1, x2, y2 in pixels, ends exclusive."""
GROUND_OCTAVES = (2, 4, 8, 16, 32)


class SceneSource:
    """Tasks over scenes (3, size, size) that are drawn anew each time.

    ``target`` "masks": ``y`` (n, size, size) int64, 0 for the ground and distractors, 1..way for the classes.
    "boxes": ``y`` (n, 4, 5) float, see :data:`BOX_FIELDS`.
    """

    name, channels, endless = "scenes", 3, True

    def __init__(
        self, size: int, target: Literal["masks", "boxes"], device: torch.device | str = "cpu"
    ) -> None:
        self.size, self.target = size, target
        held = sprites()
        self._pixels, self._names, self._splits = held.pixels.to(device), held.names, held.splits
        self._train = torch.tensor(held.splits["train"], device=device)

    @property
    def n_train_classes(self) -> int:
        """Number of classes of objects in meta-train."""
        return len(self._train)

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the class ids of ``split``, all in one group."""
        return {"objects": self._splits[split]}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the classes of ``split``."""
        return {i: self._names[i] for i in self._splits[split]}

    def class_name(self, class_id: int) -> str:
        """Return the name of an object."""
        return self._names[class_id]

    def largest_way(self, split: Split) -> int:
        """Return the most classes that a task of ``split`` can have; distractors need some as well."""
        return len(self._splits[split]) // 2

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if ``split`` has too few classes."""
        check_groups({"objects": self._splits[split][::2]}, shape.way, f"scenes, {split} split", "mixed")

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks: scene i of class c shows an object of c, and others with and without label.

        Images (n_tasks, way * n, 3, size, size), class after class.
        """
        per_class, pool = shape.shot + shape.query, torch.tensor(self._splits[split])
        classes = choose_classes([pool], n_tasks, shape.way, generator)
        own = classes[:, :, None].expand(-1, -1, per_class).reshape(n_tasks, -1)
        objects = self._objects(own, classes, pool.to(own.device), generator)
        images, owner = self.render(self.cast(objects, shape, generator).flatten(0, 1), generator)
        task = (objects[..., None] == classes[:, None, None, :]).float()  # (tasks, scenes, slots, way)
        labels = torch.where(task.any(-1), task.argmax(-1), -1).flatten(0, 1)
        y = self._masks(owner, labels) if self.target == "masks" else self._boxes(owner, labels)
        lead = (n_tasks, shape.way, per_class)
        images, y = images.view(*lead, *images.shape[1:]), y.view(*lead, *y.shape[1:])
        parts = [
            Examples(images[:, :, part].flatten(1, 2), y[:, :, part].flatten(1, 2))
            for part in (slice(shape.shot), slice(shape.shot, None))
        ]
        return TaskBatch(*parts, shape.way, classes)

    def cast(self, objects: Tensor, shape: TaskShape, generator: torch.Generator) -> Tensor:
        """Return what is drawn for classes ``objects`` (tasks, scenes, slots): here each is one object."""
        return objects

    def labelled_scenes(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` meta-train scenes with, per pixel (n, size, size), 0 or 1 + the number of the class."""
        number = torch.randint(
            self.n_train_classes, (n, SLOTS), device=self._train.device, generator=generator
        )
        number[:, 1:] = torch.where(self._chance((n, SLOTS - 1), generator) < 0.6, number[:, 1:], -1)
        objects = torch.where(number < 0, -1, self._train[number.clamp(min=0)])
        images, owner = self.render(objects, generator)
        return images, self._masks(owner, number)

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` meta-train scenes of one object each, with class numbers (n,)."""
        number = torch.randint(self.n_train_classes, (n,), device=self._train.device, generator=generator)
        return self.draw(self._train[number], generator), number

    def draw(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Return a scene (n, 3, size, size) of one object of each class id (n,)."""
        return self.render(ids[:, None], generator)[0]

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each class of ``split`` to the digest of its object."""
        ids = self._splits[split]
        return {self._names[i]: [found] for i, found in zip(ids, digests(self._pixels[ids]), strict=True)}

    def _objects(self, own: Tensor, classes: Tensor, pool: Tensor, generator: torch.Generator) -> Tensor:
        """Choose what stands in the slots (tasks, scenes, 4) of scenes of class ``own`` (tasks, scenes)."""
        shape = (*own.shape, SLOTS - 1)
        kind = self._chance(shape, generator)
        other = pool[torch.randint(len(pool), shape, device=own.device, generator=generator)]
        again = torch.randint(classes.shape[1], shape, device=own.device, generator=generator)
        task = classes[:, None, None, :].expand(*shape, -1).gather(-1, again[..., None])[..., 0]
        rest = torch.where(kind < 0.45, other, torch.where(kind < 0.65, task, -1))
        objects = torch.cat([own[..., None], rest], dim=-1)
        order = self._chance(objects.shape, generator).argsort(-1)
        return objects.gather(-1, order)

    def render(self, objects: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw scenes of ``objects`` (n, slots), -1 for none, later slots in front.

        Returns images (n, 3, size, size) in 0..1 and the slot that is seen at each pixel (n, size, size), -1
        for the ground.
        """
        n, slots = objects.shape
        grid = F.affine_grid(self._places(n, slots, generator), [n * slots, 1, self.size, self.size], False)
        drawn = F.grid_sample(self._pixels[objects.clamp(min=0).flatten()], grid, align_corners=False)
        drawn = drawn.view(n, slots, 4, self.size, self.size) * (objects >= 0)[..., None, None, None]
        tint = 0.8 + 0.4 * self._chance((n, slots, 3, 1, 1), generator)
        colour, alpha = drawn[:, :, :3] * tint, drawn[:, :, 3:]
        image = self._ground(n, generator)
        owner = torch.full((n, self.size, self.size), -1, device=objects.device)
        for slot in range(slots):
            image = image * (1 - alpha[:, slot]) + colour[:, slot]
            owner = torch.where(alpha[:, slot, 0] > 0.5, slot, owner)
        slope = self._chance((n, 2, 1, 1), generator) - 0.5
        axis = torch.linspace(-0.5, 0.5, self.size, device=objects.device)
        light = 0.75 + 0.4 * self._chance((n, 1, 1, 1), generator)
        light = light + slope[:, :1] * axis[:, None] + slope[:, 1:] * axis
        noise = torch.randn(image.shape, device=objects.device, generator=generator)
        return (image * light + 0.02 * noise).clamp(0, 1), owner

    def _places(self, n: int, slots: int, generator: torch.Generator) -> Tensor:
        """Return affine maps (n * slots, 2, 3) from the scene to the object's square, both from -1 to 1."""
        scale = SCALE[0] + (SCALE[1] - SCALE[0]) * self._chance((n, slots), generator)
        wide = 0.85 + 0.3 * self._chance((n, slots), generator)
        angle = TILT * (2 * self._chance((n, slots), generator) - 1)
        flip = torch.where(self._chance((n, slots), generator) < 0.5, -1.0, 1.0)
        corner = self._chance((n, SLOTS), generator).argsort(-1)[:, :slots]
        centre = torch.stack([corner % 2, corner // 2], -1) * 0.9 - 0.45
        centre = (centre + 0.5 * (self._chance((n, slots, 2), generator) - 0.5)).clamp(-0.7, 0.7)
        cos, sin = angle.cos() / scale, angle.sin() / scale
        turn = torch.stack([cos * flip * wide, sin * flip * wide, -sin, cos], -1).view(n, slots, 2, 2)
        shift = -turn @ centre[..., None]
        return torch.cat([turn, shift], -1).flatten(0, 1)

    def _ground(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw textured grounds (n, 3, size, size): noise of several widths, each with its own strength."""
        ground = self._chance((n, 3, 1, 1), generator)
        for octave in GROUND_OCTAVES:
            noise = self._chance((n, 1, octave, octave), generator) - 0.5  # light and dark, and some colour
            noise = noise + 0.6 * (self._chance((n, 3, octave, octave), generator) - 0.5)
            strength = self._chance((n, 1, 1, 1), generator).square()
            wide = F.interpolate(noise, (self.size, self.size), mode="bilinear", align_corners=False)
            ground = ground + strength * wide
        return ground.clamp(0, 1)

    def _masks(self, owner: Tensor, labels: Tensor) -> Tensor:
        """Return 0 or 1 + the label of the slot at each pixel (n, size, size); labels (n, slots) or -1."""
        table = torch.cat([labels + 1, torch.zeros_like(labels[:, :1])], dim=1)  # -1 reads the last
        return table.gather(1, (owner % table.shape[1]).flatten(1)).view_as(owner)

    def _boxes(self, owner: Tensor, labels: Tensor) -> Tensor:
        """Return the boxes (n, slots, 5) of the labelled objects that are seen well enough."""
        slots = labels.shape[1]
        seen = owner[:, None] == torch.arange(slots, device=owner.device)[:, None, None]
        across, down = seen.any(2), seen.any(3)
        place = torch.arange(self.size, device=owner.device)

        def ends(held: Tensor) -> tuple[Tensor, Tensor]:
            first = torch.where(held, place, self.size).amin(-1)
            return first, torch.where(held, place, -1).amax(-1) + 1

        (x1, x2), (y1, y2) = ends(across), ends(down)
        area = seen.flatten(2).sum(-1)
        kept = (labels >= 0) & (area >= VISIBLE * (SCALE[0] * self.size) ** 2)
        boxes = torch.stack([torch.where(kept, labels, -1), x1, y1, x2, y2], -1).float()
        return torch.where(kept[..., None], boxes, boxes.new_tensor([-1.0, 0, 0, 0, 0]))

    def _chance(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, device=generator.device, generator=generator)
