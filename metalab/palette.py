"""Every colour of figures and pages, in one place; readable on light and dark, and by the colour-blind.

The class colours are those of Okabe and Ito (2008, "Color universal design") with the yellow and the black
darkened or lightened to show on both grounds. Right and wrong are blue and vermilion, which no common colour
blindness confuses, and are told apart by shape as well.
"""

from __future__ import annotations

import colorsys

OWN, OTHER = "#1f83d6", "#8593a8"
"""What is ours (meta-learners), and what it is compared with (baselines, training tasks)."""
RIGHT, WRONG = "#1f83d6", "#d55e00"
GROUND = "#949494"
"""Places in pictures where nothing is that is asked for: a grey that no class has, seen on light and dark."""
INK, ERROR_BAR = "#888888", "#64748b"
"""Lines and error bars that must show on both grounds."""
SEQUENTIAL = [[0, "#e8f0fe"], [1, "#0a63b0"]]
"""From nothing to much. Opaque, so that plotly can choose a text colour that is read on any ground."""
DIVERGING = [[0, "#0072b2"], [0.5, "#f4f4f5"], [1, "#d55e00"]]
"""From below zero (blue) to above (orange)."""
_CLASSES = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#b8a800",
    "#8f7ee5",
    "#8c564b",
    "#7f7f7f",
)


def class_colours(way: int) -> list[str]:
    """Return ``way`` colours that differ on a light and on a dark ground."""
    if way <= len(_CLASSES):
        return list(_CLASSES[:way])
    tones = (colorsys.hls_to_rgb(i / way, (0.45, 0.62)[i % 2], 0.7) for i in range(way))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in tone) for tone in tones]
