"""Sounds of speech as targets of a formant synthesiser, and words that can be pronounced.

Formants of vowels are those of Peterson and Barney 1952 (men), of other sounds about those of Klatt 1980,
tables I to III. A voice scales and shifts them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sound:
    """A target: formants in Hz, duration in ms; amplitudes 0..1 of voicing, breath and friction, whose noise
    is around ``centre`` ± ``spread`` Hz."""

    formants: tuple[float, float, float]
    duration: float
    voicing: float = 1.0
    breath: float = 0.0
    friction: float = 0.0
    centre: float = 4000.0
    spread: float = 2000.0


VOWELS: dict[str, Sound] = {
    "i": Sound((270, 2290, 3010), 130),
    "I": Sound((390, 1990, 2550), 95),
    "E": Sound((530, 1840, 2480), 110),
    "&": Sound((660, 1720, 2410), 140),
    "a": Sound((730, 1090, 2440), 140),
    "O": Sound((570, 840, 2410), 140),
    "U": Sound((440, 1020, 2240), 95),
    "u": Sound((300, 870, 2240), 130),
    "V": Sound((640, 1190, 2390), 100),
    "3": Sound((490, 1350, 1690), 140),
    "@": Sound((500, 1500, 2500), 70),
}
GLIDES: dict[str, tuple[str, str]] = {
    "aI": ("a", "I"),
    "aU": ("a", "U"),
    "OI": ("O", "I"),
    "oU": ("O", "U"),
    "eI": ("E", "i"),
}
"""Diphthongs: from one vowel to another."""
SONORANTS: dict[str, Sound] = {
    "w": Sound((290, 610, 2150), 65, 0.6),
    "j": Sound((260, 2070, 3020), 65, 0.6),
    "r": Sound((310, 1060, 1380), 70, 0.6),
    "l": Sound((310, 1050, 2880), 70, 0.5),
    "m": Sound((250, 1100, 2150), 75, 0.35),
    "n": Sound((250, 1700, 2600), 75, 0.35),
    "N": Sound((250, 2100, 2700), 80, 0.35),
}
HISSES: dict[str, Sound] = {
    "s": Sound((320, 1600, 2550), 120, 0, 0, 0.5, 6500, 1800),
    "S": Sound((300, 1800, 2500), 120, 0, 0, 0.6, 3500, 1200),
    "f": Sound((340, 1100, 2080), 105, 0, 0, 0.15, 5500, 5000),
    "T": Sound((320, 1400, 2600), 100, 0, 0, 0.12, 6000, 3500),
    "z": Sound((280, 1600, 2550), 90, 0.3, 0, 0.3, 6500, 1800),
    "v": Sound((280, 1100, 2080), 75, 0.4, 0, 0.08, 5500, 5000),
    "D": Sound((280, 1400, 2600), 65, 0.4, 0, 0.06, 6000, 3500),
    "h": Sound((500, 1500, 2500), 70, 0, 0.5),
}
BURSTS: dict[str, Sound] = {
    "p": Sound((300, 900, 2100), 12, 0, 0.2, 0.3, 1000, 1500),
    "t": Sound((300, 1750, 2650), 16, 0, 0.2, 0.5, 4500, 1800),
    "k": Sound((300, 2000, 2300), 22, 0, 0.2, 0.5, 2000, 900),
    "b": Sound((250, 900, 2100), 8, 0.3, 0, 0.2, 900, 1500),
    "d": Sound((250, 1750, 2650), 10, 0.3, 0, 0.3, 4200, 1800),
    "g": Sound((250, 2000, 2300), 14, 0.3, 0, 0.3, 1900, 900),
}
VOICELESS = set("ptk")
AFFRICATES = {"tS": ("t", "S"), "dZ": ("d", "z")}
CLUSTERS = {
    *("st", "sp", "sk", "tr", "pr", "kr", "br", "dr", "gr", "fr", "Tr", "pl", "kl", "bl", "fl", "sl", "sw"),
}
ENDS = {"s", "z", "f", "T", "v", "S", "ks", "nt", "st", "nd"}
ONSETS = sorted({*SONORANTS, *HISSES, *BURSTS, *AFFRICATES, *CLUSTERS} - {"N"})
CODAS = sorted({*SONORANTS, *BURSTS, *AFFRICATES, *ENDS} - {"w", "j"})
NUCLEI = sorted({*VOWELS, *GLIDES} - {"@"})


def sounds(word: str) -> list[Sound]:
    """Return the targets of ``word``, phonemes of this module with blanks between."""
    found: list[Sound] = []
    for name in word.split():
        if name in GLIDES:
            first, last = (VOWELS[part] for part in GLIDES[name])
            found += [Sound(first.formants, 90), Sound(last.formants, 80)]
        elif name in AFFRICATES:
            stop, hiss = AFFRICATES[name]
            found += [*_stop(stop)[:2], HISSES[hiss]]
        elif name in BURSTS:
            found += _stop(name)
        else:
            found.append((VOWELS | SONORANTS | HISSES)[name])
    return found


def _stop(name: str) -> list[Sound]:
    """Return closure, burst and, without voice, breath."""
    burst = BURSTS[name]
    closure = Sound(burst.formants, 60, 0.0 if name in VOICELESS else 0.12)
    held = [closure, burst]
    return [*held, Sound(burst.formants, 35, 0, 0.35)] if name in VOICELESS else held


def made_up_words(count: int, seed: int) -> list[str]:
    """Return ``count`` different words of one to three syllables, as phonemes with blanks between."""
    rng, words = np.random.default_rng(seed), {}
    while len(words) < count:
        parts: list[str] = []
        for _ in range(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15])):
            if rng.random() < 0.85:
                parts += _letters(ONSETS[rng.integers(len(ONSETS))])
            parts.append(NUCLEI[rng.integers(len(NUCLEI))])
            if rng.random() < 0.5:
                parts += _letters(CODAS[rng.integers(len(CODAS))])
        words.setdefault(" ".join(parts))
    return list(words)


def _letters(cluster: str) -> list[str]:
    return [cluster] if cluster in AFFRICATES else list(cluster)
