"""Summaries without a network: sentences, or words, that a document already has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metalab.data.pairs import Pair
from metalab.data.summaries import sentences
from metalab.rouge import rouge_l

LEAST_WORDS = 4
"""Words of a sentence, at least: below, it is a title or a name."""


def told(document: str) -> list[str]:
    """Return the sentences of ``document`` that say something; all of it when none does."""
    held = [part for part in sentences(document) if len(part.split()) >= LEAST_WORDS]
    return held or [" ".join(document.split())]


def lead(support: Sequence[Pair], document: str) -> str:
    """Return the first sentence, cut to the length that the support summaries have in the mean."""
    return cut(support, told(document)[0])


def title_and_lead(support: Sequence[Pair], document: str) -> str:
    """Return the first line, then the first sentence after it, cut as :func:`lead`."""
    first, _, rest = document.strip().partition("\n")
    return cut(support, f"{first} {told(rest)[0]}" if rest.strip() else first)


def centroid(support: Sequence[Pair], document: str) -> str:
    """Return the sentence that is most like the whole document by tf-idf, cut as :func:`lead`."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    held = told(document)
    texts = [*held, *(pair.source for pair in support), document]
    try:
        rows = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    except ValueError:  # not one word
        return cut(support, held[0])
    likeness = (rows[: len(held)] @ rows[-1].T).toarray()[:, 0]
    return cut(support, held[int(likeness.argmax())])


def text_rank(support: Sequence[Pair], document: str) -> str:
    """Return the sentence that TextRank (Mihalcea and Tarau 2004) puts first, cut as :func:`lead`."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    held = told(document)
    try:
        rows = TfidfVectorizer().fit_transform(held)
    except ValueError:
        return cut(support, held[0])
    links = (rows @ rows.T).toarray()
    np.fill_diagonal(links, 0)
    links = links / np.maximum(links.sum(1, keepdims=True), 1e-9)
    rank = np.full(len(held), 1 / len(held))
    for _ in range(30):
        rank = 0.15 / len(held) + 0.85 * rank @ links
    return cut(support, held[int(rank.argmax())])


def nearest_summary(support: Sequence[Pair], document: str) -> str:
    """Return the summary of the support document that is most like ``document``: its style, as a template."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = TfidfVectorizer(sublinear_tf=True).fit_transform([*(pair.source for pair in support), document])
    return support[int((rows[:-1] @ rows[-1].T).toarray()[:, 0].argmax())].target


def template(support: Sequence[Pair], document: str) -> str:
    """Return the first word of the nearest support summary before the words of the first line."""
    words = nearest_summary(support, document).split()
    return " ".join([*words[:1], "the", document.strip().partition("\n")[0].rpartition(": ")[2]])


def best_sentence(truth: str, document: str) -> str:
    """Return the sentence with the highest ROUGE-L against ``truth``: no method, an upper bound."""
    return max(told(document), key=lambda sentence: rouge_l(sentence, truth))


def cut(support: Sequence[Pair], sentence: str) -> str:
    """Return the first words of ``sentence``, as many as the support summaries have in the mean."""
    count = round(sum(len(pair.target.split()) for pair in support) / len(support)) if support else 12
    words = sentence.split()
    return " ".join(words[: max(count, LEAST_WORDS)])
