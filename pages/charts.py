"""A plotly chart that can be refreshed: it keeps zoom, hidden lines and its place when its figure changes.

``st.plotly_chart`` (Streamlit 1.67) makes the figure a part of the chart's identity, so every change throws
the old chart away. Here the key is the identity, and plotly.js, from plotly's own wheel, changes the chart in
place.
"""

from __future__ import annotations

from pathlib import Path

import plotly
import plotly.graph_objects as go
from streamlit.components.v1 import declare_component

_steady = declare_component("steady", path=Path(__file__).parent / "steady")
# Nothing is drawn by this one: it only serves the script that the other one loads.
declare_component("plotly", path=Path(plotly.__file__).parent / "package_data")


def steady_chart(figure: go.Figure, key: str, alt: str) -> None:
    """Show ``figure`` at its own height; ``alt`` says in words what it shows."""
    _steady(figure=figure.to_json(), alt=alt, key=key, default=None)
