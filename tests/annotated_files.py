"""Small annotated pictures of every layout, for the tests of readers and writers."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metalab.data.annotated import AnnotatedSet, read_annotated

Files = dict[str, bytes]
Size = tuple[int, int]
WIDTH, HEIGHT = 32, 24


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def photo(
    seed: int = 0, kind: str = "JPEG", size: tuple[int, int] = (WIDTH, HEIGHT), **options: object
) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC), kind, **options)


def grey(values: np.ndarray, mode: str = "L") -> bytes:
    image = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        image.putpalette(np.random.default_rng(0).integers(0, 255, 768, dtype=np.uint8).tobytes())
    return encoded(image)


def block(x1: int, y1: int, x2: int, y2: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """Return a mask bool (H, W) of one rectangle, right and bottom exclusive."""
    mask = np.zeros((size[1], size[0]), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def outline(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def annotation(ident: int, image: int, category: int, x1: int, y1: int, x2: int, y2: int) -> dict[str, Any]:
    box = [x1, y1, x2 - x1, y2 - y1]
    shape = [outline(x1, y1, x2, y2)]
    held = {"id": ident, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0}
    return {**held, "segmentation": shape, "area": box[2] * box[3]}


def coco() -> dict[str, Any]:
    """Return two pictures: a cat and a dog on the first, a dog on the second."""
    return {
        "info": {"description": "test"},
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT} for i in (1, 2)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            annotation(1, 1, 3, 2, 3, 10, 12),
            annotation(2, 1, 7, 15, 5, 30, 20),
            annotation(3, 2, 7, 0, 0, 8, 9),
        ],
    }


def with_coco(held: object, **more: bytes) -> Files:
    pictures = {f"images/{i}.jpg": photo(i) for i in (1, 2)}
    content = held if isinstance(held, bytes) else json.dumps(held).encode()
    return {"instances.json": content, **pictures, **more}


def voc_xml(
    stem: str, *objects: tuple[str, int, int, int, int], size: tuple[int, int] = (WIDTH, HEIGHT)
) -> bytes:
    """Return a VOC file; boxes are given as right and bottom exclusive from 0, and written as VOC does."""
    parts = [
        f"<object><name>{name}</name><difficult>0</difficult>"
        f"<bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, x1, y1, x2, y2 in objects
    ]
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{stem}.jpg</filename>{sides}{''.join(parts)}</annotation>".encode()


def voc() -> Files:
    return {
        "Annotations/1.xml": voc_xml("1", ("cat", 2, 3, 10, 12), ("dog", 15, 5, 30, 20)),
        "Annotations/2.xml": voc_xml("2", ("dog", 0, 0, 8, 9)),
        "JPEGImages/1.jpg": photo(1),
        "JPEGImages/2.jpg": photo(2),
    }


def numbers(*objects: tuple[int, np.ndarray]) -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, mask in objects:
        values[mask] = number
    return values


CAT, DOG, DOG2 = block(2, 3, 10, 12), block(15, 5, 30, 20), block(0, 0, 8, 9)


def on_disk(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(files: Files) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def read(files: Files, leave_out: bool = True, **options: object) -> AnnotatedSet:
    return read_annotated(io.BytesIO(zipped(files)), leave_out=leave_out, **options)


def said(found: AnnotatedSet) -> str:
    return "\n".join(f"{note.action} {note.where}: {note.what}" for note in found.notes)
