"""Own pairs: CSV, JSON, TMX and PO in; what is wrong is said with its row, nothing is cut in silence."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metalab.data.pairs import Pair
from metalab.data.pairs_in import FIELDS, LONGEST, OWN, PairSet, from_rows, read_pairs
from metalab.data.placeholders import placeholders, unbalanced
from metalab.errors import DataError

TO, SUM = "translation", "summarisation"
TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US" datatype="xml"/><body>
<tu><tuv xml:lang="en"><seg>Save <ph x="1">{0}</ph></seg></tuv>
    <tuv xml:lang="de"><seg>{0} sichern</seg></tuv></tu>
<tu><tuv lang="EN-us"><seg>Open</seg></tuv>
    <tuv lang="de"><seg>Öffnen</seg></tuv><tuv lang="fr"><seg>Ouvrir &amp; lire</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Alone</seg></tuv></tu>
<tu><tuv xml:lang="de"><seg>Ohne</seg></tuv><tuv xml:lang="fr"><seg>Sans</seg></tuv></tu>
</body></tmx>"""
PO = r"""# a catalogue
msgid ""
msgstr ""
"Language: sl\n"
"Content-Type: text/plain; charset=UTF-8\n"

#: here.py:1
msgid "Save"
msgstr "Shrani"

#, fuzzy, python-format
msgid "Guess %s"
msgstr "Ugib %s"

msgctxt "menu"
msgid ""
"Say \"yes\"\n"
"and go"
msgstr "Reci \"da\"\nin pojdi"

msgid "%(count)d file"
msgid_plural "%(count)d files"
msgstr[0] "%(count)d datoteka"
msgstr[1] "%(count)d datoteki"
msgstr[2] "%(count)d datotek"

msgid "Later"
msgstr ""

msgid "Broken"
nonsense

#~ msgid "Old"
#~ msgstr "Staro"
msgid "Last"
msgstr "Zadnje"
"""


def csv(text: str, application: str = TO, name: str = "own.csv") -> PairSet:
    return read_pairs(text.encode(), application, name)


def pairs(held: PairSet, group: str = OWN) -> list[tuple[str, str]]:
    return [(one.source, one.target) for one in held.groups[group]]


def told(held: PairSet) -> dict[str, str]:
    return {note.where: note.what for note in held.notes}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("application", "columns"),
    [
        (TO, ("Source Text", "translation")),
        (TO, ("msgid", "msgstr")),
        (SUM, ("Document", "tldr")),
        (SUM, ("text", "Headline")),
    ],
)
def test_columns_by_many_names(mark: str, application: str, columns: tuple[str, str]) -> None:
    held = csv(f"{mark.join(reversed(columns))}{mark}x\nshort{mark}a long one{mark}y\n", application)
    assert pairs(held) == [("a long one", "short")]
    assert held.notes == []


def test_languages_as_columns_and_groups() -> None:
    held = csv("en,pt-BR\nSave,Salvar\n")
    assert pairs(held) == [("Save", "Salvar")]
    assert "en and pt-BR are read as source and target" in told(held)["own.csv"]
    held = csv("source,target,language\nSave,Sichern,de\nSave,Shrani,sl\nOpen,Odpri,sl\n")
    assert {name: len(group) for name, group in held.groups.items()} == {"de": 1, "sl": 2}
    assert len(held) == 3
    assert held.only("de") == [Pair("Save", "Sichern")]
    with pytest.raises(DataError, match=r"2 groups of pairs\. Choose one of: de, sl"):
        held.only()
    with pytest.raises(DataError, match="no group 'fr'"):
        held.only("fr")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"source": "a", "target": "b"}, {"src": "c", "tgt": "d"}]),
        json.dumps({"version": 1, "pairs": [["a", "b"], ["c", "d"]]}),
        json.dumps([{"translation": {"en": "a", "de": "b"}}, {"input": "c", "output": "d"}]),
    ],
)
def test_json_of_many_shapes(content: str) -> None:
    held = read_pairs(content.encode("utf-16"), TO, "own.json")
    assert pairs(held) == [("a", "b"), ("c", "d")]
    lines = "\n".join(json.dumps(row) for row in next(iter([json.loads(content)])) if isinstance(row, dict))
    if lines:
        assert pairs(read_pairs(lines.encode(), TO, "own.jsonl")) == [("a", "b"), ("c", "d")]


def test_highlights_in_a_list_are_one_summary() -> None:
    row = {"article": "one two three four", "highlights": ["one", "two"]}
    assert pairs(read_pairs(json.dumps([row]).encode(), SUM, "own.json")) == [
        ("one two three four", "one\ntwo")
    ]


def test_a_memory_of_translations() -> None:
    held = read_pairs(TMX.encode(), TO, "own.tmx")
    assert pairs(held, "de") == [("Save {0}", "{0} sichern"), ("Open", "Öffnen")]
    assert pairs(held, "fr") == [("Open", "Ouvrir & lire")]
    assert told(held) == {"own.tmx, line 8": "no text but that in en", "own.tmx, line 9": "no text in en-US"}
    for encoding in ("utf-16", "latin-1"):
        text = TMX.replace('encoding="UTF-8"', f'encoding="{encoding}"')
        assert read_pairs(text.encode(encoding), TO, "own.tmx").groups == held.groups
    free = read_pairs(TMX.replace("en-US", "*all*").encode(), TO, "own.tmx")
    assert free.groups == held.groups
    assert "taken as en" in told(free)["own.tmx"]


BOMB = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha"}">' for i in range(12))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"<!DOCTYPE tmx [{BOMB}]><tmx><body><tu><tuv><seg>&a11;</seg></tuv></tu></body></tmx>", "an entity"),
        ('<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]><tmx>&x;</tmx>', "declares an entity"),
        ('<!DOCTYPE tmx [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><tmx/>', "declares an entity"),
        ("<html/>", "is no TMX: its first element is 'html'"),
        ("<tmx>" + "<a>" * 100, "within each other"),
        ("<tmx><body>", "is no XML"),
        ('<?xml version="1.0" encoding="nonsense"?><tmx/>', "is no XML"),
        ("", "is no XML"),
        ("<tmx><body/></tmx>", "no pair can be used"),
    ],
)
def test_xml_is_read_safely(content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_pairs(content.encode(), TO, "own.tmx")


def test_a_catalogue() -> None:
    held = read_pairs(PO.encode(), TO, "own.po")
    assert pairs(held, "sl") == [
        ("Save", "Shrani"),
        ('Say "yes"\nand go', 'Reci "da"\nin pojdi'),
        ("%(count)d file", "%(count)d datoteka"),
        ("%(count)d files", "%(count)d datotek"),
        ("Last", "Zadnje"),
    ]
    assert told(held) == {
        "own.po, line 30": "line 31 is neither a keyword with a text in quotation marks nor such a text",
        "own.po, line 27": "1 entry not translated yet",
        "own.po, line 12": "1 entry marked fuzzy (a guess that nobody has checked)",
    }
    latin = PO.replace("charset=UTF-8", "charset=ISO-8859-2").replace("Shrani", "Šhrani")
    assert pairs(read_pairs(latin.encode("iso-8859-2"), TO, "own.po"), "sl")[0] == ("Save", "Šhrani")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("own.mo", b"\xde\x12\x04\x95\0\0\0\0", "compiled catalogue"),
        ("own.po", b'msgid "\xff"\nmsgstr ""', "not UTF-8"),
        ("own.po", b'msgid ""\nmsgstr "charset=nonsense"\nmsgid "\xff"', "not nonsense, as its header says"),
        ("own.po", b'msgid "a"\nmsgstr ""', r"line 1: 1 entry not translated"),
        (
            "own.csv",
            b"sorce,target\na,b",
            "no column source; there are sorce, target. Rename sorce to source",
        ),
        ("own.csv", b"a text,another text", "no column source"),
        ("own.csv", b"", "no column source; there are none"),
        ("own.csv", b'source,target\na,"b\nc,d', "the row from line 2 on: not a readable CSV"),
        ("own.csv", b"source,target\n\xe9,b", r"not UTF-8 \(byte 14, line 2\)"),
        ("own.json", b'{"a": [], "b": []}', "no list of rows"),
        ("own.json", b'[{"quelle": "a", "target": "b"}]', "no column source; there are quelle, target"),
        ("own.json", b"[]", "no pair can be used"),
        ("own.jsonl", b"{", "line 1: is no JSON"),
        ("own.docx", b"", "no known format. Give .csv, .json, .jsonl, .tmx or .po"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_pairs(content, TO, name)


def test_a_missing_or_enormous_file(tmp_path, monkeypatch) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_pairs(tmp_path / "gone.csv", TO)
    monkeypatch.setattr("metalab.data.pairs_in.MOST_BYTES", 10**6)
    with pytest.raises(DataError, match="more than 1 MB"):
        read_pairs(b"x" * (10**6 + 1), TO, "own.csv")
    monkeypatch.setattr("metalab.data.pairs_in.MOST_ROWS", 2)
    held = csv("source,target\na,b\nc,d\ne,f\n")
    assert len(held) == 2
    assert "the rest is not read" in told(held)["own.csv"]


def test_translations_are_no_summaries() -> None:
    with pytest.raises(DataError, match="translations, not summaries"):
        read_pairs(TMX.encode(), SUM, "own.tmx")


def test_rows_that_cannot_be_used_are_named_and_the_rest_is_kept() -> None:
    rows = [
        {"source": "Open", "target": "Öffnen"},
        {"source": "Open ", "target": "Öffnen"},
        {"source": "Open", "target": "Auf"},
        {"source": " ", "target": "leer"},
        {"source": "half \ud800", "target": "x"},
        {"source": "a" * (LONGEST + 1), "target": "x"},
        {"source": "%(name)s: {x} <b>now</b>", "target": "%(nam)s: {x} <b>jetzt"},
        {"source": 3, "target": "drei"},
        "no row",
        {"source": "\u0000\u0001", "target": "x"},
        {"source": "fine", "target": "gut"},
    ]
    held = read_pairs(json.dumps(rows).encode(), TO, "own.json")
    assert pairs(held) == [("Open", "Öffnen"), ("fine", "gut")]
    assert list(told(held).values()) == [
        "the same source as in row 1",
        "the same source as in row 1, with another target",
        "no source",
        "half a character (a lone surrogate) in the source",
        f"a source of {LONGEST + 1} characters, at most {LONGEST}",
        "placeholders differ: %(name)s, </b> are missing in the target; %(nam)s is only in the target",
        "no source",
        "is no object of names and values",
        "no source",
    ]
    assert [note.where for note in held.notes][-1] == "own.json, row 10"


def test_a_row_of_too_many_cells_is_not_cut() -> None:
    held = csv("source,target\nYes, please,Ja, bitte\nNo,Nein\nAlone\n")
    assert pairs(held) == [("No", "Nein")]
    assert "4 cells under 2 columns" in told(held)["own.csv, line 2"]
    assert told(held)["own.csv, line 4"] == "no target"


def test_what_is_repaired_is_told_once_with_its_rows() -> None:
    apart = unicodedata.normalize("NFD", "Größe ändern")
    rows = [("Resize", apart), ("One\r\ntwo", "Eins\rzwei"), ("a\x07b", "c\x7fd"), ("Size", apart)]
    rows += [("OK", "OK"), *((f"sign {i}", f"sign {i}") for i in range(9))]
    held = from_rows(
        ((f"row {i}", {"source": a, "target": b}) for i, (a, b) in enumerate(rows, 1)), TO, "table"
    )
    assert pairs(held)[:4] == [
        ("Resize", "Größe ändern"),
        ("One\ntwo", "Eins\nzwei"),
        ("ab", "cd"),
        ("Size", "Größe ändern"),
    ]
    found = {note.what: (note.where, note.action) for note in held.notes}
    assert found == {
        "letters and their accents are put together (Unicode NFC)": ("table, row 1, row 4", "repaired"),
        "line ends of another system are made plain": ("table, row 2", "repaired"),
        "control characters are taken out": ("table, row 3", "repaired"),
        "the target is the source itself": (
            "table, row 5, row 6, row 7, row 8, row 9 and 5 more",
            "warning",
        ),
    }


def test_scripts_from_right_to_left_and_combining_ones_stay_as_they_are() -> None:
    rows = [
        ("Save", "حفظ"),
        ("Open \u200f", "\u202bפתיחה\u202c"),
        ("Yes", "ใช่"),
        ("Name", "नाम"),
        ("🏳️‍🌈", "👩‍👩‍👧"),
    ]
    held = from_rows(((f"row {i}", {"source": a, "target": b}) for i, (a, b) in enumerate(rows)), TO)
    assert pairs(held) == [(a.strip(), b.strip()) for a, b in rows]
    assert held.notes == []


def test_a_summary_no_shorter_than_its_document_is_told() -> None:
    held = csv("document,summary\nshort,rather long\na long one,short\n", SUM)
    assert len(held) == 2
    assert "no shorter" in told(held)["own.csv, line 2"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("100% sicher, 50%d'or, 5 % der", {}),
        ("100%% %d%%", {"%d": 1}),
        ("%(a)s %(b).2f %s %1$s %2$d {0} {} {x.y!r:>10}", None),
        ("${home} {{name}} {not a name} {a, b}", {"{home}": 1, "{name}": 1}),
        ("<a href='x>y'>go</a> <br/> a < b > c", {"<a>": 1, "</a>": 1, "<br>": 1}),
    ],
)
def test_placeholders(text: str, found: dict[str, int] | None) -> None:
    if found is None:
        found = {"%(a)s": 1, "%(b).2f": 1, "%s": 2, "%d": 1, "{0}": 1, "{}": 1, "{x.y!r:>10}": 1}
    assert dict(placeholders(text)) == found


def test_placeholders_may_change_their_order() -> None:
    assert unbalanced("%s of %s in {x}", "{x}: %2$s von %1$s") == ""
    many = " ".join(f"{{x{i}}}" for i in range(9))
    assert unbalanced(many, "") == "{x0}, {x1}, {x2}, {x3} and 5 more are missing in the target"


# --- anything at all is read, or refused with words

TEXTS = st.text(max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def tried(content: bytes, application: str, name: str) -> None:
    try:
        held = read_pairs(content, application, name)
    except DataError:
        return
    for group in held.groups.values():
        sources = [" ".join(pair.source.split()) for pair in group]
        assert len(set(sources)) == len(sources)
        for pair in group:
            for text in (pair.source, pair.target):
                assert text == unicodedata.normalize("NFC", text).strip() != ""
                assert "\r" not in text
                text.encode()


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([TO, SUM]),
    st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a.tmx", "a.po"]),
)
def test_any_bytes_are_read_or_refused(content: bytes, application: str, name: str) -> None:
    tried(content, application, name)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([*FIELDS[TO]["source"], *FIELDS[TO]["target"], "group"]), VALUES)
    ),
    st.sampled_from([TO, SUM]),
)
def test_any_rows_are_read_or_refused(rows: list[dict], application: str) -> None:
    content = json.dumps(rows).encode()
    tried(content, application, "a.json")
    lines = "\n".join(map(json.dumps, rows)).encode()
    tried(lines, application, "a.jsonl")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1))
def test_any_texts_survive_json(rows: list[tuple[str, str]]) -> None:
    """What comes in well-formed comes out as it was, or is told."""
    content = json.dumps([{"source": a, "target": b} for a, b in rows]).encode()
    try:
        held = read_pairs(content, TO, "a.json")
    except DataError:
        return
    skipped = sum(note.action == "skipped" for note in held.notes)
    assert len(held) + skipped == len(rows)


@pytest.mark.parametrize(("name", "good"), [("a.tmx", TMX), ("a.po", PO)])
def test_damaged_files_are_read_or_refused(name: str, good: str) -> None:
    content, rng = good.encode(), random.Random(name)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(damaged))
            if rng.random() < 0.3:
                del damaged[at : at + rng.randrange(1, 40)]
            else:
                damaged[at] = rng.randrange(256)
        tried(bytes(damaged), TO, name)


def test_what_is_made_to_be_slow_is_not() -> None:
    """Without bounds each of these would take minutes, and be noticed."""
    tried(b"source,target\n" + b"%(" * 50_000 + b",x\n", TO, "a.csv")
    tried(json.dumps([{"source": "<a " * 30_000, "target": "{" * 90_000}]).encode(), TO, "a.json")
    tried(b'msgid "' + b"\\" * 1_000_000 + b'"\nmsgstr "x"', TO, "a.po")
    tried(b'msgid ""\n' + b'"x"\n' * 100_000 + b'msgstr "y"', TO, "a.po")
    tried(b"<tmx><body>" + b"<tu><tuv><seg>" * 12 + b"x" * 2_000_000, TO, "a.tmx")
    tried(b"[" * 1_000_000, TO, "a.json")
