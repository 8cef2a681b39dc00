"""What cannot be said of one value alone: settings that exclude, need or endanger each other.

It looks at the tables as they were read, so that it also speaks when other values are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oicp_adapter.core.ids import InvalidId, parse_operator_id
from oicp_adapter.settings.problems import Problem
from oicp_adapter.settings.tree import dotted


def contradictions(data: Mapping[str, Any]) -> list[Problem]:
    """All of them."""
    hubject = _table(data, "hubject")
    operators = {key: table for key in _table(data, "operators") if (table := _table(data["operators"], key))}
    return [*_two_addresses(hubject), *_tls_files(hubject, operators), *_same_operator(operators)]


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
        try:
            identity = parse_operator_id(str(operator.get("id", ""))).key
        except InvalidId:
            continue
        if identity in first:
            yield Problem(
                dotted(("operators", key, "id")),
                f"is the same operator as {dotted(('operators', first[identity]))}: their full loads would delete each "
                "other's EVSEs; give one operator both prefixes",
            )
        first.setdefault(identity, key)
