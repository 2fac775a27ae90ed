"""The command that speaks in the voice of recordings."""

from __future__ import annotations

import argparse
from pathlib import Path

from metalab.commands import AddCommand
from metalab.commands.shown import tell


def add_commands(command: AddCommand) -> None:
    """Add the commands of this module."""
    say = command("say", _say, "say a text in the voice of recordings, written as a WAV file")
    say.add_argument("text", help="English; numbers are spelled out")
    say.add_argument(
        "--voice",
        nargs="+",
        type=Path,
        metavar="RECORDING",
        help="WAV, FLAC, OGG or MP3, about ten seconds together (default: the un-adapted voice)",
    )
    say.add_argument(
        "--model", type=Path, metavar="FILE", help="a voice kept by --keep, or by the page Voice"
    )
    say.add_argument("--keep", type=Path, metavar="FILE", help="write the adapted voice")
    say.add_argument("--out", type=Path, default=Path("spoken.wav"), help="default: spoken.wav")


def _say(arguments: argparse.Namespace) -> int:
    from metalab.data.voices import RATE
    from metalab.speaking import adapt_voice, average_voice, load_voice, tagged_wav
    from metalab.storage import atomic_write

    if arguments.voice:
        voice = adapt_voice(arguments.voice)
    else:
        voice = load_voice(arguments.model) if arguments.model else average_voice()
    tell(voice.notes)
    samples = voice.say(arguments.text)
    atomic_write(arguments.out, tagged_wav(samples))
    if arguments.keep:
        atomic_write(arguments.keep, voice.to_bytes())
    print(f"{arguments.out}: {len(samples) / RATE:.1f} s")
    return 0
