"""Campaigns: first impressions teach who will click a new advertisement, and what learning costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.common import chart, errors_in_place
from pages.drawnfeatures import embedder
from pages.models import data_settings, source_of, trained
from pages.placefeatures import CAMPAIGNS, place_features
from pages.ready import choose_model

if TYPE_CHECKING:
    from metalab.bandit import Served
    from metalab.inspection import TaskView
    from metalab.own_events import Campaign

LIMITS = (
    "The campaigns are **made up**: viewers with interests, advertisements that answer them, a few clicks in "
    "a hundred impressions, position, time of day and fatigue. Few clicks say little: with 20 impressions "
    "nothing beats knowing all other campaigns. For your own, train on your own impressions (*Train*, "
    "application *Ad recommendation*, source *clicks*)."
)


@st.cache_resource(show_spinner="Watching the campaign …", max_entries=32)
def watched_of(which: str, version: float, settings: str, number: int) -> Campaign:
    """Look at a held-out campaign while its impressions arrive."""
    from metalab.own_events import watched

    return watched(trained(which, version).metalearner, source_of(settings), number)


@st.cache_resource(show_spinner="Serving 8 times 1,500 viewers …", max_entries=4)
def served(which: str, version: float, settings: str, count: int) -> list[Served]:
    """Let every policy serve the same held-out campaigns."""
    from metalab.bandit import serve

    learner, source = trained(which, version).metalearner, source_of(settings)
    return list(serve(learner, source, advertisements=count, steps=1500, repetitions=8))


@st.cache_resource(show_spinner="Looking at held-out campaigns …", max_entries=4)
def view_of(which: str, version: float, settings: str) -> TaskView:
    """Look at many held-out campaigns before and after adaptation."""
    from metalab.inspection_events import inspect_events
    from metalab.tasks import TaskShape

    model = trained(which, version)
    return inspect_events(model.metalearner, model.pretrained, source_of(settings), TaskShape(1, 100, 300))


@st.fragment
@errors_in_place()
def one_campaign(which: str, version: float, settings: str) -> None:
    """Show the click rate of one campaign, its band shrinking."""
    from metalab import plots_events

    number = st.session_state.setdefault("campaign-number", 0)
    if st.button("Another campaign", icon=":material/shuffle:"):
        number = st.session_state["campaign-number"] = number + 1
    held = watched_of(which, version, settings, number)
    first, last = held.estimates[0], held.estimates[-1]
    st.markdown(f"**{held.name.capitalize()}**, never seen in any training")
    with st.container(horizontal=True, gap="medium"):
        st.metric(
            f"Click rate after {last.seen} impressions",
            f"{last.rate:.1%}",
            help="Expected for the campaign's later impressions.",
            width="content",
        )
        st.metric("95 % band", f"{last.low:.1%} to {last.high:.1%}", width="content")
        st.metric(f"Clicked of {held.later} later ones", f"{held.true:.1%}", width="content")
        st.metric(
            "AUC on the later ones",
            f"{held.areas[1]:.0%}",
            f"{100 * (held.areas[1] - held.areas[0]):+.0f} points",
            help="How often a viewer who clicks is put above one who does not; the difference is to the "
            "model before the first impression. One campaign says little.",
            width="content",
        )
    chart(
        plots_events.rate_band(held),
        "rate-band",
        f"The expected click rate begins at {first.rate:.1%} ({first.low:.1%} to {first.high:.1%}) and ends "
        f"at {last.rate:.1%} ({last.low:.1%} to {last.high:.1%}); later {held.true:.1%} clicked.",
    )
    st.caption(
        "Blue: what the model expects, with its 95 % band: before the first impression what it knows of all "
        "campaigns, then less and less unsure. Dots: clicks over impressions so far, what one has without "
        "meta-learning. Dashed: how the later impressions really turned out."
    )


@st.fragment
@errors_in_place()
def bandit(which: str, version: float, settings: str) -> None:
    """Show what learning costs while serving."""
    from metalab import plots_events
    from metalab.bandit import POLICIES

    count = st.segmented_control(
        "New advertisements that compete", [5, 10, 20], default=10, required=True, key="bandit-count"
    )
    held = served(which, version, settings, count)
    order = sorted(held, key=lambda one: one.regret[:, -1].mean())
    best = POLICIES[order[0].policy]
    chart(plots_events.regret_curves(held), "regret", f"Regret by viewers served; lowest: {best}.")
    st.caption(
        "**Regret**: clicks missed so far, against always showing what each viewer is likeliest to click; "
        "lower is better. Mean of 8 repetitions with other campaigns and viewers, and 95 % interval. "
        "Thompson sampling shows what might be best, as likely as it may be so."
    )


st.title("Campaigns")
st.caption(
    "A new advertisement has no clicks yet. What many earlier campaigns have taught turns its first "
    "impressions into an estimate with honest doubt. Nothing leaves this machine."
)
with errors_in_place():
    model = choose_model("ad-recommendation", "bayes-clicks")
    if model is not None:
        settings = data_settings(trained(*model).config)
        st.subheader("1 · A new campaign")
        one_campaign(*model, settings)
        if (
            trained(*model).config.source == "campaigns"
            and trained(*model).metalearner.name == "bayes-clicks"
        ):
            st.subheader(
                "2 · Learning while serving", help="A bandit: clicks come in only for what is shown."
            )
            bandit(*model, settings)
        st.subheader("3 · Campaigns as points", help="What the model makes of many campaigns.")
        place_features(view_of(*model, settings), f"campaigns-{model[0]}", "AUC", CAMPAIGNS)
with st.expander("What it can and cannot do", icon=":material/info:"):
    st.markdown(LIMITS)

embedder()
