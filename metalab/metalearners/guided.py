"""A decoder that the support set guides, for masks and for boxes.

For each class of the task the same small network looks at the query picture's features beside what the
support set says of every place: attention over labelled support pixels (as in Space-Time Memory, Oh et al.
2019, equations 1-2, and CyCTR, Zhang et al. 2021), likeness to the class's prototype (PFENet's prior, Tian et
al. 2020, section 3.2), and the features weighed by that prototype (feature reweighting, Kang et al. 2019).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.pyramid import CHANNELS, enlarged
from metalab.boxes import box_targets
from metalab.metalearners.base import MetaLearner, State
from metalab.tasks import Examples

HEADS, KEY = 4, 32
"""Attention heads, and the channels of each."""
REDUCED, HIDDEN, FINE = 32, 64, 16
AT_ONCE = 4_000_000
"""Most attention weights of one head held at once; query pictures are taken a few at a time."""
DICE_SMOOTHING = 1.0
FOCUS = 2.0
"""Exponent of the focal loss (Lin et al. 2017, equation 4)."""


class Guided(MetaLearner):
    """What masks and boxes share: reading the support set, and a decoder run once for every class.

    Learnt across tasks, not adjusted to one by gradient: the support set enters as data.
    """

    extra = 0
    """Numbers a class that each support pixel passes on, besides its labels."""

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.key = nn.Conv2d(CHANNELS, HEADS * KEY, 1, bias=False)
        self.log_sharpness = nn.Parameter(torch.full((HEADS,), 2.3))
        self.plain, self.weighed = nn.Conv2d(CHANNELS, REDUCED, 1), nn.Conv2d(CHANNELS, REDUCED, 1)
        inputs = HEADS * (3 + self.extra) + 3 + 2 * REDUCED
        self.first = nn.Conv2d(inputs, HIDDEN, 3, padding=1)
        self.second = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.first_norm, self.second_norm = nn.GroupNorm(8, HIDDEN), nn.GroupNorm(8, HIDDEN)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``keys`` (heads, pixels, 32), ``values`` (pixels, 1 + way + extras) and ``prototypes``
        (1 + way, 64), the ground first."""
        level = self.backbone.levels(self.backbone.params(), support.x)[1]
        labels = self.labels(support, way, level)
        shares = _rows(labels[:, : way + 1]) * _pixel_weights(support, level)
        prototypes = shares.t() @ _rows(F.normalize(level, dim=1))
        return {
            "keys": self._keys(level),
            "values": torch.cat([shares, _rows(labels[:, way + 1 :])], 1),
            "prototypes": F.normalize(prototypes, dim=1),
        }

    def labels(self, support: Examples, way: int, level: Tensor) -> Tensor:
        """Return what each support pixel says (n, 1 + way + way * extra, h, w): shares of the ground and of
        each class, then the class's extras."""
        raise NotImplementedError

    def decode(self, hidden: Tensor, fine: Tensor) -> Tensor:
        """Return the outputs of one class from the decoder's map (n, 64, h, w) and the finer level."""
        raise NotImplementedError

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return what the decoder makes of each pixel at 1/4 of the side, (pixels, way * 64)."""
        hidden = [part for part, _ in self._hidden(state, x)]
        return torch.cat([_rows(part) for part in hidden], 1)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Not defined: pixels are decoded together. Use :meth:`predict`."""
        raise NotImplementedError("a decoder looks at whole pictures: use predict")

    def _hidden(self, state: State, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return for every class the decoder's map (n, 64, h, w) and the finer level (n, 64, 2h, 2w)."""
        fine, level = self.backbone.levels(self.backbone.params(), x)
        way = len(state["prototypes"]) - 1
        read = self._read(state, level)  # (n, heads, 1 + way + extras, h, w)
        shares = read[:, :, : way + 1]
        likeness = torch.einsum("nchw,kc->nkhw", F.normalize(level, dim=1), state["prototypes"])
        plain, found = self.plain(level), []
        for number in range(1, way + 1):
            rest = [other for other in range(1, way + 1) if other != number]
            rival = shares[:, :, rest].amax(2) if rest else torch.zeros_like(shares[:, :, 0])
            unlike = likeness[:, rest].amax(1, keepdim=True) if rest else torch.zeros_like(likeness[:, :1])
            prototype = state["prototypes"][number] * CHANNELS**0.5
            parts = [
                shares[:, :, number],
                rival,
                shares[:, :, 0],
                likeness[:, number : number + 1],
                unlike,
                likeness[:, :1],
                plain,
                self.weighed(level * prototype[:, None, None]),
            ]
            if self.extra:
                first = 1 + way + self.extra * (number - 1)
                passed = read[:, :, first : first + self.extra] / (shares[:, :, number, None] + 1e-3)
                parts.append(passed.flatten(1, 2))
            h = F.relu(self.first_norm(self.first(torch.cat(parts, 1))))
            h = h + F.relu(self.second_norm(self.second(h)))
            found.append((h, fine))
        return found

    def _keys(self, level: Tensor) -> Tensor:
        """Return unit keys (heads, pixels, 32)."""
        keys = self.key(level).unflatten(1, (HEADS, KEY)).permute(1, 0, 3, 4, 2).flatten(1, 3)
        return F.normalize(keys, dim=-1)

    def _read(self, state: State, level: Tensor) -> Tensor:
        """Return the values that each place reads from the support set: (n, heads, values, h, w)."""
        if torch.jit.is_tracing() or not torch.is_grad_enabled():
            # An export takes any number of pictures; without a gradient no weights are held.
            return self._attend(state, level)
        each = level.shape[2] * level.shape[3] * state["keys"].shape[1]
        read = [self._attend(state, part) for part in level.split(max(1, AT_ONCE // each))]
        return torch.cat(read)

    def _attend(self, state: State, level: Tensor) -> Tensor:
        n, _, height, width = level.shape
        sharpness = self.log_sharpness.exp()[:, None, None]
        asked, keys, values = self._keys(level) * sharpness, state["keys"], state["values"]
        if torch.jit.is_tracing() or torch.is_grad_enabled():
            read = (asked @ keys.transpose(1, 2)).softmax(-1) @ values
        else:
            read = _read_at_once(asked, keys, values)
        return read.view(HEADS, n, height, width, -1).permute(1, 0, 4, 2, 3)


def _read_at_once(asked: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return softmax(asked keys') values: (heads, places, k) of (heads, places, 32), (heads, pixels, 32) and
    (pixels, k). The fused kernel, three times as fast, wants values as wide as keys, and whole rows."""
    width = values.shape[1]
    asked, keys, values = asked[None].contiguous(), keys[None].contiguous(), F.pad(values, (0, -width % KEY))
    parts = [
        F.scaled_dot_product_attention(asked, keys, part.contiguous().expand(1, HEADS, -1, -1), scale=1.0)[0]
        for part in values.split(KEY, 1)
    ]
    return torch.cat(parts, -1)[..., :width]


class GuidedMasks(Guided):
    """Masks: two outputs a class at half the side, enlarged; trained by cross-entropy and Dice loss."""

    application = "segmentation"
    name, label, order = "guided-masks", "Guided decoder", 30
    summary = "A small decoder reads the labelled pixels and paints the new picture. The strongest here."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.fine = nn.Conv2d(CHANNELS, FINE, 1)
        self.third = nn.Conv2d(HIDDEN + FINE, REDUCED, 3, padding=1)
        self.out = nn.Conv2d(REDUCED, 1, 1)
        say_nothing(self.out)

    def labels(self, support: Examples, way: int, level: Tensor) -> Tensor:
        """Return the share of each class in each pixel of ``level``."""
        return mask_shares(support.y, way, level.shape[2:])

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits (n, 1 + way, height, width), the ground first, of pictures ``x``."""
        logits = []
        for hidden, fine in self._hidden(state, x):
            h = F.relu(self.third(torch.cat([enlarged(hidden), self.fine(fine)], 1)))
            logits.append(self.out(h))
        outputs = torch.cat([torch.zeros_like(logits[0]), *logits], 1)
        return F.interpolate(outputs, x.shape[2:], mode="bilinear", align_corners=False)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query pictures' masks and the logits."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return mask_loss(outputs, query.y), outputs


class GuidedBoxes(Guided):
    """Boxes: a score and four distances at every place and class (FCOS), trained by focal and IoU loss.

    Each support pixel also passes on where in its box it lies, so places vote for the box around them.
    """

    application = "detection"
    name, label, order = "guided-boxes", "Guided decoder", 30
    summary = "A small decoder reads the labelled boxes and finds such objects in the new picture."
    extra = 4

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.out = nn.Conv2d(HIDDEN, 5, 1)
        say_nothing(self.out)

    def labels(self, support: Examples, way: int, level: Tensor) -> Tensor:
        """Return how far inside a box of each class each pixel lies, and the sides of that box around it."""
        inside, _, sides = box_targets(support.y, way, *level.shape[2:])
        ground = 1 - inside.amax(1, keepdim=True)
        extras = sides.clamp(min=0, max=64).add(1).log() * (inside > 0)[:, :, None] * inside[:, :, None]
        return torch.cat([ground, inside, extras.flatten(1, 2)], 1)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return (n, way, 5, h, w), as :func:`metalab.boxes.decode_boxes` takes it."""
        return torch.stack([self.out(hidden) for hidden, _ in self._hidden(state, x)], 1)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query pictures' boxes and the outputs."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return box_loss(outputs, query.y), outputs


def say_nothing(layer: nn.Conv2d) -> None:
    """Let ``layer`` say "nothing here" at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.bias[0] = -2.0


def _rows(maps: Tensor) -> Tensor:
    """Return maps (n, c, h, w) as pixels (n * h * w, c)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _pixel_weights(support: Examples, level: Tensor) -> Tensor:
    """Return the weight of each support pixel (pixels, 1): 0 in pictures that are padding."""
    if support.mask is None:
        return level.new_ones(1, 1)
    return support.mask.to(level.dtype).repeat_interleave(level.shape[2] * level.shape[3])[:, None]


def mask_shares(masks: Tensor, way: int, side: tuple[int, int]) -> Tensor:
    """Return the share of the ground and of each class in every pixel (n, 1 + way, *side) of ``masks``
    (n, height, width); pixels of -1 count as nothing."""
    known = masks[:, None] == torch.arange(way + 1, device=masks.device)[:, None, None]
    return F.adaptive_avg_pool2d(known.float(), side)


def mask_loss(outputs: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus the mean Dice loss of the classes (Milletari et al. 2016, section 3)."""
    way = outputs.shape[1] - 1
    cross = F.cross_entropy(outputs, masks, ignore_index=-1)
    truth = mask_shares(masks, way, masks.shape[1:])
    chances = outputs.softmax(1) * (masks >= 0)[:, None]
    both = (chances * truth).sum((0, 2, 3))[1:]
    total = (chances + truth).sum((0, 2, 3))[1:]
    return cross + (1 - (2 * both + DICE_SMOOTHING) / (total + DICE_SMOOTHING)).mean()


def box_loss(outputs: Tensor, boxes: Tensor) -> Tensor:
    """Return focal loss of the scores plus, in the cores of boxes, 1 - IoU (FCOS, equation 2)."""
    way = outputs.shape[1]
    inside, core, sides = box_targets(boxes, way, *outputs.shape[3:])
    target = torch.where(core, 1.0, 0.0)
    ignored = (inside > 0) & ~core  # neither the centre nor the ground
    cross = F.binary_cross_entropy_with_logits(outputs[:, :, 0], target, reduction="none")
    miss = (target - outputs[:, :, 0].sigmoid()).abs().pow(FOCUS)
    number = core.sum().clamp(min=1)
    focal = (cross * miss * ~ignored).sum() / number
    ours = outputs[:, :, 1:].clamp(max=6).exp()
    theirs = sides.clamp(min=1e-3)
    low, high = torch.minimum(ours, theirs), torch.maximum(ours, theirs)
    both = (low[:, :, 0] + low[:, :, 2]) * (low[:, :, 1] + low[:, :, 3])
    areas = [(part[:, :, 0] + part[:, :, 2]) * (part[:, :, 1] + part[:, :, 3]) for part in (ours, theirs)]
    around = (high[:, :, 0] + high[:, :, 2]) * (high[:, :, 1] + high[:, :, 3])
    union = areas[0] + areas[1] - both
    generalised = both / union - (around - union) / around
    return focal + ((1 - generalised) * core).sum() / number
