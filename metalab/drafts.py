"""Summaries to choose from: made of a document's title and sentences, in the style of examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from metalab.data.pairs import Pair
from metalab.extracts import cut, nearest_summary, told

MOST = 40
"""Drafts of a document, at most."""
SENTENCES = 8
"""Sentences of a document that drafts are made of."""
OPENINGS = 5
"""First words of the examples that a title is put behind."""
VERBS = ("Return", "Get", "Compute", "Create", "Set", "Check")
"""First words without an example: the most frequent of meta-train that suit a title."""
_RETURNS = re.compile(r"^(?:returns?|yields)\s*(?::\s*(?P<said>.*))?$", re.IGNORECASE)
_SECTION = re.compile(r"^[A-Za-z ]{1,20}:$")
_ENTRY = re.compile(r"^(?:[\w*, ]{1,40} ?: )?[^.]*?\b((?:[A-Z][a-z]*|an?|the)\b .*)$")
_FIELD = re.compile(r"^[\w*, ]{1,40} ?: [^.]{0,60}? (?=[A-Z][a-z]* )")
_CLAUSE = re.compile(r"[,;:(]| (?:if|when|which|that|so|because|where|unless|using|and) ")


class Kind(IntEnum):
    """How a draft was made."""

    TITLE = 0
    OPENED_TITLE = 1
    SENTENCE = 2
    CLAUSE = 3
    CUT = 4
    RETURNS = 5
    EXAMPLE = 6
    SWAPPED = 7
    WRITTEN = 8


class Draft(NamedTuple):
    """A summary to choose; ``place`` is that of its sentence in the document, or among its like."""

    text: str
    kind: Kind
    place: int


def drafts(support: Sequence[Pair], document: str, written: Sequence[str] = ()) -> list[Draft]:
    """Return different drafts for ``document``, :data:`MOST` at most, in the style of ``support``.

    ``support`` may be empty; ``written`` are those of a writer, which stand first.
    """
    first, _, rest = document.strip().partition("\n")
    owner, _, title = first.rpartition(": ")
    made = [Draft(text, Kind.WRITTEN, place) for place, text in enumerate(written)]
    made += _titled(support, title, owner, document)
    body = told(rest or first)[:SENTENCES]
    length = round(sum(len(one.target.split()) for one in support) / len(support)) if support else 10
    for place, sentence in enumerate(body):
        made.append(Draft(cut(support, sentence), Kind.CUT, place))
        made.append(Draft(sentence, Kind.SENTENCE, place))
        if (field := _FIELD.match(sentence)) is not None:
            made.append(Draft(sentence[field.end() :], Kind.SENTENCE, place))
        for end in [match.start() for match in _CLAUSE.finditer(sentence)][:2]:
            if 3 <= len(sentence[:end].split()) <= 2 * length:
                made.append(Draft(_ended(sentence[:end]), Kind.CLAUSE, place))
    kept: dict[str, Draft] = {}
    for draft in made:
        if draft.text:
            kept.setdefault(draft.text.lower(), draft)
    return list(kept.values())[:MOST]


def _titled(support: Sequence[Pair], title: str, owner: str, document: str) -> list[Draft]:
    words = title.split()
    made = [Draft(_ended(title), Kind.TITLE, 0)]
    if owner:
        made.append(Draft(_ended(f"{title} of the {owner}"), Kind.TITLE, 1))
        made.append(Draft(_ended(f"{title} {owner}"), Kind.TITLE, 2))
    third = _third(support)
    openings = [word for word, _ in Counter(one.target.split()[0] for one in support).most_common(OPENINGS)]
    nearest = nearest_summary(support, document).split()[0] if support else ""
    verbs = [_inflected(verb, third) for verb in VERBS]
    openings = list(dict.fromkeys([nearest, *openings, *verbs] if nearest else verbs))[: OPENINGS + 2]
    for place, opening in enumerate(openings):
        rest = words[1:] if words and _inflected(words[0], third) == opening else words
        article = "" if opening.lower() in ("a", "an", "the") else "the "
        made.append(Draft(_ended(f"{opening} {article}{' '.join(rest)}"), Kind.OPENED_TITLE, place))
    if len(words) > 1:  # the title may begin with what is done
        verb = _inflected(words[0], third)
        made.append(Draft(_ended(f"{verb} the {' '.join(words[1:])}"), Kind.OPENED_TITLE, len(openings)))
        made.append(Draft(_ended(f"{verb} a {' '.join(words[1:])}"), Kind.OPENED_TITLE, len(openings) + 1))
    if owner:
        verb, object_ = _inflected(words[0], third) if words else "", " ".join(words[1:]) or owner
        made.append(Draft(_ended(f"{verb} the {object_} of the {owner}"), Kind.OPENED_TITLE, 8))
    for place, text in enumerate(_returned(document)[:2]):
        made.append(Draft(_ended(f"{_inflected('Return', third)} {text}"), Kind.RETURNS, place))
        made.append(Draft(_ended(text), Kind.RETURNS, place + 2))
    swapped = [_swapped(one, words) for one in support]
    made += [Draft(text, Kind.SWAPPED, at) for at, text in enumerate(swapped) if text][:4]
    if support:
        made.append(Draft(nearest_summary(support, document), Kind.EXAMPLE, 0))
    return made


def _third(support: Sequence[Pair]) -> bool:
    """Return whether most examples begin as *Returns* does, not as *Return*."""
    firsts = [one.target.split()[0].lower() for one in support]
    return sum(word.endswith("s") and not word.endswith("ss") for word in firsts) > len(firsts) / 2


def _inflected(verb: str, third: bool) -> str:
    """Return ``verb`` as a first word, in the third person if asked for."""
    if verb.lower() in ("is", "has", "was", "does"):
        return verb[:1].upper() + verb[1:]
    plain = verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
    if third:
        if re.search(r"[^aeiou]y$", plain):
            plain = f"{plain[:-1]}ies"
        else:
            plain += "es" if re.search(r"(s|x|z|ch|sh)$", plain) else "s"
    return plain[:1].upper() + plain[1:]


def _returned(document: str) -> list[str]:
    """Return what the section of returned values says of them, as the object of a sentence."""
    lines, found = document.split("\n"), []
    for at, line in enumerate(lines):
        if (match := _RETURNS.match(line.strip())) is None:
            continue
        for said in [match["said"]] if match["said"] else lines[at + 1 : at + 3]:
            if _SECTION.match(said) or not said.strip():
                break
            if (entry := _ENTRY.match(told(said)[0])) is not None:
                text = entry[1].strip()
                found.append(text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text)
    return found


def _swapped(one: Pair, words: Sequence[str]) -> str:
    """Return an example's summary, its title's words exchanged for ``words`` place by place; "" without any.

    *remove node: Remove a node.* makes *Remove a edge.* of *remove edge*.
    """
    theirs = one.source.partition("\n")[0].rpartition(": ")[2].split()
    pairs = dict(zip(reversed(theirs), reversed(words), strict=False))
    parts, changed = [], False
    for piece in re.split(r"(\W+)", one.target):
        new = pairs.get(piece.lower())
        if new is not None and new != piece.lower():
            parts.append(new.capitalize() if piece[:1].isupper() else new)
            changed = True
        else:
            parts.append(piece)
    return "".join(parts) if changed else ""


def _ended(text: str) -> str:
    """Return ``text`` as a sentence."""
    text = text.strip().rstrip(".,;:")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
