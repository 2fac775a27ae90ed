"""A run on one page to hand on: a single HTML file that needs no server and no internet."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from metalab import plots
from metalab.applications import application
from metalab.comparison import plain_verdict, ranked, run_entries
from metalab.config import Config
from metalab.embeddings import Embedding
from metalab.errors import MetalabError
from metalab.history import History
from metalab.inspection import TaskView
from metalab.plots_features import before_after
from metalab.plots_runs import accuracy_curves, loss_curves
from metalab.runs import Run

_STYLE = """
:root {color-scheme: light}
body {font: 16px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px;
  color: #1f2937; background: #fff}
h1 {font-size: 1.9rem; margin: 0} h2 {font-size: 1.25rem; margin: 2.2rem 0 .5rem}
.quiet {color: #5b6675} .verdict {font-size: 1.15rem; font-weight: 600; border-left: 4px solid #1f83d6;
  padding: .3rem 0 .3rem .9rem; margin: 1.2rem 0}
.scroll {overflow-x: auto} table {border-collapse: collapse; width: 100%; font-size: .92rem}
th, td {text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid #e3e7ee; vertical-align: top}
td.number, th.number {text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap}
tr.own {font-weight: 600} code {overflow-wrap: anywhere} figure {margin: 0}
"""


def report_html(run: Run) -> str:
    """Return everything worth knowing about ``run`` as one self-contained HTML document (about 5 MB).

    Curves, the results with all baselines and a verdict, the picture before and after adaptation, and the
    configuration; what the run does not have (yet) is said in its place. Raises :class:`RunError` and
    :class:`ConfigError` when the run is damaged.
    """
    config, status = run.config, run.status()
    script = _PlotlyOnce()
    parts = [
        f"<h1>{html.escape(run.name)}</h1>",
        f"<p class='quiet'>{html.escape(_line(run, config))} · {status.state}</p>",
    ]
    if status.error:
        parts.append(f"<p><strong>{html.escape(status.error)}</strong></p>")
    parts += _results(run, script)
    history = History().refresh(run)
    parts.append("<h2>Learning curves</h2>")
    if history.of("pretrain") or history.of("train"):
        parts.append(script(loss_curves({run.name: history}), "Loss over the steps of training."))
        words = "Accuracy over the steps of training; held-out tasks with their 95 % interval."
        parts.append(script(accuracy_curves({run.name: history}), words))
    else:
        parts.append("<p class='quiet'>The run has not trained yet.</p>")
    parts += _before_after(run, script)
    parts += ["<h2>Configuration</h2>", _configuration(config)]
    if run.has("environment.json"):
        environment = run.read_json("environment")
        parts += ["<h2>Environment</h2>", _table(sorted(environment.items()))]
    made = time.strftime("%d %b %Y %H:%M")
    parts.append(f"<p class='quiet'>Run <code>{html.escape(run.id)}</code>, report of {made}, metalab.</p>")
    body, title = "\n".join(parts), html.escape(run.name)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<link rel='icon' href='data:,'><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


class _PlotlyOnce:
    """Turns figures into HTML; the first one brings plotly.js along."""

    def __init__(self) -> None:
        self.first = True

    def __call__(self, figure: go.Figure, words: str) -> str:
        import plotly.io as pio

        figure = go.Figure(figure).update_layout(font={"family": "system-ui, sans-serif", "color": "#1f2937"})
        content = pio.to_html(
            figure,
            full_html=False,
            include_plotlyjs=self.first,
            config={"displaylogo": False, "responsive": True},
        )
        self.first = False
        label = html.escape(words, quote=True)
        return f"<figure role='img' aria-label='{label}'>{content}</figure><p class='quiet'>{label}</p>"


def _line(run: Run, config: Config) -> str:
    from metalab.metalearners import get_metalearner

    created = run.status().created
    when = time.strftime("%d %b %Y %H:%M", time.localtime(created)) if created else run.id
    label = get_metalearner(config.metalearner).label
    shape = application(config.application).shape(config.way, config.shot)
    return f"{label} on {config.source}, {shape}, seed {config.seed} · {when}"


def _results(run: Run, script: _PlotlyOnce) -> list[str]:
    if not run.has("evaluation.json"):
        return ["<p class='quiet'>There are no results on held-out tasks yet: they come at the end.</p>"]
    try:
        evaluation, rows = run.read_json("evaluation"), ranked(run_entries(run))
        verdict = " ".join(plain_verdict(row, "Run") for row in rows if row.kind == "metalearner")
        table = [
            (
                "own" if row.kind == "metalearner" else "",
                row.label + (" (transductive)" if row.transductive else ""),
                f"{100 * row.accuracy:.1f} ± {100 * row.interval:.1f} %",
                "" if row.gain is None else f"{100 * row.gain:+.1f} ± {100 * (row.gain_interval or 0):.1f}",
            )
            for row in rows
        ]
        words = (
            f"{rows[0].tasks} held-out {evaluation['way']}-way {evaluation['shot']}-shot tasks, the same for "
            "every row; mean and 95 % interval over tasks, differences paired."
        )
        bars = script(plots.evaluation_bars(evaluation), words)
    except (MetalabError, KeyError, TypeError, ValueError, IndexError) as error:
        return [f"<p><strong>The results cannot be read: {html.escape(str(error))}</strong></p>"]
    body = "".join(
        f"<tr class='{style}'><td>{html.escape(label)}</td><td class='number'>{accuracy}</td>"
        f"<td class='number'>{gain}</td></tr>"
        for style, label, accuracy, gain in table
    )
    head = "<th>Method</th><th class='number'>Accuracy</th><th class='number'>Against the best baseline</th>"
    return [
        f"<p class='verdict'>{html.escape(verdict)}</p>",
        "<h2>Results on held-out tasks</h2>",
        bars,
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
    ]


def _before_after(run: Run, script: _PlotlyOnce) -> list[str]:
    if not (run.has("view.json") and run.has("embedding.json")):
        return []
    try:
        view = TaskView.from_arrays(run.read_arrays("view"), run.read_json("view"))
        embedding = Embedding.from_arrays(run.read_arrays("embedding"), run.read_json("embedding"))
        figure = before_after(view, embedding)
    except (MetalabError, KeyError, TypeError, ValueError) as error:
        reason = f"The picture cannot be read: {html.escape(str(error))}"
        return ["<h2>What adaptation changed</h2>", f"<p><strong>{reason}</strong></p>"]
    words = (
        "Features of one held-out task before and after adaptation, one fit for both. Colour is the class; "
        "diamonds are support examples, crosses wrong predictions."
    )
    return ["<h2>What adaptation changed</h2>", script(figure, words)]


def _configuration(config: Config) -> str:
    """Return all settings, those that are not the default in bold."""
    rows = []
    for name, value in config.model_dump(mode="json").items():
        field = Config.model_fields[name]
        changed = value != Config.model_fields[name].default and value is not None
        title = field.title or name
        rows.append((f"<b>{html.escape(title)}</b>" if changed else html.escape(title), value))
    body = "".join(
        f"<tr><td>{title}</td><td><code>{html.escape(str('–' if value is None else value))}</code></td></tr>"
        for title, value in rows
    )
    return f"<p class='quiet'>Bold: not the default.</p><div class='scroll'><table>{body}</table></div>"


def _table(rows: Iterable[Sequence[Any]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='scroll'><table>{body}</table></div>"
