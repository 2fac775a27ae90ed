"""Writers adapted to pairs of texts: what they write, keep, refuse and tell."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from text_files import FIRST, small_config, small_weights
from writing_fixtures import language

import metalab
from metalab import pretraining, shipped
from metalab.api import adapt, create_metalearner, task_learning
from metalab.applications import applications
from metalab.backbones import create_backbone
from metalab.cli import main
from metalab.data import create_test_source, subwords
from metalab.data.pairs import Pair
from metalab.data.subwords import END, vocabulary
from metalab.errors import CheckpointError, DataError
from metalab.metalearners.writers import Writing
from metalab.tasks import Examples, TaskShape, seeded
from metalab.written_model import adapt_writer, cut_notes


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def ready(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (subwords, shipped, pretraining):
        monkeypatch.setattr(module, "SHIPPED", weights)
    vocabulary.cache_clear()
    yield
    vocabulary.cache_clear()


def learner(application: str, method: str = "") -> Writing:
    config = small_config(application, method)
    torch.manual_seed(0)
    made = create_metalearner(config.metalearner, create_backbone(config))
    with torch.no_grad():
        made.backbone.params()["copy_gate"].fill_(20)
    return made


@pytest.fixture(params=list(FIRST))
def application(request: pytest.FixtureRequest) -> str:
    return request.param


def test_saved_and_loaded_it_writes_the_same(application: str, tmp_path: Path) -> None:
    model = adapt_writer(learner(application), language(1)[:6])
    texts = [pair.source for pair in language(2)[:5]]
    found = model.predict(texts)
    assert [one.source for one in found] == texts
    assert all(0 < one.probability <= 1 for one in found)
    assert all(0 <= one.from_source + one.from_examples <= 1.001 for one in found)
    assert len(found[0].candidates) == 3
    assert model.predict(texts[2:3])[0].text == found[2].text, "texts beside it change nothing"
    model.save(tmp_path / "model.safetensors")
    again = metalab.load(tmp_path / "model.safetensors")
    assert again.application == application
    assert again.predict(texts) == found


@pytest.mark.parametrize("method", ["translate-maml", "translate-cavia"])
def test_other_methods_too(method: str, tmp_path: Path) -> None:
    model = adapt_writer(learner("translation", method), language(1)[:4])
    model.save(tmp_path / "model.safetensors")
    assert metalab.load(tmp_path / "model.safetensors").predict(["abc"]) == model.predict(["abc"])


def test_other_subwords_are_refused(weights: Path, tmp_path: Path) -> None:
    adapt_writer(learner("translation"), language(1)[:4]).save(tmp_path / "model.safetensors")
    other = subwords.train_vocabulary(["quite other words"] * 3, 300)
    kept = (weights / "languages.json").read_bytes()
    try:
        other.save(weights / "languages.json")
        vocabulary.cache_clear()
        with pytest.raises(CheckpointError, match="other sub-words"):
            metalab.load(tmp_path / "model.safetensors")
    finally:
        (weights / "languages.json").write_bytes(kept)


def test_words_that_matter_and_words_that_were_copied_stand_in_the_source() -> None:
    model = adapt_writer(learner("translation"), language(1)[:4])
    one = model.predict(["abc  dea\u0301f ghab"])[0]
    assert one.source == "abc  deáf ghab", "NFC"
    words = [one.source[mark.start : mark.end] for mark in model.explain(one)]
    assert words == ["abc", "deáf", "ghab"]
    assert all(0 <= mark.share <= 1 for mark in model.explain(one))
    ids = model.vocabulary.encode("abc héde")
    second = [float(at == len(ids) - 1) for at in range(len(ids) + 1)]
    source, examples = model._taken([*ids, END], second, [0.0] * len(second))
    assert ["abc héde"[mark.start : mark.end] for mark in source] == ["héde"]
    assert examples == []
    assert {one.source[mark.start : mark.end] for mark in one.copied} <= set(words)


@pytest.mark.parametrize("text", ["שלום עולם", "नमस्ते", "a\r\nb\rc", "👩‍👩‍👧 %(name)s", "x" * 5000])
def test_any_script_line_ends_and_length(text: str) -> None:
    one = adapt_writer(learner("translation"), [Pair(text, "ab")]).predict([text])[0]
    assert "\r" not in one.source
    assert (one.unread > 0) == (len(text) > 1000), "what is not read is told"


def test_what_is_cut_is_told(application: str) -> None:
    notes = cut_notes(learner(application), [Pair("abc", "d"), Pair("x " * 500, "y " * 500)])
    assert len(notes) == 2
    assert all("pair 2" in note.where and "only the first" in note.what for note in notes)


def test_task_learning_takes_lists_of_texts(application: str) -> None:
    pairs, other = [("abc def gh", "ab"), ("bcd efg ha", "bc")], [("cde fgh ab", "cd")]
    data, labels = zip(*pairs, strict=True)
    asked, truth = zip(*other, strict=True)
    result = task_learning(learner(application), data, labels, asked, truth)
    assert len(result.predictions) == 1
    assert 0 <= result.accuracy <= 1
    assert task_learning(learner(application), data, labels, asked).accuracy is None
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        task_learning(learner(application), data, labels[:1], asked)
    with pytest.raises(DataError, match=r"train_data\[1\]"):
        task_learning(learner(application), ["abcdef", 3], ["a", "b"], asked)
    with pytest.raises(DataError, match=r"train\[1\]"):
        task_learning(learner(application), ["abcdef", " "], ["a", "b"], asked)
    with pytest.raises(DataError, match="empty text"):
        adapt(application, data, labels).predict(["ok", " "])


def test_placeholders_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="placeholders differ"):
        adapt("translation", ["Hello %(name)s"], ["Hallo"])
    with pytest.raises(DataError, match="no pair"):
        adapt("translation", [], [])


def test_evaluating_on_own_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exact(outputs: torch.Tensor, examples: Examples) -> torch.Tensor:
        width = examples.y.shape[1]
        return (outputs[:, :width] == examples.y).all(1).float().mean()

    known = applications()
    exactly = dataclasses.replace(known["translation"], judge=exact)
    monkeypatch.setitem(known, "translation", exactly)
    file = write_csv(tmp_path / "own.csv")
    asked = ["evaluate", "--application", "translation", "--data", str(file), "--shot", "4", "--query", "3"]
    assert main([*asked, "--tasks", "2", "--json"]) == 0
    table = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "translate-code" in {row["method"] for row in table["rows"]}


def write_csv(path: Path, count: int = 12) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "target"])
        writer.writerows((pair.source, pair.target) for pair in language(3)[:count])
    return path


def test_own_pairs_are_a_source_of_meta_test_tasks(tmp_path: Path) -> None:
    config, file = small_config("translation"), write_csv(tmp_path / "own.csv")
    source, shape = create_test_source(config, "pairs", file), TaskShape(1, 4, 3)
    batch = source.sample(3, "test", shape, seeded("cpu", 0))
    assert batch.support.x.shape[:2] == (3, 4)
    assert batch.query.y.shape[:2] == (3, 3)
    assert source.n_train_classes == 0
    with pytest.raises(DataError, match="meta-test only"):
        source.check(shape, "train")
    with pytest.raises(DataError, match="12"):
        source.check(TaskShape(1, 10, 10), "test")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    support, model = write_csv(tmp_path / "own.csv"), str(tmp_path / "model.safetensors")
    text = tmp_path / "new.txt"
    text.write_text("abc def\n\nbcd\n")
    asked = ["--application", "translation"]
    assert main(["adapt", *asked, "--support", str(support), "--out", model]) == 0
    assert "from 12 pairs" in capsys.readouterr().out
    assert main(["predict", "--model", model, str(text)]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "abc def\n\nbcd"
    assert main(["predict", "--model", model, "--lines", str(text)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["line"] for row in rows] == [1, 3]
    (tmp_path / "bad.csv").write_text("source,target\nHello %s,Hallo\n")
    assert main(["adapt", *asked, "--support", str(tmp_path / "bad.csv"), "--out", model]) == 2
    assert "line 2" in capsys.readouterr().err
