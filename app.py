"""The dashboard: ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

st.set_page_config(
    page_title="metalab",
    page_icon=str(Path(__file__).parent / "pages" / "images" / "icon.png"),
    layout="wide",
)

st.navigation(
    [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("pages/setup.py", title="Set up a task", icon=":material/tune:"),
        st.Page("pages/train.py", title="Train", icon=":material/show_chart:"),
        st.Page("pages/adapt.py", title="Adapt", icon=":material/visibility:"),
        st.Page("pages/features.py", title="Features", icon=":material/scatter_plot:"),
    ]
).run()
