"""What several pages show or need: cached models, the look of a task, errors in place."""

from __future__ import annotations

import hashlib
import html
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from metalab.config import Config
from metalab.errors import MetalabError

if TYPE_CHECKING:
    from metalab.embeddings import BackgroundEmbedder, Embedding, Method
    from metalab.inspection import TaskView
    from metalab.shipped import Trained
    from metalab.tasks import TaskSource

CHART: dict[str, Any] = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "toImage"]}
METHODS: dict[str, Method] = {"UMAP": "umap", "t-SNE": "tsne", "PCA": "pca"}
WORDS = {
    "task": "A **task** (= episode): a support set to learn from and a query set to judge by.",
    "support": "**Support set**: the few labelled examples that the model adapts to.",
    "query": "**Query set**: other examples of the same classes; accuracy is judged on them.",
    "way": "**N-way K-shot**: N classes with K support examples each.",
}


@contextmanager
def errors_in_place() -> Iterator[None]:
    """Show what is wrong, where and what to do, instead of a traceback."""
    try:
        yield
    except MetalabError as error:
        st.error(str(error), icon=":material/error:")


def gone(label: str, wanted: object) -> None:
    """Say that a link names something that is not there."""
    st.warning(
        f"{label} {wanted!r} is not here any more: deleted, or from another server. "
        "Choose another one below.",
        icon=":material/link_off:",
    )


def choose(label: str, options: dict[str, str], name: str) -> str:
    """Let the user choose a key of ``options`` (key → words), kept in the page's address as ``name``.

    Another page sets ``st.session_state["go-" + name]`` before it switches here.
    """
    wanted = st.session_state.pop(f"go-{name}", None)
    if wanted is None and name not in st.session_state:
        wanted = st.query_params.get(name)
    if wanted in options:
        st.session_state[name] = wanted
    else:
        if wanted is not None:
            gone(label, wanted)
        if st.session_state.get(name) not in options:
            st.session_state.pop(name, None)  # deleted meanwhile
    chosen = st.selectbox(label, list(options), format_func=options.__getitem__, key=name)
    st.query_params[name] = chosen
    return chosen


@st.cache_resource(show_spinner="Loading the model …", max_entries=8)
def trained(which: str, version: float = 0.0) -> Trained:
    """Return a ready meta-learner or that of a run; ``version`` is the time its file was written."""
    from metalab.choice import ready_trained

    return ready_trained(which)


@st.cache_resource(show_spinner="Preparing the data …", max_entries=4)
def source_of(config_json: str, source: str | None = None) -> TaskSource:
    """Return the task source of a configuration, or held-out tasks of another source."""
    from metalab.data import create_source, create_test_source

    config = Config.from_json(config_json)
    return create_test_source(config, source) if source else create_source(config)


def data_settings(config: Config) -> str:
    """Return the part of ``config`` that decides about the data, as the key of :func:`source_of`."""
    names = ("source", "data", "episodes", "rotations", "image_size", "channels")
    return Config.create(**{name: getattr(config, name) for name in names}).to_json()


@st.cache_resource(show_spinner=False)
def embedder() -> BackgroundEmbedder:
    """Return the server's one process for UMAP, which warms up when it is made."""
    from metalab.embeddings import BackgroundEmbedder

    return BackgroundEmbedder()


@st.cache_resource(show_spinner=False, max_entries=64)
def sampled_view(
    which: str,
    version: float,
    config_json: str,
    source: str | None,
    way: int,
    shot: int,
    query: int,
    number: int,
) -> TaskView:
    """Adapt model ``which`` to held-out task ``number`` and look at every moment; once, for all reruns."""
    from metalab.inspection import inspect_task
    from metalab.tasks import TaskShape, task_at

    model, tasks = trained(which, version), source_of(config_json, source)
    task = task_at(tasks, number, "test", TaskShape(way, shot, query), seed=1)
    names = tasks.class_names("test")
    return inspect_task(model.metalearner, model.pretrained, task, [names[int(i)] for i in task.classes])


@st.cache_resource(show_spinner=False, max_entries=16)
def own_view(which: str, version: float, content: bytes, shot: int) -> TaskView:
    """Adapt model ``which`` to an uploaded zip of class folders and look at every moment."""
    from metalab.data.folder import own_task, read_classes
    from metalab.inspection import inspect_task
    from metalab.records import recorded

    model = trained(which, version)
    backbone = model.metalearner.backbone
    classes = read_classes(io.BytesIO(content), backbone.size, backbone.channels)
    task = recorded(own_task(classes, shot), backbone)
    return inspect_task(model.metalearner, model.pretrained, task, list(classes))


@st.cache_data(show_spinner=False, max_entries=64)
def instant_embedding(key: str, _view: TaskView, dimensions: int = 2) -> Embedding:
    """Return the picture that needs no waiting: PCA."""
    from metalab.embeddings import embed

    return embed(_view.features, "pca", dimensions=dimensions)


def chart(figure: Any, key: str, alt: str, config: dict[str, Any] = CHART) -> None:
    """Show a figure over the whole width; ``alt`` says in words what it shows."""
    st.plotly_chart(figure, width="stretch", key=key, config=config, alt=alt)


def view_key(view: TaskView) -> str:
    """Name a view by its content."""
    digest = hashlib.sha256()
    for stage in view.stages:
        digest.update(np.ascontiguousarray(stage.features).tobytes())
    return digest.hexdigest()[:16]


def evaluation_table(evaluation: dict[str, Any]) -> None:
    """Show the verdict and a bar a method, all baselines included."""
    from metalab import plots

    st.markdown(f"**{evaluation['verdict']}**")
    chart(plots.evaluation_bars(evaluation), "bars", f"Accuracy of every method. {evaluation['verdict']}")
    st.caption(
        f"{evaluation['rows'][0]['tasks']} held-out {evaluation['way']}-way {evaluation['shot']}-shot tasks, "
        "mean and 95 % interval; every row met the very same tasks."
    )


def task_metrics(view: TaskView) -> None:
    """Show what adaptation gained on this task, how fast, and what chance would give."""
    before, after = (round(100 * view.stages[i].accuracy) for i in (0, -1))
    columns = st.columns(4)
    columns[0].metric(
        "Query right after adaptation",
        f"{after}%",
        f"{after - before:+} points" if after != before else None,
        help="The difference is to the frozen pre-trained features with the nearest class centroid, on the "
        "same task. One task says little: see the table over many tasks.",
    )
    columns[1].metric("Frozen features, same task", f"{before}%")
    columns[2].metric("Chance", f"{1 / len(view.classes):.0%}")
    columns[3].metric(
        "Time to adapt and predict",
        f"{1000 * view.seconds:.0f} ms",
        help=f"{int(view.support.sum())} support and {int((~view.support).sum())} query examples.",
    )


def sheets(view: TaskView, stage_name: str) -> None:
    """Show each class's support and query examples; frames tell which predictions are right."""
    from metalab.palette import RIGHT, WRONG, class_colours

    stage = view.stage(stage_name)
    good, said, sure = view.right(stage), stage.probabilities.argmax(1), stage.probabilities.max(1)
    query = np.flatnonzero(~view.support)
    rows = []
    for number, colour in enumerate(class_colours(len(view.classes))):
        name = view.classes[number]
        support = [
            _thumb(view.images[i], colour, f"support example of {name}")
            for i in np.flatnonzero(view.support & (view.labels == number))
        ]
        judged = [
            _thumb(
                view.images[point],
                RIGHT if good[i] else WRONG,
                f"predicted {view.classes[said[i]]}, {sure[i]:.0%} sure; is {name}",
                dashed=not good[i],
            )
            for i, point in enumerate(query)
            if view.labels[point] == number
        ]
        rows.append((name, support, judged))
    key = f"<span style='color:{RIGHT}'>solid</span>: right, <span style='color:{WRONG}'>dashed</span>: wrong"
    task_table(rows, f"Query set · {int(good.sum())} of {len(good)} right ({key})")


def task_table(rows: list[tuple[str, list[str], list[str]]], query_title: str = "Query set") -> None:
    """Show rows of (class name, support thumbnails, query thumbnails)."""
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{''.join(support)}</td><td>{''.join(query)}</td></tr>"
        for name, support, query in rows
    )
    st.html(
        f"""<style>
        .ml-task {{border-collapse: collapse; width: 100%}}
        .ml-task th, .ml-task td {{border: 0; padding: 2px 10px 2px 0; text-align: left;
          vertical-align: middle; font-weight: normal}}
        .ml-task thead th {{font-weight: 600; padding-bottom: 6px; white-space: nowrap}}
        .ml-task tbody th {{font-size: 1.1em; max-width: 8em; overflow-wrap: anywhere}}
        .ml-task td:last-child {{width: 99%}}
        .ml-task img {{width: 38px; height: 38px; border-radius: 4px; margin: 1px;
          box-sizing: border-box; object-fit: contain}}
        .ml-task td:nth-child(2) {{min-width: {40 * min(5, max(len(row[1]) for row in rows))}px}}
        </style><div style="overflow-x: auto"><table class="ml-task"><thead><tr>
        <th>Class</th><th title="The few labelled examples that the model adapts to">Support set</th>
        <th title="Other examples of the same classes, to judge by">{query_title}</th>
        </tr></thead><tbody>{body}</tbody></table></div>"""
    )


def thumbs(images: np.ndarray, colour: str, title: str) -> list[str]:
    """Return ``images`` (n, C, H, W) as framed HTML thumbnails."""
    return [_thumb(image, colour, title) for image in images]


def _thumb(image: np.ndarray, colour: str, title: str, dashed: bool = False) -> str:
    from metalab.plots import thumbnail

    text, line = html.escape(title, quote=True), "dashed" if dashed else "solid"
    return f'<img src="{thumbnail(image)}" title="{text}" alt="{text}" style="border: 2px {line} {colour}">'


@st.fragment
@errors_in_place()
def picture(view: TaskView, key: str, stored: Embedding | None = None) -> None:
    """Show the features before and after adaptation; UMAP is ``stored``, or comes from the background."""
    from metalab import plots_features
    from metalab.inspection import separation
    from metalab.plots_separation import score_rows

    head = st.columns([2, 3], vertical_alignment="bottom")
    label = head[0].segmented_control(
        "Picture",
        list(METHODS),
        default="UMAP",
        required=True,
        key=f"{key}-method",
        help="One reducer is fitted on all stages together, so positions can be compared. UMAP and t-SNE "
        "keep neighbours together and take some seconds; PCA is linear and instant.",
    )
    method = METHODS[label]
    embedding = stored if stored is not None and stored.method == method else None
    if embedding is None:
        with head[1]:
            embedding = embedding_of(view, method, label)
    tabs = st.tabs(["Before and after", "Morph", "Numbers"])
    with tabs[0]:
        words = f"{label} of the features before and after adaptation, coloured by class"
        chart(plots_features.before_after(view, embedding), f"{key}-ba", words)
    with tabs[1]:
        chart(plots_features.morph(view, embedding), f"{key}-morph", f"{words}, moving from one to the other")
    with tabs[2]:
        st.dataframe(
            score_rows(separation(view, embedding)),
            width="stretch",
            hide_index=True,
            column_config={
                "measure": "Measure",
                "before": st.column_config.NumberColumn("Before", format="%.3f"),
                "after": st.column_config.NumberColumn("After", format="%.3f"),
                "meaning": st.column_config.TextColumn("Meaning", width="large"),
            },
        )
    st.caption(
        "Each point is an example, its colour the class; hover to see it. Before: the pre-trained backbone. "
        "After: adapted to this task."
    )


def embedding_of(view: TaskView, method: Method, label: str, dimensions: int = 2) -> Embedding:
    """Return the picture of ``view``; while a slow one is computed say so, and return PCA meanwhile."""
    if method != "pca":
        key = (view_key(view), method, dimensions)
        embedder().submit(key, view.features, method, dimensions=dimensions)
        if (found := embedder().result(key)) is not None:
            return found
        _wait_for(key, label)
    return instant_embedding(view_key(view), view, dimensions)


@st.fragment(run_every=1.0)
@errors_in_place()
def _wait_for(key: tuple[str, str, int], label: str) -> None:
    if embedder().result(key) is not None:
        st.rerun()
    st.caption(f":material/hourglass_top: {label} is being computed; PCA is shown meanwhile.")


def duration(seconds: float | None) -> str:
    """Return e.g. "3 min 20 s"."""
    if seconds is None:
        return "–"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
