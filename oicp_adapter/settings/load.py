"""Reads the configuration: which file, its references to secrets, the environment over it, all problems at once.

The danger: a secret's value in a message, or a relative path that means something else under systemd. So nothing
here repeats a value, and every path is made absolute.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pydantic import ValidationError

from oicp_adapter import open_files
from oicp_adapter.errors import ConfigurationError
from oicp_adapter.settings.environment import Overrides
from oicp_adapter.settings.fields import LEDGER_SCHEME
from oicp_adapter.settings.model import LedgerSettings, Settings
from oicp_adapter.settings.problems import InvalidSettings, Problem, rendered
from oicp_adapter.settings.table import Table
from oicp_adapter.settings.tree import Location, dotted

VARIABLE = "OICP_ADAPTER_CONFIG"
DEFAULT = Path("config/adapter.toml")

_SHALLOW = "take out what has no end: no setting is deeper than operators.KEY.mapping.rules.NAME.KEY"
_REFERENCE = re.compile(r"\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The configuration from `path`, else the file $OICP_ADAPTER_CONFIG names, else config/adapter.toml.

    Relative paths in it start at `base_directory`.
    Raises ConfigurationError that lists all problems by path, with the fix and without any value.
    """
    file = _named(path, environ)
    try:
        return _loaded(file, environ)
    except RecursionError:  # tables in tables in tables: no reader of them would end in a readable place
        raise ConfigurationError(f"the configuration {file} nests too deeply", hint=_SHALLOW) from None


def _loaded(file: Path, environ: Mapping[str, str]) -> Settings:
    references = _References(environ)
    table = references.replaced(_read(file))
    overrides = Overrides(environ, file=table, root=Settings)
    problems = [*references.problems, *overrides.problems]
    try:
        settings = Settings(overrides.table, table)
    except InvalidSettings as invalid:
        told = {problem.path for problem in problems}
        problems += [problem for problem in invalid.problems if problem.path not in told]
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(
            f"the configuration {file} has {count}:\n{rendered(problems, overrides.origins)}",
            hint="correct them all, then run again; docs/configuration.md explains every key",
        )
    absolute: Settings = _absolute(settings, base_directory(file))
    return absolute


def _named(path: Path | None, environ: Mapping[str, str]) -> Path:
    return path or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else DEFAULT)


def ledger_url(path: Path | None, environ: Mapping[str, str]) -> str:
    """Where the ledger is, by a configuration that has problems: what can still be read of it, else the default."""
    file = _named(path, environ)
    try:
        table = _References(environ).replaced(_read(file))
    except (ConfigurationError, RecursionError):
        table = {}
    for layer in (Overrides(environ, file=table, root=Settings).table, table):
        try:
            ledger: LedgerSettings = _absolute(
                LedgerSettings.model_validate(layer["ledger"]), base_directory(file)
            )
        except (KeyError, ValidationError):
            continue
        return ledger.url
    default: LedgerSettings = _absolute(LedgerSettings(), base_directory(file))
    return default.url


def base_directory(file: Path) -> Path:
    """Where relative paths of a configuration start: at the file's directory; for a config/adapter.toml at the one
    above, from where it is found by default. However the file is named, it means the same ledger."""
    file = file.absolute()
    return file.parents[1] if file.parts[-2:] == DEFAULT.parts else file.parent


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no configuration file {file}",
            hint=f"write one with `oicp-adapter init`, or name another with --config or {VARIABLE}",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {file} cannot be read: {error.strerror}",
            hint=open_files.ADVICE if open_files.too_many(error) else "name a file that this user may read",
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the configuration file {file} is not UTF-8 text", hint="save it as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        what = (
            str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value is too large or too deep"
        )
        raise ConfigurationError(
            f"the configuration file {file} is not TOML: {what}",
            hint="correct the line; text needs quotes, tables look like [operators.slb]",
        ) from None


class _References:
    """Puts values of the environment where the file says ${NAME}."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Problem] = []

    def replaced(self, value: Any, at: Location = ()) -> Any:
        """The same tree, with every reference replaced."""
        if isinstance(value, dict):
            return {key: self.replaced(each, (*at, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.replaced(each, (*at, index)) for index, each in enumerate(value)]
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: self._value(match, at), value)
        return value

    def _value(self, match: re.Match[str], at: Location) -> str:
        name = match.group(1)
        if not match.group().endswith("}") or not _NAME.fullmatch(name):
            self.problems.append(Problem(dotted(at), "has a broken reference; write it as ${NAME}"))
        elif not (value := self._environ.get(name, "")):
            text = f"needs the environment variable {name}, which is not set or empty"
            self.problems.append(Problem(dotted(at), text))
        else:
            return value
        return match.group()


def _absolute(value: Any, directory: Path) -> Any:
    """The same settings with absolute paths."""
    if isinstance(value, Path):
        return directory / value
    if isinstance(value, LedgerSettings):
        file = directory / unquote(value.url.removeprefix(LEDGER_SCHEME))
        return value.model_copy(update={"url": LEDGER_SCHEME + quote(str(file))})
    if isinstance(value, Table | Settings):
        names = type(value).model_fields
        return value.model_copy(update={name: _absolute(getattr(value, name), directory) for name in names})
    if isinstance(value, dict):
        return {key: _absolute(each, directory) for key, each in value.items()}
    return value
