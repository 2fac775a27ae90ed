"""One image file of any kind to pixels, or words that say why not."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from metalab.data.archives import LIMITS, Limits
from metalab.errors import DataError

# Only formats whose readers take no other program and no other file: EPS, for one, would start Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
LEAST_SIDE = 8
MOST_ASPECT = 50
ORIENTATION, MAX_SAMPLE = 0x0112, 281
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(content: bytes, where: str, limits: Limits = LIMITS) -> np.ndarray:
    """Return one image (H, W, 3) uint8: upright, on white where transparent, no side above ``limits.side``.

    Raises :class:`DataError` naming ``where``.
    """
    return decode_noted(content, where, limits)[0]


def decode_noted(content: bytes, where: str, limits: Limits = LIMITS) -> tuple[np.ndarray, list[str]]:
    """Return :func:`decode`'s image, and in words what was left out or guessed."""
    notes: list[str] = []
    if len(content) > limits.bytes_each:
        raise DataError(f"larger than {limits.bytes_each / 1e6:.0f} MB", where=where, fix="Shrink it")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        check_shape(image.width, image.height, where, limits)
        if image.format == "JPEG" and content.find(b"\xff\xd9", content.rfind(b"\xff\xda")) < 0:
            raise DataError("the file ends too early", where=where, fix="Copy it again")
        image.draft(None, (limits.side, limits.side))
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append("holds several pictures; the first is used")
            image.seek(0)
        image.load()
        # After loading: PNG may hold it at its end, and TIFF turns by itself.
        turn = TURNS.get(_orientation(image))
        flat = _flatten(image, notes, where)
        flat.thumbnail((limits.side, limits.side), Image.Resampling.BILINEAR, reducing_gap=3)
        if turn is not None:
            flat = flat.transpose(turn)
        return np.array(flat, dtype=np.uint8), notes
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError("far too many pixels", where=where, fix="Shrink it") from None
    except Exception as error:  # damaged bytes make the formats' readers raise almost anything
        raise DataError(_why(content, error), where=where, fix="Replace or remove it") from None


def check_shape(width: int, height: int, where: str, limits: Limits) -> None:
    """Judge a size in pixels before anything is decoded; raises :class:`DataError`."""
    if width * height > limits.pixels:
        most = f"at most {limits.pixels / 1e6:.0f} million"
        raise DataError(f"{width}×{height} pixels, {most}", where=where, fix="Shrink it")
    if min(width, height) < LEAST_SIDE:
        needed = f"at least {LEAST_SIDE} on each side are needed"
        raise DataError(f"{width}×{height} pixels, {needed}", where=where, fix="Replace or remove it")
    if max(width, height) > MOST_ASPECT * min(width, height):
        most = f"one side is more than {MOST_ASPECT} times the other"
        raise DataError(f"{width}×{height} pixels, {most}", where=where, fix="Cut out what matters")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged notes of a camera do not make the picture unusable
        return 1


def _flatten(image: Image.Image, notes: list[str], where: str) -> Image.Image:
    """Return the loaded ``image`` as RGB; add to ``notes`` when values had to be interpreted."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(image, notes, where)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layers = image.convert("RGBA")
        paper = Image.new("RGB", layers.size, (255, 255, 255))
        paper.paste(layers, mask=layers.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image, notes: list[str], where: str) -> np.ndarray:
    """Return grey values of more than 8 bits, (H, W), as uint8."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise DataError("holds values that are not numbers", where=where, fix="Save it as 8-bit PNG")
    if image.mode == "F":
        # Programs write 0..1, 0..255 or 0..65535; nothing in the file says which.
        full = next((top for top in (1.0, 255.0, 65535.0) if low >= 0 and high <= top), 0.0)
    else:
        stated = _stated_maximum(image)
        full = stated if low >= 0 and high <= stated else 65535.0 if low >= 0 and high <= 65535 else 0.0
        if full and high <= full / 16:
            notes.append(f"nearly black: values up to {high:.0f} of {full:.0f}")
    if full and image.mode == "F":
        notes.append(f"values {low:.4g} to {high:.4g} read on a scale from 0 to {full:.0f}")
    if not full:
        notes.append(f"values {low:.4g} to {high:.4g} stretched from black to white")
    base, span = (0.0, full) if full else (low, (high - low) or 1.0)
    scaled = (values.astype(np.float32) - np.float32(base)) * np.float32(255 / span)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _stated_maximum(image: Image.Image) -> float:
    """Return the largest value that a TIFF says it uses (4095 for 12 bits), else that of 16 bits."""
    stated = getattr(image, "tag_v2", {}).get(MAX_SAMPLE, 0)
    stated = stated[0] if isinstance(stated, tuple) and stated else stated
    return float(stated) if isinstance(stated, int) and 255 < stated <= 65535 else 65535.0


def _why(content: bytes, error: Exception) -> str:
    if not content:
        return "the file is empty"
    if "truncated" in str(error):
        return "the file ends too early"
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "a HEIC or AVIF photo, not a readable image here"
    if isinstance(error, UnidentifiedImageError):
        return f"not a readable image, none of {', '.join(FORMATS)}"
    return "a damaged file, not a readable image"
