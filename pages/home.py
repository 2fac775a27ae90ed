"""Home: what this is, what is trained, and a shipped model to try at once."""

from __future__ import annotations

import streamlit as st

from metalab.jobs import LocalBackend
from metalab.runs import RunStore
from pages.common import WORDS, errors_in_place, evaluation_table
from pages.drawnfeatures import embedder, picture
from pages.models import data_settings, sampled_view
from pages.sheets import sheets, task_metrics

st.title("metalab")
st.markdown(
    "**Learning from a handful of examples, that you can use and see.** You have something *new* to tell "
    "apart and a few examples of each class. metalab has practised on *many earlier tasks* how to adjust a "
    "ready-made model; it adapts to yours in about a second and shows what changed."
)
WAYS = (
    ("pages/demo.py", "Demo", ":material/slideshow:", "Two minutes, five screens, no jargon."),
    ("pages/yours.py", "Your data", ":material/photo_library:", "A model for your own pictures."),
    ("pages/pictures.py", "Pictures", ":material/image_search:", "Find things: pixels or boxes."),
    ("pages/answers.py", "Questions", ":material/quiz:", "Find answers in passages."),
    ("pages/texts.py", "Texts", ":material/translate:", "Translate and sum up short texts."),
    ("pages/speech.py", "Speech", ":material/mic:", "Tell spoken words apart."),
    ("pages/recommend.py", "Recommend", ":material/recommend:", "A list for a new user."),
    ("pages/adverts.py", "Campaigns", ":material/campaign:", "Who will click a new one?"),
    ("pages/tasks.py", "Tasks", ":material/category:", "Choose data, look at it, train."),
    ("pages/compare.py", "Compare", ":material/leaderboard:", "Which method is worth it?"),
)
columns = [*st.columns(5), *st.columns(5)][: len(WAYS)]  # ten in a row would cut their names
for column, (target, label, icon, words) in zip(columns, WAYS, strict=True):
    with column.container(border=True, height="stretch"):
        st.page_link(target, label=f"**{label}**", icon=icon)
        st.caption(words)


@st.fragment
@errors_in_place()
def try_it_now() -> None:
    """Adapt a shipped checkpoint to a held-out task of unseen characters."""
    from metalab.demonstration import easier_average
    from metalab.metalearners import get_metalearner
    from metalab.shipped import shipped, shipped_evaluation

    models = shipped()
    if not models:
        st.info("No checkpoint came with this copy of metalab. Train one on *Train*.")
        return
    row = st.columns([3, 2, 2], vertical_alignment="bottom")
    name = row[0].segmented_control(
        "Method",
        list(models),
        format_func=lambda key: get_metalearner(key).label,
        default=next(iter(models)),
        required=True,
        key="try-method",
        help="  \n".join(
            f"**{get_metalearner(key).label}**: {get_metalearner(key).summary}" for key in models
        ),
    )
    shot = row[1].segmented_control(
        "Shot", [1, 5], default=1, required=True, key="try-shot", help="Support examples per class."
    )
    number = st.session_state.setdefault("try-task", 0)
    if row[2].button("Another task", icon=":material/shuffle:", width="stretch", type="primary"):
        number = st.session_state["try-task"] = number + 1
    version, settings = models[name].path.stat().st_mtime, data_settings(models[name].config)
    view = sampled_view(name, version, settings, None, 5, shot, 15, number)
    st.caption(
        "Five characters of a script that took no part in any training, "
        f"{shot} {'drawing' if shot == 1 else 'drawings'} of each to learn from, 15 of each to judge by. "
        f"{WORDS['task']}"
    )
    task_metrics(view)
    if shot == 1 and (average := easier_average(name, view.stages[-1].accuracy)):
        st.caption(f"This is a hard task: on average {100 * average:.0f} of 100 are right. Try another one.")
    sheets(view, view.stages[-1].name)
    picture(view, "try-picture")
    if evaluation := shipped_evaluation():
        with st.expander(f"How good is it over {evaluation['rows'][0]['tasks']} such tasks? Honest numbers"):
            evaluation_table(evaluation)


st.subheader("Try it now")
try_it_now()

st.subheader("Your runs")
with errors_in_place():
    backend = LocalBackend()
    rows = []
    for run in RunStore().list()[:20]:
        with errors_in_place():
            status = backend.status(run)
            result = run.evaluation() if status.state == "done" else None
            accuracy = None if result is None else 100 * result["rows"][0]["accuracy"]
            rows.append({"Run": run.name, "State": status.state, "Held-out accuracy": accuracy})
    if rows:
        st.dataframe(
            rows,
            width="stretch",
            hide_index=True,
            placeholder="–",
            column_config={
                "Held-out accuracy": st.column_config.NumberColumn("Held-out accuracy, %", format="%.1f")
            },
        )
        st.page_link("pages/runs.py", label="All runs", icon=":material/list:")
    else:
        st.caption("None yet. A run is one meta-training with everything that belongs to it.")

embedder()  # its process warms up while the page is read
