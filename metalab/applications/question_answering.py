"""Question answering: find the span that answers a new kind of question, from a few answered ones."""

from metalab.applications.base import Application
from metalab.baselines_text import ANSWER_BASELINES

APPLICATION = Application(
    name="question-answering",
    label="Question answering",
    summary="Find answers to a new kind of question in documentation, from a few answered ones.",
    metric="token F1",
    metric_help="Overlap of the words found with those of the answer: 100 % is the very span.",
    sources=("documentation", "stories", "answered"),
    backbones=("reader",),
    baselines=ANSWER_BASELINES,
    defaults={
        "source": "documentation",
        "backbone": "reader",
        "width": 128,
        "metalearner": "guided-spans",
        "episodes": "mixed",
        "image_size": 192,  # tokens of a window
        "way": 1,
        "shot": 5,
        "query": 5,
        "pretrain_steps": 1500,
        "steps": 600,
        "meta_batch": 2,
        "lr": 3e-4,
        "validate_every": 100,
        "validation_tasks": 120,
    },
    unused=("way", "episodes", "rotations", "channels", "normalisation", "train_way", "train_query"),
    words={
        "shot": ("Examples", "Answered questions that a task is learnt from: K of K-shot."),
        "query": ("Query", "Other questions of the task, on which adaptation is judged."),
        "image_size": ("Window", "Words and signs of a passage, and of its question, that are read at once."),
        "width": ("Width", "Numbers in the feature of a word."),
        "pretrain_steps": (
            "Pre-training steps",
            "Steps of ordinary supervised learning of all meta-train kinds of question, when no checkpoint "
            "fits.",
        ),
    },
    train_shapes=((1, 1, 5), (1, 5, 5), (1, 2, 6), (1, 10, 5)),
)
