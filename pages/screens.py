"""What the five screens of the demo say and show."""

from __future__ import annotations

import numpy as np
import streamlit as st

from metalab import plots_demo
from metalab.demonstration import Demonstration, certainty, demo_model, easier_average
from metalab.inspection import Stage, TaskView
from metalab.palette import RIGHT, WRONG, class_colours
from metalab.plots import thumbnail
from pages.charts import steady_chart
from pages.common import CHART, chart
from pages.drawnfeatures import instant_embedding, view_key

STYLE = """<style>
.st-key-demo-screen {min-height: 430px}
.demo-say {font-size: clamp(1.15rem, 2.1vw, 1.6rem); line-height: 1.45; max-width: 46rem}
.demo-number {font-size: clamp(2.2rem, 6vw, 3.6rem); font-weight: 700; line-height: 1.1}
.demo-dots {display: flex; gap: .5rem; justify-content: center}
.demo-dots span {width: .8rem; height: .8rem; border-radius: 50%; border: 2px solid #8593a8}
.demo-dots .here {background: #1f83d6; border-color: #1f83d6}
.demo-row {display: flex; flex-wrap: wrap; gap: .7rem; margin: .4rem 0}
.demo-row img {border-radius: 8px; box-sizing: border-box; background: #fff}
.demo-big img {width: clamp(64px, 11vw, 112px)} .demo-small {gap: .25rem} .demo-small img {width: 42px}
</style>"""


def say(words: str) -> None:
    """Write a sentence in large type; ``words`` are HTML."""
    st.html(f'<p class="demo-say">{words}</p>')


def took(seconds: float) -> str:
    """Return e.g. "0.6 seconds"."""
    return f"{seconds:.1f} seconds" if seconds >= 0.05 else "less than 0.1 seconds"


def pictures(images: list[tuple[np.ndarray, str, str, str]], size: str) -> None:
    """Show (image, colour, line, words) side by side; ``size`` is "big" or "small"."""
    tags = "".join(
        f'<img src="{thumbnail(image)}" alt="{words}" title="{words}" style="border: 3px {line} {colour}">'
        for image, colour, line, words in images
    )
    st.html(f'<div class="demo-row demo-{size}">{tags}</div>')


def answers(view: TaskView, stage: Stage, each: int = 8) -> None:
    """Show some new drawings of each symbol; frames tell what ``stage`` says of them."""
    good, said = view.right(stage), stage.probabilities.argmax(1)
    query = np.flatnonzero(~view.support)
    for number, colour in enumerate(class_colours(len(view.classes))):
        example = int(np.flatnonzero(view.support & (view.labels == number))[0])
        row = [(view.images[example], colour, "solid", f"the example of symbol {number + 1}")]
        for i in np.flatnonzero(view.labels[query] == number)[:each]:
            frame = (RIGHT, "solid") if good[i] else (WRONG, "dashed")
            row.append((view.images[query[i]], *frame, f"taken for symbol {said[i] + 1}"))
        pictures(row, "small")
    st.caption(
        f"First in each row: the example. Then {each} new drawings: solid blue is right, dashed red wrong."
    )


def problem() -> None:
    say("Show a child <b>one</b> picture of a giraffe, and it will know the next one. A computer usually "
        "needs <b>thousands</b>.")  # fmt: skip
    say("But who has thousands of pictures of a <i>new</i> product, a <i>rare</i> defect, one person's "
        "handwriting? metalab has practised on many small puzzles, so that it can learn the next from a "
        "handful of examples. Here is one.")  # fmt: skip


def symbols(shown: Demonstration) -> None:
    view = shown.view
    say("They come from a script that took no part in any training. It gets <b>one drawing</b> of each:")
    colours, support = class_colours(5), np.flatnonzero(view.support)
    pictures([(view.images[i], colours[view.labels[i]], "solid", "an example") for i in support], "big")
    say(f"The puzzle: name <b>{int((~view.support).sum())} new drawings</b> of these five.")
    if st.button("Other symbols", icon=":material/shuffle:"):
        st.session_state["demo-task"] += 1
        st.session_state["demo-adapted"] = False
        st.rerun()


def untouched(shown: Demonstration) -> None:
    right, of = int(shown.view.right(shown.guess).sum()), int((~shown.view.support).sum())
    left, rest = st.columns([2, 3], gap="large")
    with left:
        st.html(f'<div class="demo-number">{right} of {of} right</div>')
        say("With five symbols, pure guessing gets one in five. The model can see, but nobody has told it "
            "which symbol is which.")  # fmt: skip
    with rest:
        answers(shown.view, shown.guess)


def adapt(shown: Demonstration) -> None:
    view = shown.view
    adapted = st.session_state.setdefault("demo-adapted", False)
    stage = view.stages[-1 if adapted else 0]
    left, rest = st.columns([2, 3], gap="large")
    with left:
        if adapted:
            right, of = int(view.right(stage).sum()), len(view.right(stage))
            st.html(f'<div class="demo-number">{right} of {of} right</div>')
            say(f"after {took(view.seconds)}. The dots have moved: "
                "it now looks at what tells these five apart.")  # fmt: skip
            if average := easier_average(demo_model(), stage.accuracy):
                say(f"This is a hard one; most puzzles go better ({100 * average:.0f} of 100 on average).")
        else:
            say("Each dot is a drawing, as the model sees it: what looks alike to it lies close. Large "
                "diamonds are the five examples.")  # fmt: skip
        if st.button(
            "Start over" if adapted else "Learn now",
            type="secondary" if adapted else "primary",
            icon=":material/replay:" if adapted else ":material/play_arrow:",
        ):
            st.session_state["demo-adapted"] = not adapted
            st.rerun()
    with rest:
        embedding = instant_embedding(view_key(view), view)
        figure = plots_demo.journey(view, embedding, stage.name)
        steady_chart(figure, "journey", f"Every drawing as a dot, {stage.name}; one colour a symbol")


def sure(shown: Demonstration) -> None:
    rows, tasks = certainty(demo_model())
    left, rest = st.columns([2, 3], gap="large")
    with left:
        if rows:
            best, other = rows[-1], rows[-2]
            gain = "Practising pays here" if best["own"] else "Practising does not pay here"
            say(f"Over <b>{tasks}</b> such puzzles it is right <b>{best['accuracy']:.1%}</b> of the time on "
                f"average. That average is known to within {100 * best['interval']:.1f} points; a single "
                "puzzle can go better or worse.")  # fmt: skip
            say(f"{gain}, but the best simple method gets {other['accuracy']:.1%}. How much it gains depends "
                "on the puzzle, so metalab always measures both.")  # fmt: skip
    with rest:
        if rows:
            figure = plots_demo.certainty_bars(rows)
            chart(figure, "certain", "How often each way is right", {**CHART, "displayModeBar": False})
        st.page_link("pages/yours.py", label="Try it with your own pictures", icon=":material/photo_library:")
        st.page_link("pages/compare.py", label="See all methods compared", icon=":material/leaderboard:")


SCREENS = {
    "One example should be enough": problem,  # needs nothing, so it is there at once
    "Five symbols it has never seen": symbols,
    "Before the examples, it can only guess": untouched,
    "Now it learns from the five examples": adapt,
    "How sure are we?": sure,
}
