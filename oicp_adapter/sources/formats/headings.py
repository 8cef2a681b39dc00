"""Which column of a source is which of our fields: by the settings, by our own name, by the vocabulary's, or nearly so.

The danger: `connectorId` left unread joins two connectors into one, and a column taken for one that it is not decides
about chargers. So a name that nearly fits is read only where nothing else fits as well, and a person is told of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeAlias

from oicp_adapter.core.columns import COLUMNS
from oicp_adapter.core.model import Columns
from oicp_adapter.core.words import folded

_NEAR = 0.8

Recognise: TypeAlias = Callable[[Iterable[str]], Columns]
"""The names of a source → which of them is what."""


def recognised(header: Iterable[str], fields: Mapping[str, str], headings: Mapping[str, str]) -> Columns:
    """What is read of the columns in `header`.

    `fields`: ours → theirs, "" for none; dotted names, and those that are not in the header, are no concern here.
    `headings`: theirs → ours, as the vocabulary's exports name them.
    """
    found = list(dict.fromkeys(header))
    named = {theirs.partition(".")[0] for theirs in fields.values()}
    free = [theirs for theirs in found if theirs not in named]
    open_ones = [ours for ours in COLUMNS if ours not in fields]
    read = {ours: theirs for ours, theirs in fields.items() if theirs in found}
    exact = {theirs: ours for ours in reversed(open_ones) for theirs in (ours,) if theirs in free}
    exact |= {theirs: ours for theirs, ours in headings.items() if theirs in free and ours in open_ones}
    for ours in open_ones:
        # Our own name before that of the vocabulary's exports.
        fits = [theirs for theirs, meant in exact.items() if meant == ours]
        if fits:
            read[ours] = ours if ours in fits else fits[0]
    taken = set(read.values()) | named
    alike: dict[str, list[str]] = {}
    names = {folded(theirs): ours for theirs, ours in headings.items()}
    names = {folded(ours): ours for ours in COLUMNS if folded(ours) not in names} | names
    for theirs in free:
        ours = names.get(folded(theirs), "")
        if theirs not in taken and ours in open_ones and ours not in read:
            alike.setdefault(ours, []).append(theirs)
    near = {ours: fits[0] for ours, fits in alike.items() if len(fits) == 1}
    doubtful = tuple((ours, tuple(fits)) for ours, fits in alike.items() if len(fits) > 1)
    used = {*taken, *near.values(), *(theirs for _, fits in doubtful for theirs in fits)}
    ignored = tuple(theirs for theirs in found if theirs not in used)
    return Columns(
        read=tuple((theirs, ours) for ours, theirs in (read | near).items()),
        near=tuple((theirs, ours) for ours, theirs in near.items()),
        doubtful=doubtful,
        ignored=ignored,
        nearly=tuple(_nearly(ignored, [ours for ours in open_ones if ours not in read and ours not in near])),
    )


def renamed(names: Mapping[str, str], columns: Columns) -> dict[str, str]:
    """The names to read by: ours → theirs, where the source has them, else as in `names`."""
    found = {ours: theirs for theirs, ours in columns.read}
    doubtful = {ours for ours, _ in columns.doubtful}
    return {ours: found.get(ours, theirs) for ours, theirs in names.items() if ours not in doubtful}


def _nearly(ignored: Iterable[str], missing: list[str]) -> Iterable[tuple[str, str]]:
    by_fold = {folded(ours): ours for ours in missing}
    for theirs in ignored:
        for fold in get_close_matches(folded(theirs), by_fold, n=1, cutoff=_NEAR):
            yield theirs, by_fold[fold]
