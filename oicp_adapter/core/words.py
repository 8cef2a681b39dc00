"""Which known word a source's word is: the same, or one that is merely spelled another way. Pure.

The danger: a word that is nearly another one and means something else. So a spelling is forgiven only where it leads to
exactly one word, and words of three letters or less must be exact: "on" and "o-n" are not worth a wrong guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_LETTERS = 4
_IGNORED = re.compile(r"[\s_-]")


def folded(word: str) -> str:
    """A word without its case, blanks, `_` and `-`."""
    return _IGNORED.sub("", word).casefold()


class Words:
    """The words that are known in one column of one vocabulary."""

    def __init__(self, table: Iterable[str], own: Iterable[str] = (), *, any_case: bool = False) -> None:
        """`table`: those that are built in; `any_case`: their case never counts. `own`: those of the operator."""
        self._table = set(table)
        self._known = self._table | set(own)
        self._any_case = any_case
        self._alike: dict[str, list[str]] = {}
        self._cased: dict[str, list[str]] = {}
        for word in sorted(self._known):
            self._alike.setdefault(folded(word), []).append(word)
            self._cased.setdefault(word.casefold(), []).append(word)

    def find(self, word: str) -> str | None:
        """The known word that this one is; None if there is none, or more than one."""
        if word in self._known:
            return word
        if self._any_case:
            found = self._cased.get(word.casefold(), [])
            if len(found) == 1 and found[0] in self._table:
                return found[0]
        alike = self.alike(word)
        return alike[0] if len(alike) == 1 else None

    def alike(self, word: str) -> list[str]:
        """The known words that differ from this one in spelling only."""
        if sum(map(str.isalpha, word)) < _LETTERS:
            return []
        return self._alike.get(folded(word), [])

    def is_near(self, word: str, known: str) -> bool:
        """The spelling was forgiven, which a person should know."""
        return word != known and not (self._any_case and word.casefold() == known.casefold())


class Link(msgspec.Struct, frozen=True, order=True, gc=False):
    """What a source says of a charger's connection, where that is not "online". A known word comes first."""

    unmapped: bool
    """Nobody knows the word."""
    word: str
