"""Product recommendation: what a new user will like, from a few ratings."""

from metalab.applications.base import Application
from metalab.baselines_products import PRODUCT_BASELINES, PRODUCT_FITTED
from metalab.outcomes import judge_ratings

APPLICATION = Application(
    name="product-recommendation",
    label="Product recommendation",
    summary="Learn a new user's taste from a few ratings.",
    metric="NDCG@5",
    metric_help="Are the best rated of the user's other products on top? 100 %: the first five are.",
    sources=("shop", "movielens", "ratings"),
    backbones=("products",),
    baselines=PRODUCT_BASELINES,
    fitted=PRODUCT_FITTED,
    judge=judge_ratings,
    validated="exp(-squared error)",
    defaults={
        "source": "shop",
        "backbone": "products",
        "width": 24,
        "metalearner": "set-taste",
        "episodes": "mixed",
        "way": 1,
        "shot": 10,
        "query": 50,
        "pretrain_steps": 800,
        "steps": 600,
        "meta_batch": 32,
        "lr": 1e-3,
        "validate_every": 50,
        "validation_tasks": 300,
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
        "shot": ("Ratings", "Ratings of a user that the taste is learnt from: K of K-shot."),
        "query": ("Query", "Other ratings of the user, at most, on which adaptation is judged."),
        "width": ("Width", "Numbers in the feature of a product."),
        "pretrain_steps": ("Pre-training steps", "Steps of matrix factorisation over the meta-train users."),
    },
    train_shapes=((1, 5, 40), (1, 10, 40), (1, 20, 40)),
)
