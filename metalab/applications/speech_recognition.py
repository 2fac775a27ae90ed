"""Speech recognition: tell new words from a few recordings of each."""

from metalab.applications.base import Application
from metalab.baselines_speech import SPEECH_BASELINES

APPLICATION = Application(
    name="speech-recognition",
    label="Speech recognition",
    summary="Tell new spoken words apart from a few recordings of each.",
    metric="accuracy",
    metric_help="Share of query recordings whose word is told rightly.",
    sources=("spoken", "recordings"),
    backbones=("listener",),
    baselines=SPEECH_BASELINES,
    least_way=2,
    defaults={
        "source": "spoken",
        "backbone": "listener",
        "width": 48,
        "image_size": 64,
        "metalearner": "word-film",
        "episodes": "mixed",
        "rotations": False,
        "way": 10,
        "shot": 1,
        "query": 5,
        "train_query": 3,
        "pretrain_steps": 250,
        "steps": 500,
        "meta_batch": 2,
        "lr": 1e-3,
        "validate_every": 100,
        "validation_tasks": 60,
    },
    unused=("rotations", "channels", "episodes", "image_size"),
    words={
        "way": ("Words", "Words of a task: N of N-way."),
        "shot": ("Examples", "Recordings of each word that it is learnt from: K of K-shot."),
        "query": ("Query", "Other recordings of each word, on which adaptation is judged."),
        "width": ("Width", "Channels of the listener's middle blocks."),
    },
    train_shapes=((20, 1, 3), (20, 5, 2), (20, 2, 3)),
)
