"""Translation: write in a new language, from a few example translations."""

from metalab.applications.base import Application

APPLICATION = Application(
    name="translation",
    label="Translation",
    summary="Translate interface phrases and names into a new language, from a few examples.",
    metric="chrF",
    metric_help="Overlap of the characters written with those of the translation: 100 % is the same text.",
    sources=("catalogues", "pairs"),
    backbones=("translator",),
    baselines=[],
    defaults={
        "source": "catalogues",
        "backbone": "translator",
        "width": 96,
        "metalearner": "translate-code",
        "episodes": "mixed",
        "image_size": 48,  # sub-words of a source
        "way": 1,
        "shot": 10,
        "query": 15,
        "pretrain_steps": 1500,
        "steps": 600,
        "meta_batch": 4,
        "lr": 3e-4,
        "validate_every": 100,
        "validation_tasks": 120,
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
    train_shapes=((1, 10, 10), (1, 50, 10), (1, 20, 10)),
)
