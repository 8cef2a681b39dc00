"""A change of the source's word that we saw ourselves, between two reads of one process, is a sign of life. Pure.

The danger: heartbeats are skipped while other messages go, so a charger that has just reported is taken for dead; and
a word that a backend writes because the charger is gone, kept for a sign that it is there. So only a known word counts
that the charger itself may have said, and only where the reads were close enough to tell when it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oicp_adapter.core.claims import Claim
from oicp_adapter.core.model import Cause
from oicp_adapter.core.rules import MappingRules
from oicp_adapter.core.vocabulary import Meaning, Target, common_words
from oicp_adapter.core.words import folded

_SAID = (Target.AVAILABLE, Target.OCCUPIED, Target.RESERVED, Target.OUT_OF_SERVICE)
_OFFLINE = frozenset(
    folded(word) for rule in common_words() if rule.meaning is Meaning.OFFLINE for word in rule.values
)


class Heard:
    """What one process remembers from read to read. Lost with it: then nothing was seen."""

    def __init__(self, rules: MappingRules) -> None:
        self._silence = rules.heartbeat_interval * rules.missed_heartbeats
        self._words: dict[tuple[str, str], str] = {}
        self._times: dict[str, float] = {}
        self._read_at: float | None = None

    def times(self, by_evse: Mapping[str, Iterable[Claim]], *, now: float) -> dict[str, float]:
        """Station (or EVSE key, where there is none) → when its word was last seen to change. Takes the read in."""
        words: dict[tuple[str, str], str] = {}
        doubtful: set[tuple[str, str]] = set()
        spoken: dict[tuple[str, str], Claim] = {}
        for key, claims in by_evse.items():
            for claim in claims:
                for state in claim.states:
                    place = (key, state.connector)
                    if words.setdefault(place, state.value) != state.value:
                        doubtful.add(place)  # two rows of one connector: their order is no change
                    spoken[place] = claim
        since = None if self._read_at is None else now - self._read_at
        if since is not None and 0 <= since <= self._silence:
            for place, word in words.items():
                before = self._words.get(place)
                if before not in (None, word) and place not in doubtful and _is_said(spoken[place], word):
                    self._times[spoken[place].station or place[0]] = now
        self._words = {place: word for place, word in words.items() if place not in doubtful}
        self._read_at = now
        self._times = {who: at for who, at in self._times.items() if 0 <= now - at <= self._silence}
        return self._times


def _is_said(claim: Claim, word: str) -> bool:
    """The charger may have said it: neither "offline" nor a word that nobody knows."""
    verdict = claim.verdict
    known = verdict.cause is Cause.REPORTED and verdict.rule.column == "status" and verdict.target in _SAID
    return known and folded(word) not in _OFFLINE
