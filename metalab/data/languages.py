"""The languages of each split, and their families. A held-out language is never seen in meta-training.

Meta-train has two parts: the writer is pre-trained on all languages that are not named here, and tasks of
:data:`CHOOSING` teach the meta-learner what an unseen language is like for such a writer. Of the test
languages some have relatives in meta-train, the families of others are :data:`UNSEEN` there.
"""

from __future__ import annotations

import functools

UNSEEN: dict[str, tuple[str, ...]] = {
    "Uralic": ("fi", "et", "hu", "se", "smn"),
    "Basque": ("eu",),
    "Kartvelian": ("ka",),
    "Tai-Kadai": ("th", "lo"),
    "Bantu": ("sw", "zu", "xh"),
    "Koreanic": ("ko",),
    "Celtic": ("cy", "ga", "br", "gd"),
}
"""Test languages whose family is in no other split."""
RELATED = ("af", "gl", "sk", "uk", "da", "mk", "lv", "mr", "ms", "tk", "ast")
"""Test languages that have relatives in meta-train."""
VALIDATION = ("nb", "ca", "sl", "be", "lt", "jv", "kk", "lb", "nl", "tt", "hsb", "gu")
CHOOSING = (
    *("fy", "is", "gsw", "ro", "oc", "fur", "hr", "bs", "sr_Latn", "ur", "ne", "pa", "bn", "az", "ky", "ug"),
    *("mg", "mt", "am", "ha", "so", "el", "hy", "sq", "vi", "km", "my", "ta", "ml", "mn", "zh_Hant", "eo"),
    *("yo", "wo"),
)
"""Meta-train languages that the writer is not pre-trained on."""
LEFT_OUT = ("en", "nn", "no", "sh", "isv", "vo", "ia_001")
"""English itself, and languages that are nearly another one of the list."""
LEAST = 200
"""Pairs of a language, at least."""


def family(code: str) -> str:
    """Return the family of a test language if it is unseen in meta-training, "" otherwise."""
    return next((name for name, codes in UNSEEN.items() if code in codes), "")


@functools.cache
def kept_out() -> frozenset[str]:
    """Return languages that are left out of meta-train, since their families are :data:`UNSEEN` there."""
    uralic = ("sma", "smj", "sms", "mdf", "myv", "udm", "kv")
    celtic = ("gv", "kw")
    tai = ("za", "shn", "blt")
    bantu = (
        *(
            "sn",
            "lg",
            "bem",
            "ki",
            "kam",
            "luy",
            "mer",
            "nd",
            "nr",
            "nso",
            "st",
            "ss",
            "ts",
            "ve",
            "ny",
            "rn",
        ),
        *("ln", "lu", "bez", "asa", "jmc", "rof", "vun", "ksb", "dav", "ebu", "guz", "cgg", "nyn", "xog"),
        *("seh", "kde", "mgh", "mgo", "naq", "bas", "dua", "ewo", "ksf", "mua", "nmg", "nnh", "yav", "agq"),
        *("sbp", "lag", "rwk", "bss", "vmw", "swc", "jgo", "kkj", "sg"),
    )
    return frozenset((*uralic, *celtic, *tai, *bantu, "lzz"))
