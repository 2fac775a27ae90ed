"""The pages of the dashboard; ``app.py`` names them in its navigation.

Until ``app.py`` has run once, Streamlit takes a folder called ``pages`` for a navigation of its own, with
file names for titles, and a deep link then leads past ``app.py``. So the first page that is opened turns that
off and starts again.
"""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    st.rerun()
