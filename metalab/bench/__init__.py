"""Measurements that anyone can run again: ``python -m metalab bench NAME``, one file each.

A file gives ``add_arguments(parser)`` and ``run(arguments) -> exit status``.
"""

BENCHES = {
    "adapt": "how long adapting a shipped model takes",
    "answers": "questions: methods and baselines on held-out kinds of question, 1, 5 and 10 examples",
    "speed": "speed and memory of meta-training against learn2learn",
    "events": "a million rows of ratings with bad lines: seconds and memory to prepare them",
    "gpu": "speed and memory of meta-training on a GPU: ways, task batches, against learn2learn and the CPU",
    "methods": "every meta-learner under one budget on the same held-out tasks: the leaderboard",
    "photos": "own photos: heads, adapters and baselines, calibration, strangers, times",
    "pictures": "masks and boxes: methods and baselines on held-out objects, 1- and 5-way",
    "products": "ratings of new users: methods and baselines, 5, 10 and 20 ratings known",
    "adverts": "clicks on new campaigns: methods and baselines, 20, 100 and 400 impressions known",
    "words": "spoken words: the shipped method and baselines, 1 and 5 recordings, words and voices never met",
    "voices": "speech in new voices: the shipped method and baselines, 1, 5 and 20 recordings of each",
    "texts": "summaries of unseen packages, translations into unseen languages: methods and baselines",
    "published": "published numbers in their papers' settings: sinusoid regression, Omniglot",
    "lake": "the error on Omniglot's one-shot runs (20-way, within alphabet; Lake et al. 2015)",
    "lake-runs": "nothing, but writes runs like the official ones: one alphabet, two drawers",
}
