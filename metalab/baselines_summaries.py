"""What meta-learning must beat on summaries: what a user can have without it, on the same tasks.

They see the texts as the network does: what was cut off a long document is unknown to them as well.
"""

from __future__ import annotations

from metalab.baselines_writing import from_scratch, ridge_over, said, unadapted
from metalab.extracts import centroid, lead, nearest_summary, template, text_rank, title_and_lead

SUMMARY_BASELINES = [
    ("un-adapted", "Un-adapted writer", unadapted),
    ("lead", "First sentence", said(lead)),
    ("title-lead", "Title and first sentence", said(title_and_lead)),
    ("template", "First word of the nearest example, then the title", said(template)),
    ("centroid", "Most central sentence (tf-idf)", said(centroid)),
    ("text-rank", "TextRank", said(text_rank)),
    ("nearest-summary", "Summary of the nearest example", said(nearest_summary)),
    ("ridge", "Ridge regression over the chooser's drafts", ridge_over("summarise-choose")),
    ("from-scratch", "From scratch on the support set", from_scratch),
]
