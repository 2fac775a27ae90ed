"""Own tables of ratings and impressions: what is recognised, named as faulty, kept, counted and described."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metalab.bench import events as bench
from metalab.config import Config
from metalab.data import create_source, movielens
from metalab.data.event_rows import read_rows
from metalab.data.event_statistics import statistics
from metalab.data.events_in import read_events
from metalab.errors import ConfigError, DataError, FaultyDataError

GOOD = "user,item,rating,timestamp\n" + "".join(
    f"u{user},i{item},{1 + (user + item) % 5},{1_600_000_000 + 60 * item}\n"
    for user in range(6)
    for item in range(8)
)


def written(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_ratings_are_read_in_order_of_time(tmp_path: Path) -> None:
    held = read_events(written(tmp_path, GOOD), "ratings")
    assert (len(held.events), held.rows, held.faults) == (6, 48, [])
    assert held.events.scale == (1, 5)
    assert (np.diff(held.events.time.reshape(6, 8)) > 0).all()
    assert any("1 to 5" in note for note in held.notes)


def test_bad_rows_are_named_by_number_and_the_rest_is_kept(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    bad = {
        3: "u0,i1,many,1600000000",
        5: "u0,,3,1600000000",
        9: "u0,i7,99,1600000000",
        11: "a,b",
        20: "u2,i2,3,then",
    }
    for number, line in bad.items():
        lines[number - 1] = line
    path = written(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(FaultyDataError) as caught:
        read_events(path, "ratings")
    text = str(caught.value)
    for number, what in {
        3: "'many' is no number",
        5: "no item",
        9: "'99' is outside of 1 to 5",
        11: "2 cells, 4 are needed",
        20: "'then' is no time",
    }.items():
        assert any(f"row {number}," in line and what in line for line in text.splitlines()), (number, text)
    held = read_events(path, "ratings", leave_out=True)
    assert {fault.row for fault in held.faults} == set(bad)
    assert len(held.events.outcome) == 48 - len(bad)
    assert any(note.startswith("5 rows were left out") for note in held.notes)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(["good", "text", "short", "empty", "far"]), min_size=20, max_size=80))
def test_every_row_is_kept_or_named(tmp_path: Path, kinds: list[str]) -> None:
    lines = ["user,item,rating"]
    for number, kind in enumerate(kinds):
        user, item = f"u{number % 3}", f"i{number}"
        lines.append(
            {
                "good": f"{user},{item},{1 + number % 5}",
                "text": f"{user},{item},none",
                "short": f"{user}",
                "empty": f",{item},3",
                "far": f"{user},{item},{5000 + number}",
            }[kind]
        )
    path = written(tmp_path, "\n".join(lines))
    try:
        held = read_events(path, "ratings", leave_out=True, scale=(1, 5))
    except DataError:
        return  # nobody has two good rows
    good = {number + 2 for number, kind in enumerate(kinds) if kind == "good"}
    assert {fault.row for fault in held.faults} == {number + 2 for number in range(len(kinds))} - good
    single = sum("one row only" in note for note in held.notes)
    assert len(held.events.outcome) <= len(good)
    assert len(held.events.outcome) >= len(good) - 2 * single


def test_misnamed_columns_are_suggested_or_mapped(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("user,item", "Kunde,prodct", 1))
    with pytest.raises(DataError, match="no column user; there are Kunde, prodct, rating, timestamp"):
        read_events(path, "ratings")
    with pytest.raises(DataError, match="Rename prodct to product"):
        read_events(path, "ratings", {"user": "Kunde"})
    assert len(read_events(path, "ratings", {"user": "Kunde", "item": "prodct"}).events) == 6
    with pytest.raises(DataError, match="no column 'Client'"):
        read_events(path, "ratings", {"user": "Client"})
    with pytest.raises(DataError, match="no field is called who"):
        read_events(path, "ratings", {"who": "Kunde"})


def test_repeated_pairs_and_users_with_one_row_are_counted(tmp_path: Path) -> None:
    text = GOOD + "u0,i0,5,1700000000\nlonely,i3,4,1600000000\n"
    held = read_events(written(tmp_path, text), "ratings")
    assert any(note.startswith("1 rows repeat") for note in held.notes)
    assert any(note.startswith("1 users with one row only") for note in held.notes)
    rows = held.events.rows(0)
    first = held.events.entity[rows] == list(held.events.entity_names).index("i0")
    assert held.events.outcome[rows][first].tolist() == [5]


def test_further_columns_describe_items_users_or_the_moment(tmp_path: Path) -> None:
    lines = ["customer;sku;stars;date;title;genre;age;device;price;session"]
    for user in range(30):
        for item in range(12):
            genre, price = ("war|music", "war", "art")[item % 3], 10 + item**2
            cells = [user, item, 1 + (user * item) % 5, f"2024-03-{1 + item:02d} 10:00", f"Book {item}"]
            cells += [genre, 20 + user, ("phone", "desk")[(user + item) % 2], price, f"s{user}{item}x"]
            lines.append(";".join(map(str, cells)))
    held = read_events(written(tmp_path, "\n".join(lines)), "ratings")
    events = held.events
    assert set(events.feature_names) == {
        "genre war", "genre music", "genre art", "price", "age", "device phone", "device desk"
    }  # fmt: skip
    assert events.entity_features.shape == (12, 4)
    assert events.task_features.shape == (30, 1)
    assert events.context.shape == (360, 2)
    assert list(events.entity_names)[:2] == ["Book 0", "Book 1"]
    flags = dict(zip(events.feature_names, events.entity_features[0].tolist(), strict=False))
    assert (flags["genre war"], flags["genre music"], flags["genre art"]) == (1, 1, 0)
    assert any("session" in note for note in held.notes)


def test_clicks_of_campaigns_criteo_and_avazu(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["campaign,clicked,time,position"]
    lines += [f"c{i % 4},{i % 7 == 0:d},{i},{i % 3}" for i in range(200)]
    held = read_events(written(tmp_path, "\n".join(lines)), "clicks")
    assert (len(held.events), held.events.scale) == (4, (0, 1))
    assert list(held.events.entity_names) == ["anyone"]
    words = [[f"v{i % 60}" for i in range(k, k + 26)] for k in range(600)]
    numbers = [[int(rng.random() < 0.3), *rng.integers(0, 9, 13).tolist()] for _ in words]
    criteo = "\n".join("\t".join(map(str, a + b)) for a, b in zip(numbers, words, strict=True))
    held = read_events(written(tmp_path, criteo, "criteo.tsv"), "clicks")
    assert any("stands for it, with 60 values" in note for note in held.notes)
    avazu = ["id,click,hour,C1,banner_pos,site_id,C14"]
    avazu += [
        f"{i},{i % 5 == 0:d},141021{i % 24:02d},1005,{i % 2},s{i % 3},{15000 + i % 4}" for i in range(400)
    ]
    held = read_events(written(tmp_path, "\n".join(avazu), "avazu.csv"), "clicks")
    assert any("Avazu" in note for note in held.notes)
    assert held.events.time[0] > 1_400_000_000
    with pytest.raises(FaultyDataError, match="row 3, clicked: 'maybe' is neither 0 nor 1"):
        read_events(written(tmp_path, "campaign,clicked\na,1\na,maybe\na,0\n"), "clicks")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"user,item,rating\n", "two rows or more"),
        (b"user,item,rating\nu,i,3\xff\nu,j,4\n", "is not UTF-8"),
        (b"user,user,rating\nu,i,3\n", "two columns have the same name"),
        (b"PAR1 is no parquet", "no readable Parquet"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(DataError, match=what):
        read_events(written(tmp_path, content), "ratings")


def test_parquet_and_utf16_are_read_as_csv_is(tmp_path: Path) -> None:
    import pandas as pd

    csv = read_events(written(tmp_path, GOOD), "ratings").events
    frame = pd.read_csv(tmp_path / "events.csv")
    frame.to_parquet(tmp_path / "events.parquet")
    wide = read_events(written(tmp_path, GOOD.encode("utf-16"), "wide.csv"), "ratings").events
    for other in (wide, read_events(tmp_path / "events.parquet", "ratings").events):
        assert np.array_equal(other.outcome, csv.outcome)
        assert np.array_equal(other.entity, csv.entity)


def test_rows_of_one_user(tmp_path: Path) -> None:
    held = read_rows(b"item,rating\na,3\nb,4.5\n", "ratings", "r.csv")
    assert (held.names, held.outcomes) == (["a", "b"], [3.0, 4.5])
    assert read_rows(b"item\na\n", "ratings", "r.csv", outcomes=False).outcomes is None
    with pytest.raises(FaultyDataError, match="row 3, rating: 'good' is no rating"):
        read_rows(b"item,rating\na,3\nb,good\n", "ratings", "r.csv")
    with pytest.raises(DataError, match="no column rating"):
        read_rows(b"item,remark\na,3\n", "ratings", "r.csv")


def test_a_source_of_own_ratings_and_models_that_know_others(tmp_path: Path) -> None:
    from metalab.data import create_test_source

    path = written(tmp_path, GOOD)
    config = Config.create(application="product-recommendation", source="ratings", data=path, shot=3)
    assert create_source(config).n_train_classes == 4
    with pytest.raises(ConfigError, match="knows only the entities"):
        create_test_source(Config.create(application="product-recommendation"), "ratings", path)


def test_a_big_table_is_written_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench.write(tmp_path / "big.csv", 5000, 0)
    bench.read(str(tmp_path / "big.csv"))
    import json

    held = json.loads(capsys.readouterr().out)
    assert (held["rows"], held["faults"]) == (5000, 50)


def test_movielens_in_three_layouts(tmp_path: Path) -> None:
    for name in ("recbole", "grouplens", "latest"):
        (tmp_path / name).mkdir()
    pairs = [(u, f, 1 + (u + f) % 5, 880_000_000 + f) for u in range(1, 5) for f in range(1, 7)]
    inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    inter += "".join("\t".join(map(str, row)) + "\n" for row in pairs)
    written(tmp_path / "recbole", inter, "ml-100k.inter")
    items = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    items += "".join(f"{f}\tFilm {f}\t{1990 + f}\tDrama War\n" for f in range(1, 7))
    written(tmp_path / "recbole", items, "ml-100k.item")
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    written(
        tmp_path / "recbole",
        users + "".join(f"{u}\t{20 + u}\tF\tnurse\t0\n" for u in range(1, 5)),
        "ml-100k.user",
    )
    written(tmp_path / "grouplens", "".join("\t".join(map(str, row)) + "\n" for row in pairs), "u.data")
    flags = "|".join("1" if i in (8, 17) else "0" for i in range(19))
    films = "".join(f"{f}|Film {f}|01-Jan-{1990 + f}||url|{flags}\n" for f in range(1, 7))
    written(tmp_path / "grouplens", films.encode("latin-1"), "u.item")
    written(tmp_path / "grouplens", "".join(f"{u}|{20 + u}|F|nurse|0\n" for u in range(1, 5)), "u.user")
    rows = "userId,movieId,rating,timestamp\n" + "".join(",".join(map(str, row)) + "\n" for row in pairs)
    written(tmp_path / "latest", rows, "ratings.csv")
    films = "movieId,title,genres\n" + "".join(f"{f},Film {f} ({1990 + f}),Drama|War\n" for f in range(1, 7))
    written(tmp_path / "latest", films, "movies.csv")
    for name in ("recbole", "grouplens", "latest"):
        events = movielens.ratings(tmp_path / name)
        assert (len(events), len(events.outcome)) == (4, 24)
        held = dict(zip(events.feature_names, events.entity_features[0].tolist(), strict=False))
        assert (held["Drama"], held["War"], held["Comedy"]) == (1, 1, 0), name
        assert movielens.clicks(tmp_path / name).outcome.sum() == sum(row[2] >= 4 for row in pairs)
    with pytest.raises(DataError, match=r"holds no ml-100k.inter"):
        movielens.ratings(tmp_path)


@pytest.mark.skipif(
    movielens.installed() is None, reason="recbole, which brings MovieLens-100k, is not installed"
)
def test_movielens_itself_and_its_statistics() -> None:
    events = movielens.ratings()
    assert (len(events), len(events.outcome), len(events.entity_names)) == (943, 100_000, 1682)
    found = statistics(events)
    assert found["median events of a task"] == 65
    assert found["mean outcome"] == pytest.approx(3.53, abs=0.01)
