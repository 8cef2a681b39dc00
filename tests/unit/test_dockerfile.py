"""The Dockerfile is what docs/operations.md promises; scripts/image builds and tries it where an engine is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
STAGES = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]


def _said(instruction: str, stage: str = STAGES[-1]) -> list[str]:
    """The arguments of every instruction of this name."""
    return re.findall(rf"^{instruction} +(.+)$", stage, flags=re.MULTILINE)


def test_the_ledger_is_in_the_volume() -> None:
    # Every new image begins with an empty ledger: a baseline nobody knows, and withdrawals without an account.
    (volume,) = _said("VOLUME")
    (environment,) = _said("ENV")
    assert f"OICP_ADAPTER__LEDGER__URL=sqlite:///{volume}/ledger.db" in environment.split()
    assert f"install -d -o oicp-adapter -g oicp-adapter {volume}" in _said("RUN")[0]  # or it belongs to root
    assert f"`sqlite:///{volume}/ledger.db`" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_it_runs_as_the_user_that_the_page_names() -> None:
    # A daemon as root, or keys that were made readable for another user.
    (user,) = _said("USER")
    assert user == "10001"
    assert f"useradd --uid {user} " in _said("RUN")[0]
    assert f"runs as user {user}" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_its_health_is_that_of_the_daemon_and_it_is_ended_with_the_signal_that_waits_for_a_push() -> None:
    # A daemon that hangs is never seen; or every stop is a kill in the middle of a push.
    (check,) = _said("HEALTHCHECK")
    assert check.split(" CMD ")[1].split(" || ")[0] == "oicp-adapter health"
    assert _said("STOPSIGNAL") == ["SIGTERM"]
    assert (_said("ENTRYPOINT"), _said("CMD")) == (
        ['["oicp-adapter"]'],
        ['["run"]'],
    )  # no shell takes the signal


def test_no_configuration_and_no_secret_is_copied_into_it() -> None:
    # A client certificate's key in a registry.
    copies = [words.split() for stage in STAGES for words in _said("COPY", stage)]
    taken = {path for words in copies if words[0] != "--from=build" for path in words[:-1]}
    assert taken == {"requirements/run.lock", "pyproject.toml", "README.md", "oicp_adapter"}
    assert not _said("ADD", DOCKERFILE)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == {path.split("/")[0] for path in taken}
