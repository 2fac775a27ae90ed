"""A chart that stays while its figure changes.

``st.plotly_chart`` (Streamlit 1.67) names an element by its content: each new point makes a new chart, and
zoom and hidden lines are lost. This one lives in a frame of its own and passes new figures to
``Plotly.react``, which keeps them (``uirevision``) and lets points travel (``layout.transition``).
"""

from __future__ import annotations

import json
from pathlib import Path

import plotly.graph_objects as go
import streamlit.components.v1 as components
from plotly.offline import offline

# Never shown: it only serves plotly.js from plotly's own package to the other one.
components.declare_component("library", path=str(Path(offline.__file__).parents[1] / "package_data"))
_frame = components.declare_component("chart", path=str(Path(__file__).parent))


def live_chart(figure: go.Figure, key: str, words: str) -> None:
    """Show ``figure``, which may change from run to run, as wide as there is room.

    ``key`` names the chart on the page; ``words`` are its alt text.
    """
    plain = go.Figure(figure).update_layout(template="none")
    height = int(plain.layout.height or 400)
    _frame(figure=json.loads(plain.to_json()), words=words, height=height, key=key, default=None)
