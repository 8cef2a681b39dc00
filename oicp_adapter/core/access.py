"""Who may see an EVSE: what is not for the public is not published, whatever else is said of it. Pure.

The danger: a private charger on the drivers' maps; and a word that nobody can read taking a fleet off them. So a word
that says neither yes nor no withdraws nothing, but it shows nothing newly either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from oicp_adapter.core.model import Cause, Remark, SourceRecord, UnmappedValue
from oicp_adapter.core.rules import MappingRules, Rule, RuleKind
from oicp_adapter.core.verdicts import Verdict
from oicp_adapter.core.vocabulary import Stance, Target, Vocabulary

_YES = frozenset({"true", "t", "yes", "y", "on", "1"})
_NO = frozenset({"false", "f", "no", "n", "off", "0"})
_INVERTED = {"yes": "no", "no": "yes", "": ""}
_LISTED = re.compile(r"""[,;|\[\]{}"']""")
"""Stands between or around the values of a list in a text."""
_LIFTED = {  # the column is left unread, or nothing is restricted
    "source.fields.publish": '""',
    "source.fields.publish_allowed_to": '""',
    "mapping.restricted_parking": "[]",
}
_BEFORE_RULES = -1
"""No rule of the operator comes before it: to publish all the same, the column is left unread."""


class Access:
    """Asks every record of one run who may see its EVSE, and counts what cannot be read."""

    def __init__(self, rules: MappingRules) -> None:
        chosen = rules.restricted_parking
        self._restricted = None if chosen is None else _folded(chosen)
        self._built_in: dict[str, frozenset[str]] = {}
        self._unread: Counter[str] = Counter()
        self._kept: Counter[tuple[str, str]] = Counter()

    def private(self, record: SourceRecord, vocabulary: Vocabulary, verdict: Verdict) -> Verdict | None:
        """The verdict on a record that says that the public may not see it; None: it does not.

        `verdict`: what it would be otherwise, which the others of a shared charger still have to know.
        """
        if _flag(record.publish) == "no":
            word = (record.publish or "").strip()
            return _not_public(f"publish is {word}", "publish", word, verdict)
        if any(word not in _NO for word in _words(record.publish_allowed_to)):
            # Tokens are no business of a log: the rule does not repeat them.
            return _not_public("publish_allowed_to names who may see it", "publish_allowed_to", "", verdict)
        restricted = self._restricted_by(vocabulary)
        for word in _words(record.parking_restrictions):
            if word in restricted:
                return _not_public(
                    f"parking_restrictions has {word.upper()}", "parking_restrictions", word, verdict
                )
        return None

    def unreadable(self, record: SourceRecord) -> Rule | None:
        """The rule on a word in `publish` that nobody can read; None: there is none."""
        if _flag(record.publish) is not None:
            return None
        word = (record.publish or "").strip()
        self._unread[word] += 1
        return Rule(
            kind=RuleKind.UNMAPPED,
            text=f"publish is {word}, which is neither yes nor no",
            column="publish",
            value=word,
            setting="source.fields.publish",
        )

    def kept(self, rule: Rule) -> None:
        """An EVSE is not published because of this rule."""
        self._kept[rule.text, rule.setting] += 1

    def remarks(self) -> Iterable[Remark]:
        """How many EVSEs are kept from the public, and why: a whole site may be missing on the map."""
        for (text, setting), count in sorted(self._kept.items()):
            yield Remark(
                text=f"{count} EVSEs are not published: {text}",
                fix="if drivers are to see them, correct that in the backend, "
                f"or set {setting} = {_LIFTED[setting]}",
                amiss=False,
            )

    def unmapped(self) -> Iterable[UnmappedValue]:
        """What could not be read, with the way to mend it."""
        for word, count in sorted(self._unread.items()):
            yield UnmappedValue(
                vocabulary="",
                column="publish",
                value=word,
                count=count,
                hint=(
                    "write publish as true or false in the export; or, where it does not mean whether drivers may "
                    'see it, leave it unread: source.fields = { publish = "" }'
                ),
            )

    def _restricted_by(self, vocabulary: Vocabulary) -> frozenset[str]:
        if self._restricted is not None:
            return self._restricted
        if vocabulary.name not in self._built_in:
            self._built_in[vocabulary.name] = _folded(vocabulary.restricted_parking)
        return self._built_in[vocabulary.name]


def perhaps_private(verdict: Verdict, rule: Rule) -> Verdict:
    """The verdict on an EVSE of which nobody knows whether drivers may see it. What is gone, or not published for
    another reason, stays so."""
    if verdict.target in (Target.EVSE_NOT_FOUND, Target.SKIP):
        return verdict
    return Verdict(
        target=Target.UNKNOWN,
        rule=rule,
        value=rule.value,
        cause=Cause.UNMAPPED,
        readable=verdict.said,
        why="Nobody knows whether the public may see it: it is shown to nobody newly, and withdrawn from nobody.",
    )


def _not_public(said: str, column: str, word: str, verdict: Verdict) -> Verdict:
    setting = "mapping.restricted_parking" if column == "parking_restrictions" else f"source.fields.{column}"
    return Verdict(
        target=Target.SKIP,
        rule=Rule(
            kind=RuleKind.ACCESS, text=f"not public: {said}", column=column, value=word, setting=setting
        ),
        value=verdict.value,
        readable=verdict.target,
        charging=verdict.charging,
        whole_station=Stance.VETO,
        stated=_BEFORE_RULES,
        why="The source says that it is not for the public: no app and no map may show it.",
        source="OCPI 2.2.1, Location.publish and PublishTokenType; EVSE.parking_restrictions",
    )


def _flag(text: str | None) -> str | None:
    """ "yes", "no", "" for nothing; None: neither."""
    word = (text or "").strip().casefold()
    inverted = word.startswith("!")
    word = word.removeprefix("!").strip()
    said = "" if not word else "yes" if word in _YES else "no" if word in _NO else None
    return said if said is None or not inverted else _INVERTED[said]


def _words(text: str | None) -> list[str]:
    """The values of a list in a text, folded: `["EV_ONLY", "CUSTOMERS"]`, `EV_ONLY;CUSTOMERS`, `{CUSTOMERS}`."""
    if not text:
        return []
    return [word for part in _LISTED.split(text) if (word := part.strip().casefold())]


def _folded(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in words)
