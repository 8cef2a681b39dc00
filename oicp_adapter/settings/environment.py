"""Environment variables that override the file: OICP_ADAPTER__OPERATORS__SLB__NAME is operators.slb.name.

The danger: a misspelt variable that is silently ignored, so every variable under the prefix must name a setting.
OICP_ADAPTER_ with one underscore is not ours: Kubernetes sets OICP_ADAPTER_SERVICE_HOST and the like for a service.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from oicp_adapter.settings.problems import Problem, unknown_key
from oicp_adapter.settings.tree import below, dotted, fields_of, is_list, is_table, meant

PREFIX = "OICP_ADAPTER__"
DELIMITER = "__"


class Overrides:
    """What the environment says: a table like the file's, where each value came from, and what is wrong."""

    def __init__(self, environ: Mapping[str, str], *, file: Mapping[str, Any], root: Any) -> None:
        self.table: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._file = file
        self._root = root
        for variable in sorted(environ):
            if variable.upper().startswith(PREFIX):
                self._add(variable, environ[variable])
        self._drop_misspelt_operators()

    def _add(self, variable: str, value: str) -> None:
        location = self._location(variable)
        if location is None:
            return
        path = dotted(location)
        if path in self.origins:
            self._refuse(variable, f"sets the same as {self.origins[path]}; remove one")
            return
        self.origins[path] = variable
        given: str | list[Any] = value
        if is_list(self._kind(location)):
            try:
                given = _items(value)
            except (ValueError, RecursionError):  # not TOML, a number too large, lists without end
                self._refuse(variable, 'is not a list; write it like A,B or, as in the file, ["A", "B"]')
                return
        table = self.table
        for part in location[:-1]:
            table = table.setdefault(part, {})
        table[location[-1]] = given

    def _kind(self, location: tuple[str, ...]) -> Any:
        kind = self._root
        for part in location:
            kind = below(kind, part)
        return kind

    def _location(self, variable: str) -> tuple[str, ...] | None:
        """The place a variable names; None, and a problem, if there is none."""
        kind, file = self._root, self._file
        location: tuple[str, ...] = ()
        for part in variable[len(PREFIX) :].split(DELIMITER):
            if not is_table(kind):
                self._refuse(variable, f"is not a setting; {dotted(location)} has nothing below it")
                return None
            meanings = _keys(part, kind, file)
            if len(meanings) > 1:
                places = " or ".join(dotted((*location, key)) for key in meanings)
                self._refuse(variable, f"can mean {places}; rename one of them, or set it in the file")
                return None
            key = meanings[0]
            if not key or below(kind, key) is None:
                known = fields_of(kind) or {}
                self._refuse(variable, unknown_key(part, known, shown=partial(_variable, *location)))
                return None
            kind, file, location = below(kind, key), _inside(file, key), (*location, key)
        if is_table(kind):
            self._refuse(variable, f"is a table; set its keys, like {variable}{DELIMITER}NAME")
            return None
        return location

    def _drop_misspelt_operators(self) -> None:
        """An operator only the environment knows needs an id; without one its name is misspelt."""
        known, ours = _inside(self._file, "operators"), self.table.get("operators", {})
        for key in [key for key in ours if known and key not in known and "id" not in ours[key]]:
            near = meant(key, known)
            fix = (
                f"did you mean {_variable('operators', near)}?" if near else f"a new one needs {DELIMITER}ID"
            )
            self._refuse(_variable("operators", key), f"names an operator that the file does not have; {fix}")
            del ours[key]

    def _refuse(self, variable: str, text: str) -> None:
        self.problems.append(Problem(variable, text))


def _items(value: str) -> list[Any]:
    """A list as in the file, or with commas between, which a value that has commas itself cannot be in."""
    if not value.lstrip().startswith("["):
        return [item.strip() for item in value.split(",")]
    found: list[Any] = tomllib.loads(f"it = {value.strip()}")["it"]
    return found


def _variable(*location: str) -> str:
    return PREFIX + DELIMITER.join(part.upper().replace("-", "_") for part in location)


def _keys(part: str, kind: Any, file: Mapping[str, Any]) -> list[str]:
    """The keys a part of a variable's name can stand for: variables have no case and no "-"."""
    if fields_of(kind) is not None:
        return [part.lower()]
    # Names of ours are lower case; a plain str is a word of the source, which is kept as it is written.
    is_word = get_args(kind)[0] is str
    if is_word and part in file:
        return [part]
    found = [known for known in file if known.lower().replace("-", "_") == part.lower()]
    return found or [part if is_word else part.lower()]


def _inside(file: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = file.get(key)
    return found if isinstance(found, Mapping) else {}
