"""One validated configuration: CLI flags, form fields and notebook arguments all come from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metalab.errors import ConfigError

Application = Literal[
    "image-classification",
    "segmentation",
    "detection",
    "summarisation",
    "translation",
    "question-answering",
    "speech-recognition",
    "product-recommendation",
    "ad-recommendation",
]
APPLICATIONS: tuple[str, ...] = get_args(Application)
"""The applications by name, in the order of lists."""
WRITERS: tuple[str, ...] = ("summarisation", "translation")
"""Those whose examples are pairs of texts, and whose outputs are texts."""
CLASSIFIERS: tuple[str, ...] = ("image-classification", "speech-recognition")
"""Those whose examples are pictures of one class each: of a spoken word, the picture of its spectrum."""
RECOMMENDERS: tuple[str, ...] = ("product-recommendation", "ad-recommendation")
"""Those whose examples are events: ratings of products, or clicks on advertisements."""
OWN_DATA = (
    *("omniglot", "image-folder", "annotated", "answered", "pairs", "recordings", "ratings", "clicks"),
)
"""Sources that need the path of their data."""
FORMAT = 1
"""Version of the configuration, run and checkpoint formats; raised when one changes incompatibly."""


def _field(default: Any, group: str, title: str, help: str, *, advanced: bool = False, **limits: Any) -> Any:
    extra = {"group": group, "advanced": advanced}
    return Field(default, title=title, description=help, json_schema_extra=extra, **limits)


class Config(BaseModel):
    """Everything that defines a run. Immutable; make changed copies with :meth:`replace`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    application: Application = _field(
        "image-classification", "Task", "Application", "What is learnt from few examples."
    )
    source: Literal[
        "glyphs",
        "digits",
        "omniglot",
        "image-folder",
        "scenes",
        "annotated",
        "documentation",
        "answered",
        "stories",
        "docstrings",
        "catalogues",
        "pairs",
        "spoken",
        "recordings",
        "shop",
        "movielens",
        "ratings",
        "campaigns",
        "movielens-clicks",
        "clicks",
    ] = _field(
        "glyphs",
        "Task",
        "Data source",
        "Where tasks come from. Images: embedded characters (glyphs), real digits (test only), Omniglot, own "
        "images. Masks and boxes: composed scenes, own annotated pictures (COCO, Pascal VOC, PNG masks). "
        "Questions: documentation of installed packages, stories, own answered questions (test only). Texts: "
        "docstrings and their summaries, catalogues of interface phrases and names, own pairs of texts "
        "(test only). Speech: made-up words spoken by a synthesiser, own recordings. "
        "Ratings: a made-up shop, MovieLens-100k where it is at hand, own ratings. Clicks: "
        "made-up campaigns, films of MovieLens in the place of advertisements, own impressions.",
    )
    data: Path | None = _field(
        None,
        "Task",
        "Data path",
        "Folder, zip or file of the data; needed by omniglot, image-folder, annotated, answered, pairs, "
        "recordings, "
        "ratings and clicks.",
    )
    leave_out: bool = _field(
        False,
        "Task",
        "Leave out what is faulty",
        "Of own annotated pictures, ratings and clicks: go on without what cannot be used, instead of "
        "stopping with a list.",
    )
    episodes: Literal["within", "mixed"] = _field(
        "within",
        "Task",
        "Classes of a task",
        "within: all classes of a task come from one alphabet (hard); mixed: from any alphabet of the split.",
    )
    way: int = _field(5, "Task", "Way", "Number of classes in a task.", ge=1, le=200)
    shot: int = _field(1, "Task", "Shot", "Labelled support examples per class.", ge=1, le=1000)
    query: int = _field(
        15, "Task", "Query", "Query examples per class, on which adaptation is judged.", ge=1, le=1000
    )
    rotations: bool = _field(
        True,
        "Task",
        "Rotations as classes",
        "In meta-training a character turned by 90, 180 or 270 degrees counts as a new class.",
        advanced=True,
    )
    image_size: int = _field(
        32,
        "Task",
        "Image size",
        "Images are resized to this square, in pixels.",
        advanced=True,
        ge=16,
        le=224,
    )
    channels: Literal[1, 3] = _field(
        1, "Task", "Channels", "1: greyscale drawings; 3: colour photos.", advanced=True
    )

    backbone: Literal[
        "conv4",
        "resnet12",
        "photo",
        "pyramid",
        "photo-pyramid",
        "reader",
        "translator",
        "summariser",
        "listener",
        "products",
        "adverts",
    ] = _field(
        "conv4",
        "Backbone",
        "Backbone",
        "The shared feature extractor, pre-trained before meta-learning. photo: EfficientNet-Lite0 with "
        "ImageNet weights, for colour photos. pyramid: a feature pyramid, for masks and boxes; "
        "photo-pyramid: one on EfficientNet-Lite0, for masks and boxes of photos. reader: convolutions and "
        "attention over words, for text. translator, summariser: read and write texts. listener: "
        "spoken words. products, adverts: "
        "codes and features of what is rated, or of who sees an advertisement.",
    )
    width: int = _field(
        64, "Backbone", "Width", "Channels of the first block.", advanced=True, ge=4, le=512, multiple_of=4
    )
    normalisation: Literal["running", "group", "batch"] = _field(
        "running",
        "Backbone",
        "Normalisation",
        "running: statistics kept from pre-training (inductive); group: per image (inductive); "
        "batch: statistics of the images at hand, query included (transductive).",
        advanced=True,
    )
    pretrain_steps: int = _field(
        2000,
        "Backbone",
        "Pre-training steps",
        "Steps of ordinary supervised classification over the meta-train classes, when no checkpoint fits.",
        advanced=True,
        ge=0,
        le=1_000_000,
    )
    pretrained: Path | Literal["auto", "none"] = _field(
        "auto",
        "Backbone",
        "Pre-trained weights",
        "auto: the shipped checkpoint if one fits, else pre-train; none: always pre-train; or a file.",
        advanced=True,
    )

    metalearner: str = _field(
        "protonet", "Meta-learner", "Meta-learner", "How the backbone is adjusted to a task."
    )
    options: dict[str, Any] = _field(
        {}, "Meta-learner", "Options", "Settings of the chosen meta-learner; unset ones take its defaults."
    )

    steps: int = _field(800, "Training", "Steps", "Meta-training steps (outer loop).", ge=1, le=10_000_000)
    meta_batch: int = _field(
        2, "Training", "Meta-batch", "Tasks per step, averaged into one update.", ge=1, le=4096
    )
    lr: float = _field(
        1e-3, "Training", "Learning rate", "Peak AdamW rate of the outer loop.", advanced=True, gt=0, le=1
    )
    weight_decay: float = _field(
        1e-4, "Training", "Weight decay", "AdamW weight decay.", advanced=True, ge=0, le=1
    )
    clip: float = _field(
        1.0, "Training", "Gradient clip", "Largest norm of the outer gradient.", advanced=True, gt=0
    )
    train_way: int | None = _field(
        None,
        "Training",
        "Training way",
        "Classes of a meta-training task; empty: 20, or as many as there are (harder tasks teach more).",
        advanced=True,
        ge=2,
        le=200,
    )
    train_query: int = _field(
        5,
        "Training",
        "Training query",
        "Query examples per class in meta-training.",
        advanced=True,
        ge=1,
        le=100,
    )
    validate_every: int = _field(
        100, "Training", "Validate every", "Steps between looks at meta-validation.", advanced=True, ge=1
    )
    validation_tasks: int = _field(
        100, "Training", "Validation tasks", "Fixed meta-validation tasks per look.", advanced=True, ge=2
    )
    patience: int = _field(
        10,
        "Training",
        "Patience",
        "Looks at meta-validation without a new best before training stops early.",
        advanced=True,
        ge=1,
    )
    test_tasks: int = _field(
        600, "Evaluation", "Test tasks", "Fixed held-out tasks of the evaluation table.", advanced=True, ge=2
    )
    seed: int = _field(0, "Training", "Seed", "Same seed, same result.", advanced=True, ge=0, le=2**31 - 1)
    device: str = _field(
        "auto",
        "Training",
        "Device",
        "auto, cpu, cuda, cuda:1, mps.",
        advanced=True,
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
    )
    strategy: Literal["auto", "loop", "threads", "replay", "vmap", "batched", "graph"] = _field(
        "auto",
        "Training",
        "Execution",
        "How the tasks of a batch are run; auto suits device, network and length of the run; graph: CUDA.",
        advanced=True,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        # The registries sit to the right of this module.
        from metalab.applications import application
        from metalab.metalearners import check_options, get_metalearner, metalearners

        suits = application(self.application)
        for name, known in (
            ("source", suits.sources),
            ("backbone", suits.backbones),
            ("metalearner", tuple(metalearners(suits.name))),
        ):
            if name == "metalearner":
                get_metalearner(self.metalearner)
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} does not suit {suits.name}, use {' or '.join(known)}"
                )
        if self.way < suits.least_way:
            raise ValueError(f"way: {suits.name} needs at least {suits.least_way} classes")
        if self.source in OWN_DATA and self.data is None:
            raise ValueError(f"data: source {self.source!r} needs the path of a folder, zip or file")
        coloured = ("image-folder", "scenes", "annotated")
        if self.channels == 3 and self.source not in coloured:
            raise ValueError(f"channels: source {self.source!r} is greyscale, only image-folder has colour")
        if "pyramid" in self.backbone and (self.channels != 3 or self.image_size % 16):
            raise ValueError(f"backbone: {self.backbone} needs 3 channels and an image size that 16 divides")
        if self.backbone == "photo" and (self.channels != 3 or self.image_size % 32):
            raise ValueError("backbone: photo needs 3 channels and an image size that 32 divides")
        check_options(self.metalearner, self.options)
        return self

    @classmethod
    def create(cls, **values: Any) -> Config:
        """Validate ``values``; raises :class:`ConfigError` naming the field and its allowed values.

        Unset ones take the application's defaults; with the photo backbone, images are in colour and of 192
        pixels.
        """
        from metalab.applications import applications

        if (suits := applications().get(values.get("application", ""))) is not None:
            values = {**suits.defaults, **values}
        if values.get("backbone") == "photo":
            values = {"channels": 3, "image_size": 192, **values}
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(*_explain(error)) from None

    def replace(self, **changes: Any) -> Config:
        """Return a validated copy with ``changes``."""
        return type(self).create(**{**self.model_dump(), **changes})

    @classmethod
    def load(cls, path: Path | str) -> Config:
        """Read a JSON configuration. Raises :class:`ConfigError`."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot be read ({error})", where=path, fix="Check the path.") from None

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Parse :meth:`to_json` output. Raises :class:`ConfigError`."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(*_explain(error)) from None

    def to_json(self) -> str:
        """Return the configuration as indented JSON."""
        return self.model_dump_json(indent=1)

    def save(self, path: Path | str) -> None:
        """Write :meth:`to_json` to ``path`` atomically. Raises :class:`StorageError`."""
        from metalab.storage import atomic_write

        atomic_write(Path(path), self.to_json().encode())


def _explain(error: ValidationError) -> tuple[str]:
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"][:1])
        message = item["msg"].removeprefix("Value error, ")
        given = "" if not name else f" (given: {item['input']!r})"
        if item["type"] == "extra_forbidden":
            message = f"unknown setting; known are {', '.join(Config.model_fields)}"
            given = ""
        lines.append(f"{name}: {message}{given}" if name else message)
    return ("; ".join(dict.fromkeys(lines)),)
