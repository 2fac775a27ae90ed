"""Ad recommendation: who will click a new campaign's advertisement, from its first impressions."""

from metalab.applications.base import Application
from metalab.baselines_adverts import ADVERT_BASELINES, ADVERT_FITTED
from metalab.outcomes import judge_clicks

APPLICATION = Application(
    name="ad-recommendation",
    label="Ad recommendation",
    summary="Learn from a campaign's first impressions who will click.",
    metric="AUC",
    metric_help="How often an impression that is clicked is put above one that is not: 50 % is guessing.",
    sources=("campaigns", "movielens-clicks", "clicks"),
    backbones=("adverts",),
    baselines=ADVERT_BASELINES,
    fitted=ADVERT_FITTED,
    judge=judge_clicks,
    validated="mean probability of what happened",
    defaults={
        "source": "campaigns",
        "backbone": "adverts",
        "width": 16,
        "metalearner": "set-clicks",
        "episodes": "mixed",
        "way": 1,
        "shot": 100,
        "query": 300,
        "pretrain_steps": 600,
        "steps": 200,
        "meta_batch": 32,
        "lr": 1e-3,
        "validate_every": 50,
        "validation_tasks": 60,
    },
    unused=(
        "way",
        "episodes",
        "rotations",
        "channels",
        "normalisation",
        "image_size",
        "train_way",
        "train_query",
    ),
    words={
        "shot": ("Impressions", "First impressions of a campaign that it is learnt from: K of K-shot."),
        "query": ("Query", "Later impressions, at most, on which adaptation is judged."),
        "width": ("Width", "Numbers in the feature of an impression."),
        "pretrain_steps": ("Pre-training steps", "Steps of factorisation over the meta-train campaigns."),
    },
    train_shapes=((1, 20, 300), (1, 100, 300), (1, 400, 300)),
)
