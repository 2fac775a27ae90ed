"""Summarisation: write the summary of a text in a new style, from a few example summaries."""

from metalab.applications.base import Application
from metalab.baselines_summaries import SUMMARY_BASELINES
from metalab.rouge import judge_summaries

APPLICATION = Application(
    name="summarisation",
    label="Summarisation",
    summary="Sum up documentation in the style of a few examples.",
    metric="ROUGE-L",
    metric_help="Overlap of the words written with those of the summary, in order: 100 % is the same text.",
    sources=("docstrings", "pairs"),
    backbones=("summariser",),
    baselines=SUMMARY_BASELINES,
    judge=judge_summaries,
    validated="ROUGE-L",
    defaults={
        "source": "docstrings",
        "backbone": "summariser",
        "width": 64,
        "metalearner": "summarise-choose",
        "episodes": "mixed",
        "image_size": 128,  # sub-words of a source
        "way": 1,
        "shot": 5,
        "query": 10,
        "pretrain_steps": 600,
        "steps": 80,
        "meta_batch": 8,
        "lr": 2e-3,
        "validate_every": 40,
        "validation_tasks": 60,
    },
    unused=("way", "episodes", "rotations", "channels", "normalisation", "train_way", "train_query"),
    words={
        "shot": ("Examples", "Summaries that a style is learnt from: K of K-shot."),
        "query": ("Query", "Other texts, on which adaptation is judged."),
        "image_size": ("Longest text", "Sub-words of a text that are read at once."),
        "width": ("Width", "Numbers in the feature of a sub-word."),
        "pretrain_steps": (
            "Pre-training steps",
            "Steps of ordinary learning of all meta-train packages together, when no checkpoint fits.",
        ),
    },
    train_shapes=((1, 1, 5), (1, 5, 5), (1, 10, 5)),
)
