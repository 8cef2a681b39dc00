"""What cannot be said of one value alone: settings that exclude, need or endanger each other.

It looks at the tables as they were read, so that it also speaks when other values are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from oicp_adapter.core.ids import InvalidId, Prefix, parse_operator_id, parse_prefix
from oicp_adapter.core.vocabulary import WORD_COLUMNS, load_vocabulary, meanings_of, vocabulary_names
from oicp_adapter.settings.problems import Problem
from oicp_adapter.settings.tree import dotted


def contradictions(data: Mapping[str, Any]) -> list[Problem]:
    """All of them."""
    hubject = _table(data, "hubject")
    operators = {key: table for key in _table(data, "operators") if (table := _table(data["operators"], key))}
    return [
        *_two_addresses(hubject),
        *_tls_files(hubject, operators),
        *_same_operator(operators),
        *_shared_prefixes(operators),
        *_wordless_columns(operators),
    ]


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def _two_addresses(hubject: Mapping[str, Any]) -> Iterator[Problem]:
    if "environment" in hubject and "base_url" in hubject:
        yield Problem("hubject.base_url", "excludes hubject.environment; remove one of them")


def _tls_files(hubject: Mapping[str, Any], operators: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    url = hubject.get("base_url", "")
    if isinstance(url, str) and url.lower().startswith("http:"):
        return
    if "ca_file" not in hubject:
        yield Problem(
            "hubject.ca_file", 'is missing; https needs Hubject\'s CA bundle: add ca_file = "hubject-ca.pem"'
        )
    for key, operator in operators.items():
        for name in ("certificate", "key"):
            if name not in operator:
                where = dotted(("operators", key, name))
                yield Problem(
                    where, f'is missing; https needs the client {name}: add {name} = "{key}-{name}.pem"'
                )


def _same_operator(operators: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for key, operator in operators.items():
        identity = _identity(operator)
        if not identity:
            continue
        if identity in first:
            yield Problem(
                dotted(("operators", key, "id")),
                f"is the same operator as {dotted(('operators', first[identity]))}: their full loads would delete each "
                "other's EVSEs; give one operator both prefixes",
            )
        first.setdefault(identity, key)


def _shared_prefixes(operators: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """An EVSE that two operators publish would be pushed twice, and each full load would take it from the other."""
    seen: list[tuple[str, str, list[Prefix]]] = []
    for key, operator in operators.items():
        identity, mine = _identity(operator), _prefixes(operator)
        for other, its_identity, theirs in seen:
            if (
                "" not in (identity, its_identity)
                and identity != its_identity
                and any(one.overlaps(two) for one in mine for two in theirs)
            ):
                yield Problem(
                    dotted(("operators", key, "evse_id_prefixes")),
                    f"has EvseIDs in common with {dotted(('operators', other))} (without evse_id_prefixes the id is "
                    "the prefix): an EVSE belongs to one operator; give them prefixes that exclude each other",
                )
        seen.append((key, identity, mine))


def _wordless_columns(operators: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """A column that is read although nobody knows a word of it would make every EVSE Unknown, or be ignored."""
    for key, operator in operators.items():
        source = _table(operator, "source")
        mapping = _table(operator, "mapping")
        fields, words = _table(source, "fields"), _table(mapping, "words")
        if _table(mapping, "overrides"):
            continue  # these are its words then
        spoken = {source.get("vocabulary")} if "vocabulary" not in fields else set(vocabulary_names())
        known = [load_vocabulary(name) for name in vocabulary_names() if name in spoken]
        if not known:
            continue
        for column in WORD_COLUMNS:
            wordless = not words.get(column) and not any(one.words_of(column) for one in known)
            if fields.get(column) and wordless:
                yield Problem(
                    dotted(("operators", key, "source", "fields", column)),
                    f"has no words: the vocabulary {known[0].name} knows none for {column}; say what each means "
                    f"({', '.join(meanings_of(column))}), in a table like\n"
                    f"    [{dotted(('operators', key, 'mapping', 'words', column))}]\n"
                    '    "their word" = "OutOfService"\n'
                    '    "their other word" = "says nothing"',
                )


def _identity(operator: Mapping[str, Any]) -> str:
    try:
        return parse_operator_id(str(operator.get("id", ""))).key
    except InvalidId:
        return ""


def _prefixes(operator: Mapping[str, Any]) -> list[Prefix]:
    """Those that can be read; what is wrong with the others is told of the value."""
    given = operator.get("evse_id_prefixes", operator.get("id"))
    found = []
    for text in given if isinstance(given, list | tuple) else [given]:
        with suppress(InvalidId):
            found.append(parse_prefix(str(text)))
    return found
