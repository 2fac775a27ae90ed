"""Translation: write in a new language, from a few example translations."""

from metalab.applications.base import Application
from metalab.baselines_translations import TRANSLATION_BASELINES
from metalab.chrf import judge_translations

APPLICATION = Application(
    name="translation",
    label="Translation",
    summary="Translate interface phrases and names into a new language, from a few examples.",
    metric="chrF",
    metric_help="Overlap of the characters written with those of the translation: 100 % is the same text.",
    sources=("catalogues", "pairs"),
    backbones=("translator",),
    baselines=TRANSLATION_BASELINES,
    judge=judge_translations,
    validated="chrF",
    defaults={
        "source": "catalogues",
        "backbone": "translator",
        "width": 96,
        "metalearner": "translate-choose",
        "episodes": "mixed",
        "image_size": 48,  # sub-words of a source
        "way": 1,
        "shot": 10,
        "query": 15,
        "pretrain_steps": 3500,
        "steps": 360,
        "meta_batch": 4,
        "lr": 2e-3,
        "validate_every": 60,
        "validation_tasks": 24,
    },
    unused=("way", "episodes", "rotations", "channels", "normalisation", "train_way", "train_query"),
    words={
        "shot": ("Examples", "Translated texts that a language is learnt from: K of K-shot."),
        "query": ("Query", "Other texts of the language, on which adaptation is judged."),
        "image_size": ("Longest text", "Sub-words of a text that are read at once."),
        "width": ("Width", "Numbers in the feature of a sub-word."),
        "pretrain_steps": (
            "Pre-training steps",
            "Steps of ordinary learning of all meta-train languages together, when no checkpoint fits.",
        ),
    },
    train_shapes=((1, 10, 8), (1, 50, 8), (1, 10, 8), (1, 200, 8)),
)
