"""New voices: the shipped model and baselines on the same held-out voices and sentences; speed."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from metalab.backbones.teller import Teller
from metalab.baselines_voices import fine_tuned, nearest_seen, seen_codes, shifted, with_backbone
from metalab.data.acoustics import described
from metalab.data.utterances import VOICES, Utterances, take, utterances
from metalab.data.voices import RATE
from metalab.errors import ConfigError
from metalab.evaluation import mean_interval
from metalab.metalearners.voice_film import VoiceFiLM
from metalab.speaking import adapt_voice, average_voice, shipped_voices, told_frames
from metalab.tasks import Split
from metalab.vocoder import sounded
from metalab.voice_judges import Judges, trained_judges
from metalab.voice_measures import compared

SCORES = {"mcd": -1, "pitch": -1, "melody": 1, "similarity": 1, "phonemes": 1}
"""Measures, and whether more is better (1) or less (-1)."""
UNITS = {
    "mcd": "MCD in dB",
    "pitch": "F0 error in semitones",
    "melody": "F0 correlation",
    "similarity": "speaker similarity",
    "phonemes": "phonemes recognised",
}
OURS, UNADAPTED, BOUND = "voice-film", "average voice", "copy synthesis (upper bound)"
SLOW = ("average voice, fine-tuned", "from scratch")
FIRST_QUERY = 20
"""Utterances before it are references, at most; that one, a sentence never met, is judged by."""
Speaker = Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 5, 20], help="default: 1 5 20")
    parser.add_argument("--voices", type=int, default=VOICES["test"], help="held-out voices")
    parser.add_argument("--slow-voices", type=int, default=20, help="of methods that train (default: 20)")
    parser.add_argument("--validation", action="store_true", help="measure on meta-validation, to choose by")
    parser.add_argument("--speed", action="store_true", help="instead: how long adapting and speaking take")
    parser.add_argument("--json", action="store_true", help="print one JSON object a shot")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    split: Split = "validation" if arguments.validation else "test"
    if arguments.voices < 2 or not 0 <= arguments.slow_voices <= arguments.voices:
        raise ConfigError("an interval needs at least two voices", where="--voices, --slow-voices")
    if not all(1 <= shot <= FIRST_QUERY for shot in arguments.shots):
        raise ConfigError(f"from 1 to {FIRST_QUERY} references", where="--shots")
    if arguments.speed:
        print(speed())
        return 0
    train, held = utterances("train"), utterances(split)
    judges = trained_judges(train)
    for shot in arguments.shots:
        started = time.monotonic()
        table = measured(train, held, split, shot, arguments.voices, arguments.slow_voices, judges)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        print(json.dumps(table) if arguments.json else f"{text(table)}\n", flush=True)
    return 0


def measured(
    train: Utterances,
    held: Utterances,
    split: Split,
    shot: int,
    voices: int,
    slow_voices: int,
    judges: Judges,
) -> dict:
    """Return means and intervals of every method and measure, and paired differences to voice-film."""
    model, average = shipped_voices(), average_voice().model.backbone
    codes = seen_codes(model, train)
    values: dict[str, list[dict[str, float]]] = {}
    for voice in range(min(voices, len(held.frames))):
        at = torch.tensor([[voice]])
        support = _one(held.of(at, torch.arange(shot)[None]))
        samples, phonemes, lasting = take(split, voice, FIRST_QUERY)
        true = described(samples)
        others = [
            held.frames[voice, which, : int(held.lengths[voice, which])].numpy()
            for which in range(FIRST_QUERY + 1, held.frames.shape[1])
        ]
        speakers = _speakers(model, average, codes, support, voice < slow_voices)
        speakers[BOUND] = lambda _, true=true, lasting=lasting: (true, np.array(lasting))
        for name, speaker in speakers.items():
            frames, told = speaker(phonemes)
            made = described(sounded(frames))
            values.setdefault(name, []).append(
                {
                    **compared(made, true),
                    "similarity": judges.similarity(made, others),
                    "phonemes": judges.right(made, phonemes, told),
                }
            )
    return _table(values, shot)


def _one(batch: Utterances) -> Utterances:
    return Utterances(batch.frames[0], batch.phonemes[0], batch.lasting[0])


def _speakers(
    model: VoiceFiLM, average: Teller, codes: torch.Tensor, support: Utterances, slow: bool
) -> dict[str, Speaker]:
    unadapted = with_backbone(model, average)
    with torch.no_grad():
        state = model.adapt(support.frames, support.lengths)
    near, moves = nearest_seen(model, codes, support), shifted(average, support)
    found: dict[str, Speaker] = {
        OURS: lambda phonemes: told_frames(model, state, phonemes),
        UNADAPTED: lambda phonemes: told_frames(unadapted, None, phonemes),
        "average voice, pitch and speed moved": lambda phonemes: told_frames(
            unadapted, None, phonemes, moves
        ),
        "nearest seen voice": lambda phonemes: told_frames(model, near, phonemes),
    }
    if slow:
        tuned = with_backbone(model, fine_tuned(average, support, 40, 1e-3))
        fresh = with_backbone(model, fine_tuned(Teller(average.width, average.kernel), support, 150, 2e-3))
        found[SLOW[0]] = lambda phonemes: told_frames(tuned, None, phonemes)
        found[SLOW[1]] = lambda phonemes: told_frames(fresh, None, phonemes)
    return found


def _table(values: dict[str, list[dict[str, float]]], shot: int) -> dict:
    rows, ours = [], values[OURS]
    for name, held in values.items():
        row: dict = {"method": name, "voices": len(held)}
        for score, sign in SCORES.items():
            own = np.array([one[score] for one in held])
            gain = sign * (np.array([one[score] for one in ours[: len(held)]]) - own)
            row[score] = _interval(own)
            row[f"{score}_gain"] = _interval(gain)
        rows.append(row)
    return {"shot": shot, "rows": rows}


def _interval(values: np.ndarray) -> tuple[float, float]:
    kept = values[np.isfinite(values)]
    return mean_interval(kept) if len(kept) > 1 else (math.nan, math.nan)


def text(table: dict) -> str:
    """Return the table in plain text."""
    lines = [f"speech-synthesis, {table['shot']} references; voice-film's gain in brackets"]
    for row in sorted(table["rows"], key=lambda one: one["mcd"][0]):
        lines.append(f"  {row['method']} ({row['voices']} voices)")
        for score, unit in UNITS.items():
            (mean, wide), (gain, around) = row[score], row[f"{score}_gain"]
            lines.append(f"    {unit:24} {mean:6.2f} ± {wide:.2f}   ({gain:+.2f} ± {around:.2f})")
    return "\n".join(lines)


def speed(repeat: int = 7) -> str:
    """Say how long adapting to five references and saying a sentence take."""
    model = shipped_voices()
    recordings = [take("test", 0, which)[0] for which in range(5)]
    adapting, telling = [], []
    for _ in range(repeat):
        started = time.perf_counter()
        voice = adapt_voice(recordings, model)
        adapting.append(time.perf_counter() - started)
        started = time.perf_counter()
        samples = voice.say("Hello world, this is a new voice that nobody has met before.")
        telling.append((time.perf_counter() - started) / (len(samples) / RATE))
    return (
        f"adapting to five recordings takes a median of {1000 * statistics.median(adapting):.0f} ms; "
        f"speaking takes {statistics.median(telling):.2f} of the time that what is said lasts"
    )
