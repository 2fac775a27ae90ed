"""English text as phonemes: a lexicon of frequent irregular words, then letter-to-sound rules.

The rules are a short table in the manner of Elovitz et al. 1976 (NRL report 7948): the longest spelling that
fits at a place is spoken. Good enough to be understood, not a pronouncing dictionary.
"""

from __future__ import annotations

import re
import unicodedata

from metalab.errors import DataError

PAUSE = "_"
LONGEST = 1000
"""Characters of a text."""
_LEXICON = """the:D @ a:@ an:& n of:V v to:t u and:& n d i:aI you:j u are:a r was:w V z were:w 3 have:h & v
he:h i she:S i we:w i me:m i be:b i my:m aI by:b aI do:d u does:d V z done:d V n one:w V n once:w V n s
two:t u who:h u what:w V t where:w E r there:D E r their:D E r they:D eI said:s E d says:s E z some:s V m
come:k V m love:l V v other:V D 3 mother:m V D 3 brother:b r V D 3 your:j O r our:aU 3 hour:aU 3 would:w U d
could:k U d should:S U d put:p U t pull:p U l full:f U l people:p i p @ l water:w O t 3 any:E n i many:m E n i
again:@ g E n friend:f r E n d world:w 3 l d word:w 3 d work:w 3 k give:g I v live:l I v gone:g O n
been:b I n is:I z as:& z his:h I z has:h & z this:D I s that:D & t than:D & n then:D E n them:D E m
these:D i z those:D oU z with:w I D from:f r V m for:f O r or:O r eye:aI eyes:aI z heart:h a r t
great:g r eI t break:b r eI k only:oU n l i old:oU l d cold:k oU l d told:t oU l d go:g oU no:n oU so:s oU
hello:h E l oU know:n oU now:n aU how:h aU don't:d oU n t won't:w oU n t can't:k & n t i'm:aI m it's:I t s
voice:v OI s zero:z I r oU four:f O r eight:eI t nine:n aI n seven:s E v @ n eleven:I l E v @ n
thousand:T aU z @ n d hundred:h V n d r @ d good:g U d book:b U k look:l U k took:t U k foot:f U t
school:s k u l today:t @ d eI very:v E r i every:E v r i laugh:l & f laughed:l & f t
enough:I n V f woman:w U m @ n women:w I m I n sure:S U r
sugar:S U g 3 blood:b l V d busy:b I z i minute:m I n I t"""
_LEXICON_MAP = {
    word: sound.split() for word, sound in re.findall(r"([a-z']+):((?:(?![a-z']+:)\S+\s*)+)", _LEXICON)
}
_RULES = """tion$:S @ n tions$:S @ n z sion$:Z @ n ight:aI t eigh:eI ough:O augh:O tch:tS dge:dZ sch:s k
ph:f sh:S ch:tS th:T ng$:N nk:N k ng:N g ck:k qu:k w wh:w ^wr:r ^kn:n ^gn:n ^ps:s mb$:m gh: ^x:z x:k s
ee:i ea:i oo:u ou:aU ow$:oU ow:aU oa:oU oi:OI oy:OI ai:eI ay:eI au:O aw:O ew:j u eu:j u ei:eI ey$:i ey:eI
ie$:aI ies$:i z ie:i ue$:u ui:u air:E r ear:I r oor:O r our:O r eer:I r ar:a r er:3 ir:3 or:O r ur:3 yr:3
are$:E r ere$:I r ire$:aI 3 ore$:O r ure$:j U r all:O l alk:O k le$:@ l
ce$:s ge$:dZ se$:z ve$:v ed$:d es$:z ce:s E ci:s I cy:s i ge:dZ E gi:dZ I gy:dZ i
^y:j y$:i y:I e$: e:E a:& i:I o:O u:V b:b c:k d:d f:f g:g h:h j:dZ k:k l:l m:m n:n p:p r:r s:s t:t v:v w:w
z:z"""
_LONG = {"a": ["eI"], "e": ["i"], "i": ["aI"], "o": ["oU"], "u": ["j", "u"], "y": ["aI"]}
_ONES = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SYMBOLS = {
    "%": "percent", "&": "and", "+": "plus", "@": "at", "=": "equals", "#": "number", "$": "dollars",
    "€": "euros", "£": "pounds", "°": "degrees", "/": "slash", "*": "star", "<": "less", ">": "more",
    "_": "underscore", "\\": "backslash", "^": "caret", "~": "tilde", "|": "bar",
}  # fmt: skip
_PAUSES = set('.,;:!?…—–-()[]{}"“”«»`\n\t ')
_FOLDED = {"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ð": "th", "þ": "th", "ł": "l", "đ": "d", "ı": "i",
           "’": "'", "‘": "'"}  # fmt: skip


def number_words(value: int) -> list[str]:
    """Return the English words of ``value``, 0 to 999999."""
    if value < 20:
        return [_ONES[value]]
    if value < 100:
        return [_TENS[value // 10], *([_ONES[value % 10]] if value % 10 else [])]
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if value >= unit:
            rest = number_words(value % unit) if value % unit else []
            return [*number_words(value // unit), name, *rest]
    raise AssertionError


def plain_words(text: str) -> list[str]:
    """Return ``text`` as lower-case English words and :data:`PAUSE` where punctuation asks for one.

    Numbers and symbols are spelled out, accents dropped. Raises :class:`DataError` for what cannot be spoken,
    naming the character and its place, for no words at all, and for more than :data:`LONGEST` characters.
    """
    if len(text) > LONGEST:
        raise DataError(
            f"{len(text)} characters, at most {LONGEST} are spoken", where="text", fix="Say it in parts"
        )
    found: list[str] = []
    for match in re.finditer(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|\S", text):
        part = match[0]
        if part[0].isdigit() and part.isascii():
            found += _spoken_number(part)
        elif part[0].isalpha():
            found.append("".join(_letter(one, match.start() + at) for at, one in enumerate(part.lower())))
        elif part in _SYMBOLS:
            found.append(_SYMBOLS[part])
        elif part in _PAUSES:
            if found and part != "-" and found[-1] != PAUSE:
                found.append(PAUSE)
        elif part not in "'’‘":
            raise _refused(part, match.start())
    if not any(word != PAUSE for word in found):
        raise DataError("holds nothing to say", where="text", fix="Type a word")
    return found[:-1] if found[-1] == PAUSE else found


def _spoken_number(written: str) -> list[str]:
    whole, _, rest = re.sub(r",(?=\d{3}(\D|$))", "", written).replace(",", ".").partition(".")
    digits = [_ONES[int(one)] for one in whole]
    words = number_words(int(whole)) if len(whole) <= 6 and (whole[0] != "0" or whole == "0") else digits
    return words if not rest else [*words, "point", *(_ONES[int(one)] for one in rest if one.isdigit())]


def _letter(one: str, place: int) -> str:
    folded = _FOLDED.get(one) or "".join(
        part for part in unicodedata.normalize("NFKD", one) if not unicodedata.combining(part)
    )
    if folded and not re.fullmatch(r"[a-z']+", folded):
        raise _refused(one, place)
    return folded


def _refused(one: str, place: int) -> DataError:
    return DataError(
        f"{one!r} (character {place + 1}) cannot be spoken",
        where="text",
        fix="Write it in Latin letters, numbers and punctuation",
    )


def word_sounds(word: str) -> list[str]:
    """Return the phonemes of one lower-case ``word``."""
    if word in _LEXICON_MAP:
        return list(_LEXICON_MAP[word])
    word = word.replace("'", "")
    found: list[str] = []
    at = 0
    while at < len(word):
        spelling, spoken = _rule(word, at)
        if not (
            found and spoken and len(spelling) == 1 and word[at - 1 : at] == spelling
        ):  # no double letter
            found += spoken
        at += len(spelling)
    return found or ["@"]


def phonemes_of(text: str) -> list[list[str]]:
    """Return ``text`` as clauses, each a list of phonemes with :data:`PAUSE` at its ends and between words.

    Raises :class:`DataError` as :func:`plain_words`.
    """
    clauses: list[list[str]] = [[PAUSE]]
    for word in plain_words(text):
        if word == PAUSE:
            clauses.append([PAUSE])
        else:
            clauses[-1] += [*word_sounds(word), PAUSE]
    return [clause for clause in clauses if len(clause) > 1]


def _rule(word: str, at: int) -> tuple[str, list[str]]:
    here = word[at:]
    if here[0] in _LONG and re.fullmatch(r"[^aeiouywx]e[sd]?", here[1:]) and word not in _SHORT:
        return here[0], _LONG[here[0]]
    if at and here[0] == "y" and at == len(word) - 1 and not re.search(r"[aeiou]", word[:at]):
        return "y", ["aI"]
    for spelling, first, last, spoken in _TABLE:
        fits = here.startswith(spelling) and (not first or at == 0)
        if fits and (not last or len(here) == len(spelling)) and not (spelling == "e" and last and at < 2):
            return spelling, spoken
    return here[0], []


def _known(spoken: list[str]) -> list[str]:
    """Return sounds with that of "vision", which the synthesiser lacks, replaced."""
    return ["S" if one == "Z" else one for one in spoken]


_SHORT = {"have", "give", "live", "gone", "done", "come", "some", "above"}
_TABLE = sorted(
    (
        (name.strip("^$"), name.startswith("^"), name.endswith("$"), _known(spoken.split()))
        for name, spoken in re.findall(r"(\^?[a-z]+\$?):((?:\s*(?!\^?[a-z]+\$?:)\S+)*)", _RULES)
    ),
    key=lambda rule: (-len(rule[0]), not rule[2], not rule[1]),
)
"""Spelling, whether only first or last in a word, and sounds; the longest first."""
