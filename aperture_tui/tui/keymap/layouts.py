"""Keys of other alphabets. Terminals tell letters and not keys, so on another layout a letter key is another letter."""

from __future__ import annotations

from typing import Final

from textual.keys import _character_to_key

_LATIN: Final = "qwertyuiop[]asdfghjklzxcvbnm,."
_CYRILLIC: Final = {
    "ru": "йцукенгшщзхъфывапролдячсмитьбю",
    "uk": "йцукенгшщзхїфівапролдячсмитьбю",
    "bg": "явертъуиопшщасдфгхйклзьцжбнм,.",  # phonetic
}
_SHIFTED: Final = str.maketrans(_LATIN, "QWERTYUIOP{}ASDFGHJKLZXCVBNM<>")

LAYOUTS: Final = ("us", *_CYRILLIC)
"""What can be chosen; `us` is no other alphabet."""


def aliases(layout: str) -> dict[str, str]:
    """Key -> the key that the same place of the keyboard gives in another alphabet, by Textual's names.

    Only letters, and the signs that lie where that alphabet has letters: where it has signs they mean themselves.
    Raises KeyError for a layout that is not known.
    """
    if layout == LAYOUTS[0]:
        return {}
    letters = _CYRILLIC[layout]
    pairs = [*zip(_LATIN, letters, strict=True)]
    pairs += [(latin.translate(_SHIFTED), other.upper()) for latin, other in pairs]
    return {named(latin): named(other) for latin, other in pairs if other.isalpha()}


def named(character: str) -> str:
    """Textual's name for what a key types: `?` is question_mark."""
    return _character_to_key(character)
