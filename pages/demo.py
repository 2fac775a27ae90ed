"""Demo."""

import streamlit as st

st.title("Demo")
