"""The dashboard: ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

from pages.notices import announce

STYLE = """<style>
/* Streamlit leaves a fifth of a projector's height free above and below every page. */
[data-testid=stMainBlockContainer] {padding-top: 4rem; padding-bottom: 4rem}
/* It greys what a refresh has not reached yet: on a busy machine that would flicker once a second. */
[class*=st-key-live] [data-stale=true] {opacity: 1 !important; transition: none !important}
</style>"""

st.set_page_config(
    page_title="metalab",
    page_icon=str(Path(__file__).parent / "pages" / "images" / "icon.png"),
    layout="wide",
)
st.html(STYLE)

page = st.navigation(
    [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("pages/demo.py", title="Demo", icon=":material/slideshow:"),
        st.Page("pages/yours.py", title="Your data", icon=":material/photo_library:"),
        st.Page("pages/pictures.py", title="Pictures", icon=":material/image_search:"),
        st.Page("pages/answers.py", title="Questions", icon=":material/quiz:"),
        st.Page("pages/texts.py", title="Texts", icon=":material/translate:"),
        st.Page("pages/speech.py", title="Speech", icon=":material/mic:"),
        st.Page("pages/voice.py", title="Voice", icon=":material/record_voice_over:"),
        st.Page("pages/recommend.py", title="Recommend", icon=":material/recommend:"),
        st.Page("pages/adverts.py", title="Campaigns", icon=":material/campaign:"),
        st.Page("pages/tasks.py", title="Tasks", icon=":material/category:"),
        st.Page("pages/train.py", title="Train", icon=":material/show_chart:"),
        st.Page("pages/adapt.py", title="Adapt", icon=":material/visibility:"),
        st.Page("pages/features.py", title="Features", icon=":material/scatter_plot:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/leaderboard:"),
        st.Page("pages/runs.py", title="Runs", icon=":material/list:"),
    ]
)
announce()
page.run()
