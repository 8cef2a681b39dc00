"""`check`: one line per thing that is needed, in the order in which it is needed, and no request to Hubject."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app
from oicp_adapter.core.vocabulary import Target
from oicp_adapter.ledger.lock import OperatorLock
from oicp_adapter.simulator import Simulator, SimulatorOptions

CONFIGURATION = """\
[hubject]
base_url = "{base_url}"
ca_file = "tls/ca.pem"
connect_timeout = "2s"

[operators.abc]
id = "DE*ABC"
name = "ABC Charging"
certificate = "tls/client.pem"
key = "tls/client.key"
source = {{ type = "file", path = "fleet.csv", vocabulary = "ocpp1.6" }}
"""
WHOLE = ["configuration", "certificate", "ledger", "source", "mapping", "hubject"]
FLEET = "".join(f"DE*ABC*E{number},Available\n" for number in range(1, 41))


class Desk:
    """A configuration, its files, and a Hubject that asks for certificates."""

    def __init__(self, place: Path, hubject: Simulator) -> None:
        self.place, self.hubject = place, hubject
        self.hubject.certificates.write(place / "tls", "DE*ABC")
        self.fleet(FLEET)
        self.configure()

    def configure(self, **changes: str) -> None:
        text = CONFIGURATION.format(base_url=self.hubject.base_url)
        for line in changes.values():
            text += line + "\n"
        (self.place / "adapter.toml").write_text(text)

    def fleet(self, rows: str) -> None:
        (self.place / "fleet.csv").write_text("evse_id,status\n" + rows)

    def certificate(self, operator: str = "DE*ABC", **spoiled: Any) -> None:
        shutil.rmtree(self.place / "tls")
        self.hubject.certificates.write(self.place / "tls", operator, **spoiled)

    def call(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(self.place / "adapter.toml")])

    def check(self, code: int) -> dict[str, dict[str, Any]]:
        """What it finds, by what it is about; nothing is changed and nothing sent by looking."""
        before = self._files()
        result = self.call("check", "--json")
        assert result.exit_code == code, result.output
        assert (self._files(), list(self.hubject.journal)) == (before, [])
        return {one["what"]: one for one in json.loads(result.stdout)}

    def _files(self) -> dict[str, bytes]:
        """All of them but SQLite's own for readers."""
        files = [path for path in self.place.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files if not path.name.endswith(("-shm", "-wal"))}


@pytest.fixture(scope="module")
def hubject() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(operators=["DE*ABC"], mutual_tls=True)) as simulator:
        yield simulator


@pytest.fixture
def desk(tmp_path: Path, hubject: Simulator) -> Desk:
    hubject.clear_journal()
    return Desk(tmp_path, hubject)


def test_all_is_well_in_the_order_in_which_it_is_needed(desk: Desk) -> None:
    # The last look before the first push.
    found = desk.check(0)
    assert list(found) == WHOLE
    assert {one["verdict"] for one in found.values()} == {"ok"}
    assert "CN=DE*ABC, 36" in found["certificate"]["text"]
    assert "none yet" in found["ledger"]["text"]
    assert found["source"]["text"] == "40 records"
    assert found["mapping"]["text"] == "Available 40; 40 EVSEs give no sign of life and are never offline"
    assert found["hubject"]["text"].startswith("TLSv1.")
    assert found["hubject"]["text"].endswith("no request was sent")


def test_the_sample_is_ten_evses_from_all_over_the_fleet(desk: Desk) -> None:
    # The first ten rows of an export are often one site.
    sample = desk.check(0)["source"]["sample"]
    assert len(sample) == 10
    assert sample[0] == "DE*ABC*E1  Available → Available"
    assert sample[-1].startswith("DE*ABC*E37 ")


def test_people_get_one_line_each_with_the_fix_below(desk: Desk) -> None:
    # A person reads it, at the first installation, line by line.
    desk.fleet("DE*ABC*E1,Available\nDE*ABC*E2,In repair\n")
    result = desk.call("check")
    lines = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[2].rstrip(":") for line in lines] == WHOLE
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "ok", "warning", "ok"]
    assert '\n           fix: set mapping.overrides."In repair"' in result.stdout


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        ({"expired": True}, ("client.pem expired on", "request a new one from Hubject")),
        ({"not_yet_valid": True}, ("is not valid before", "check this machine's clock")),
        (
            {"wrong_key": True},
            ("client.key does not belong to the certificate", "use the key it was requested with"),
        ),
        ({"password": "sesame-4711"}, ("client.key is encrypted", "key password file")),
    ],
    ids=["expired", "not yet valid", "wrong key", "no password"],
)
def test_a_certificate_that_cannot_be_used_fails_with_2(
    desk: Desk, spoiled: dict[str, Any], words: tuple[str, str]
) -> None:
    # Found by Hubject's answer at night instead of by a sentence at the desk.
    desk.certificate(**spoiled)
    found = desk.check(2)
    assert (found["certificate"]["verdict"], found["certificate"]["exit_code"]) == ("failed", 2)
    assert words[0] in found["certificate"]["text"]
    assert words[1] in found["certificate"]["fix"]
    assert found["hubject"]["text"] == "not tried without a usable certificate"
    assert found["mapping"]["verdict"] == "ok", "what is right is told all the same"


@pytest.mark.parametrize("name", ["tls/client.pem", "tls/client.key", "tls/ca.pem"])
@pytest.mark.parametrize("content", [None, "no pem"], ids=["missing", "junk"])
def test_each_file_of_the_certificate_is_named_when_it_is_wrong(
    desk: Desk, name: str, content: str | None
) -> None:
    # "TLS error" leaves three files to look at.
    (desk.place / name).unlink()
    if content is not None:
        (desk.place / name).write_text(content)
    assert name in desk.check(2)["certificate"]["text"]


def test_what_only_hubject_can_decide_about_a_certificate_is_a_warning(desk: Desk) -> None:
    # Another operator's certificate, one without its chain, one that ends next week: known before the first push.
    desk.certificate("DE*XYZ", incomplete_chain=True, days=6.5)
    found = desk.check(4)
    assert found["certificate"]["verdict"] == "warning"
    for word in (
        "CN=DE*XYZ, 6 days left",
        "sent alone: unless its issuer CN=Simulator intermediate CA is a root that Hubject knows",
        "expires soon",
        "does not name DE*ABC",
    ):
        assert word in found["certificate"]["text"]
    assert found["hubject"]["verdict"] == "failed", "the server knows no such issuer"


def test_a_certificate_with_its_intermediate_is_right_though_the_root_is_elsewhere(desk: Desk) -> None:
    # Hubject's server certificate may come from another CA, so the bundle knows nothing of ours; "not complete" sent
    # people in search of a root that nobody has to send.
    desk.certificate(intermediate=True, distrust_server=True)
    certificate = desk.check(4)["certificate"]
    assert certificate["verdict"] == "ok"
    assert "with it go 1 of its chain, up to CN=Simulator CA: Hubject has to know" in certificate["text"]


def test_a_certificate_that_is_not_of_the_chain_is_a_warning(desk: Desk) -> None:
    # Last year's intermediate: it looks like a whole chain, and is none.
    file, end = desk.place / "tls/client.pem", "-----END CERTIFICATE-----\n"
    desk.certificate(intermediate=True)
    stale = file.read_text().split(end)[1] + end
    desk.certificate(incomplete_chain=True)  # by an intermediate of the same name with another key
    file.write_text(file.read_text() + stale)
    certificate = desk.check(4)["certificate"]
    assert certificate["verdict"] == "warning"
    assert "sent alone" in certificate["text"]
    assert "1 in its file do not belong to its chain" in certificate["text"]


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        ({"wrong_ca": True}, "our client certificate is not accepted"),
        ({"distrust_server": True}, "Hubject's server certificate is not accepted"),
    ],
)
def test_a_handshake_that_fails_exits_4_with_the_cause(
    desk: Desk, spoiled: dict[str, Any], words: str
) -> None:
    # QA's certificate on PROD; a proxy that intercepts TLS.
    desk.certificate(**spoiled)
    hubject = desk.check(4)["hubject"]
    assert (hubject["verdict"], hubject["exit_code"]) == ("failed", 4)
    assert words in hubject["text"]
    assert hubject["fix"]


def test_hubject_out_of_reach_exits_4(desk: Desk, tmp_path: Path) -> None:
    # A firewall; it is told with the address, so that it can be opened.
    with Simulator(SimulatorOptions(mutual_tls=True)) as gone:
        address = gone.base_url
    text = (tmp_path / "adapter.toml").read_text()
    (tmp_path / "adapter.toml").write_text(text.replace(desk.hubject.base_url, address))
    hubject = desk.check(4)["hubject"]
    assert "Connection refused" in hubject["text"]
    assert "firewall" in hubject["fix"]


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [(None, 5, "cannot be read"), ("", 0, "0 records"), ("DE*ABC*E1,Available", 0, "not complete")],
    ids=["missing", "no rows", "cut"],
)
def test_a_source_is_told_as_it_is(desk: Desk, rows: str | None, code: int, words: str) -> None:
    # The export job has not run yet, or writes in place.
    desk.fleet(rows or "")
    if rows is None:
        (desk.place / "fleet.csv").unlink()
    found = desk.check(code)
    assert words in found["source"]["text"]
    assert found["source"]["verdict"] == ("failed" if code else "warning")
    assert found["hubject"]["verdict"] == "ok"


def test_a_file_nobody_writes_any_more_is_a_warning(desk: Desk) -> None:
    # All lines "ok", and drivers see the states of yesterday.
    path = desk.place / "fleet.csv"
    os.utime(path, (0, path.stat().st_mtime - 7200))
    source = desk.check(0)["source"]
    assert (source["verdict"], source["text"]) == ("warning", "40 records; last written 120 min ago")
    assert "job that writes it" in source["fix"]


def test_what_is_unmapped_or_not_publishable_is_counted_and_the_first_is_named(desk: Desk) -> None:
    # Hundreds of EVSEs that nobody sees, and a check that says "ok".
    desk.fleet(FLEET + "DE*ABC*E90,Kaputt\nDE*ABC*E91,Kaputt\nDE*XYZ*E1,Available\n,Available\n")
    mapping = desk.check(0)["mapping"]
    assert mapping["verdict"] == "warning"
    assert mapping["text"].startswith(
        "Available 40, Unknown 2; unmapped 'Kaputt' (2); 2 not publishable, first: "
    )
    assert mapping["fix"].startswith('set mapping.overrides."Kaputt"')


def test_many_unmapped_values_are_named_up_to_five_and_listed_elsewhere(desk: Desk) -> None:
    # All words are the operator's own: a screen full of the same sentence hides what to do.
    desk.fleet(FLEET + "".join(f"DE*ABC*E9{number},Wort {number}\n" for number in range(7)))
    mapping = desk.check(0)["mapping"]
    assert (
        "unmapped 'Wort 0' (1), 'Wort 1' (1), 'Wort 2' (1), 'Wort 3' (1), 'Wort 4' (1) and 2 more"
        in mapping["text"]
    )
    assert mapping["fix"] == "`oicp-adapter plan abc` lists each with its setting"


def test_the_lines_that_map_ones_own_words_can_be_copied(desk: Desk) -> None:
    # `plan` prints a table for the configuration; with it the first load passes.
    desk.fleet('DE*ABC*E1,"Frei ""neu"""\nDE*ABC*E2,Besetzt\nDE*ABC*E3,AVAILABLE\n')
    said = desk.call("plan").stderr
    lines = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    assert lines == [
        f"[operators.abc.mapping.overrides]   # {', '.join(Target)}",
        'Besetzt = "Unknown"',
        '"Frei \\"neu\\"" = "Unknown"',
    ]
    desk.configure(overrides="\n".join(lines))
    assert desk.check(0)["mapping"]["text"].startswith("Available 1, Unknown 2; "), "copied as they are"
    desk.configure(overrides="\n".join(lines).replace('Unknown"', 'Occupied"'))
    mapping = desk.check(0)["mapping"]
    assert mapping["text"].startswith("Available 1, Occupied 2; ")
    assert "status 'AVAILABLE' is read as 'Available' (1)" in mapping["text"], "told once"
    desk.fleet("DE*ABC*E1,Neu\nDE*ABC*E2,Alt\nDE*ABC*E3,Besetzt\n")
    said = desk.call("plan").stderr
    assert 'Besetzt = "Occupied"' in said, "the table is whole: it replaces the one that is there"


def test_a_first_load_that_would_be_refused_exits_3(desk: Desk) -> None:
    # The wrong vocabulary is found at the desk, not by an empty map.
    desk.fleet(FLEET.replace("Available", "libre"))
    found = desk.check(3)
    assert found["first load"]["verdict"] == "failed"
    assert "40 of 40" in found["first load"]["text"]
    assert "vocabulary" in found["first load"]["fix"]


def test_a_damaged_ledger_is_told_once_and_keeps_nothing_else_from_being_checked(desk: Desk) -> None:
    # Told a second time as a fault of the source, it sends people to the wrong team.
    (desk.place / "ledger.db").write_bytes(b"not a ledger\n" * 400)
    found = desk.check(1)
    assert (found["ledger"]["verdict"], found["ledger"]["exit_code"]) == ("failed", 1)
    assert [name for name, one in found.items() if one["verdict"] == "failed"] == ["ledger"]
    assert list(found) == WHOLE


def test_a_ledger_that_could_not_be_made_exits_2(desk: Desk) -> None:
    # The first run ends at once on the server, after a check that said "ok".
    desk.configure(ledger='[ledger]\nurl = "sqlite:///nowhere/ledger.db"')
    ledger = desk.check(2)["ledger"]
    assert "nowhere" in ledger["text"]
    assert "create it" in ledger["fix"]


def test_a_ledger_in_use_is_told_with_who_uses_it(desk: Desk, hubject: Simulator) -> None:
    # Somebody else's daemon already pushes for this operator.
    assert desk.call("sync").exit_code == 0
    hubject.clear_journal()
    with OperatorLock(desk.place / "ledger.db.DEABC.lock", holder="run", now=lambda: 0.0):
        assert desk.check(0)["ledger"]["text"].startswith("40 EVSEs known; `run` (process ")


def test_the_worst_of_several_faults_decides_the_exit_code(desk: Desk) -> None:
    # 2 before 5 before 4: a script sees what must be cured first.
    desk.certificate(expired=True)
    (desk.place / "fleet.csv").unlink()
    desk.check(2)
    desk.certificate(wrong_ca=True)
    found = desk.check(5)
    assert [one["exit_code"] for one in found.values()] == [0, 0, 0, 5, 4]


def test_several_operators_are_checked_one_after_the_other(desk: Desk) -> None:
    # One bad operator must not hide the others; one of them can be asked for.
    other = CONFIGURATION[CONFIGURATION.index("[operators.abc]") :].format()
    desk.configure(
        other=other.replace("abc", "xyz").replace("DE*ABC", "DE*XYZ").replace("fleet.csv", "none.csv")
    )
    both = json.loads(desk.call("check", "--json").stdout)
    assert [one["operator"] for one in both] == ["abc"] * 6 + ["xyz"] * 5
    assert desk.call("check").exit_code == 5
    assert desk.call("check", "abc").exit_code == 0
    assert desk.call("check", "nobody").exit_code == 2


def test_a_ledger_with_two_names_is_warned_of(desk: Desk) -> None:
    # A copy made by linking: whoever uses it has another lock, pushes in parallel, and damages both.
    assert desk.call("sync").exit_code in (0, 4)
    os.link(desk.place / "ledger.db", desk.place / "copy.db")
    warned = desk.call("check").output
    assert "2 names (hard links)" in warned
    (desk.place / "copy.db").unlink()
    assert "hard links" not in desk.call("check").output
