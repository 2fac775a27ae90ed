"""The words of stories: those of one split are in no other, besides the verbs that all stories share."""

from __future__ import annotations

from metalab.tasks import Split

_TRAIN = {
    "person": """anna boris carla david elena felix greta henry irene jonas karin louis maria nora oscar paula
    quentin rosa simon tilda ulrich vera walter yara""",
    "place": """kitchen garden office cellar attic bathroom garage library market school church museum bakery
    station harbour meadow""",
    "thing": """lamp ball book cup knife hammer basket mirror pillow spoon guitar candle blanket ladder bottle
    needle""",
    "colour": "red blue green yellow black white brown purple",
    "material": "wood iron glass paper stone leather cotton plastic",
    "job": "baker doctor teacher farmer painter driver lawyer tailor sailor nurse",
    "food": "bread soup cheese apples rice fish cake salad plums honey",
    "animal": "dogs cats horses cows sheep geese rabbits mice",
    "day": "monday tuesday wednesday thursday",
    "beast": "dog cat horse cow",
}
_VALIDATION = {
    "person": "agnes bruno celia dario edith fabian gloria hugo",
    "place": "hallway balcony chapel stable tavern theatre orchard bridge",
    "thing": "kettle drum umbrella broom ring bucket brush rope",
    "colour": "orange grey silver",
    "material": "copper silk clay",
    "job": "plumber poet judge miller",
    "food": "pasta pears beans butter",
    "animal": "goats ducks pigs",
    "day": "friday",
    "beast": "goat duck pig",
}
_TEST = {
    "person": "amir bianca cyril doris emil flora gustav helga ivan judith kaspar lydia",
    "place": "bedroom pantry workshop park castle prison factory temple lighthouse forest",
    "thing": "football milk apron compass lantern statue violin parcel hat shovel",
    "colour": "pink golden violet beige",
    "material": "bronze wool marble rubber",
    "job": "pilot butcher singer gardener",
    "food": "pizza grapes onions pancakes",
    "animal": "wolves bears foxes swans",
    "day": "saturday sunday",
    "beast": "wolf bear fox swan",
}
_NUMBERS: dict[Split, range] = {
    "train": range(11, 40),
    "validation": range(40, 60),
    "test": range(60, 100),
}
CATEGORIES = (*_TRAIN, "number")


def vocabulary(split: Split) -> dict[str, list[str]]:
    """Return the words of ``split`` by category; names have a capital, numbers are digits."""
    held = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}[split]
    found = {category: words.split() for category, words in held.items()}
    for category in ("person", "day"):
        found[category] = [word.capitalize() for word in found[category]]
    return {**found, "number": [str(number) for number in _NUMBERS[split]]}
