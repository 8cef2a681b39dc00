"""Bad configurations: all problems at once, each by its path, never a value."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.core.vocabulary import vocabulary_names
from oicp_adapter.errors import ConfigurationError
from oicp_adapter.settings import ledger_url, load_settings
from tests.unit.settings_files import MINIMAL, changed, load, problems, refusal

OPERATOR = "operators.slb"
MORE = MINIMAL + "[operators.slb.mapping]\n"
HTTPS = changed("http://127.0.0.1:9400", "https://hub.example")
SECOND = """
[operators.two]
id = "deslb"
name = "Two"
source = { type = "file", path = "two.csv", vocabulary = "ocpi" }
"""


def other(operator_id: str, prefixes: list[str]) -> str:
    """A second operator with these prefixes."""
    return SECOND.replace("deslb", operator_id).replace("name =", f"evse_id_prefixes = {prefixes}\nname =")


# what a person wrote → the places that must be named
BAD = {
    "misspelt key": (changed("settle", "settel"), ["delivery.settel"]),
    "misspelt table": (changed("[delivery]", "[delivry]"), ["delivry"]),
    "wrong case of a table": (changed("[delivery]", "[Delivery]"), ["Delivery"]),
    "no operator": (MINIMAL.split("[operators")[0], ["operators"]),
    "operators empty": (MINIMAL.split("[operators")[0] + "[operators]", ["operators"]),
    "operator name with blanks": (changed("operators.slb", 'operators."S L"'), ['operators."S L"']),
    "operator name with two _": (changed("operators.slb", "operators.s__l"), ["operators.s__l"]),
    "operator is no table": (MINIMAL.split("[operators")[0] + '[operators]\nslb = "x"', [OPERATOR]),
    "no id": (changed('id = "DE*SLB"', ""), [f"{OPERATOR}.id"]),
    "invalid id": (changed('id = "DE*SLB"', 'id = "SLB"'), [f"{OPERATOR}.id"]),
    "name too long": (changed("SWLB", "x" * 101), [f"{OPERATOR}.name"]),
    "name empty": (changed("SWLB", ""), [f"{OPERATOR}.name"]),
    "name is a number": (changed('"SWLB"', "5"), [f"{OPERATOR}.name"]),
    "invalid prefix": (changed('["DE*SLB"]', '["DE*SLB", "?"]'), [f"{OPERATOR}.evse_id_prefixes[1]"]),
    "no prefixes": (changed('["DE*SLB"]', "[]"), [f"{OPERATOR}.evse_id_prefixes"]),
    "no source": (changed("source", "#source"), [f"{OPERATOR}.source"]),
    "unknown source": (changed('"file"', '"ftp"'), [f"{OPERATOR}.source.type"]),
    "no path": (changed('path = "fleet.json", ', ""), [f"{OPERATOR}.source.path"]),
    "path empty": (changed("fleet.json", " "), [f"{OPERATOR}.source.path"]),
    "unknown format": (changed("ocpi-locations", "ocpi"), [f"{OPERATOR}.source.format"]),
    "unknown vocabulary": (
        changed('vocabulary = "ocpi"', 'vocabulary = "x"'),
        [f"{OPERATOR}.source.vocabulary"],
    ),
    "a field we do not have": (
        changed("}\nsch", ', fields = { state = "s" } }\nsch'),
        [f"{OPERATOR}.source.fields.state"],
    ),
    "a status turned round": (
        changed("}\nsch", ', fields = { status = "!s" } }\nsch'),
        [f"{OPERATOR}.source.fields"],
    ),
    "words of a column without any": (
        changed("sched", 'mapping.words = { vendor = { a = "online" } }\nsched'),
        [f"{OPERATOR}.mapping.words.vendor"],
    ),
    "a connection that is Occupied": (
        changed("sched", 'mapping.words = { connection = { a = "Occupied" } }\nsched'),
        [f"{OPERATOR}.mapping.words"],
    ),
    "a station's word that frees its EVSEs": (
        changed("sched", 'mapping.words = { station_status = { a = "Available" } }\nsched'),
        [f"{OPERATOR}.mapping.words"],
    ),
    "template without a place": (
        changed("}\nsch", ', evse_id_template = "DE*SLB*E1" }\nsch'),
        [f"{OPERATOR}.source.evse_id_template"],
    ),
    "template of unknown fields": (
        changed("}\nsch", ', evse_id_template = "DE*SLB*E{id}" }\nsch'),
        [f"{OPERATOR}.source.evse_id_template"],
    ),
    "duration without a unit we know": (changed('settle = "60s"', 'settle = "1m"'), ["delivery.settle"]),
    "duration zero": (changed('settle = "60s"', "settle = 0"), ["delivery.settle"]),
    "duration is a flag": (changed('settle = "60s"', "settle = true"), ["delivery.settle"]),
    "share above one": (
        changed("settle", "max_withdrawal_share = 10\nsettle"),
        ["delivery.max_withdrawal_share"],
    ),
    "share is a flag": (
        changed("settle", "max_withdrawal_share = true\nsettle"),
        ["delivery.max_withdrawal_share"],
    ),
    "share not a number": (
        changed("settle", "mass_unknown_share = nan\nsettle"),
        ["delivery.mass_unknown_share"],
    ),
    "missing unknown": (changed("settle", 'missing = "drop"\nsettle'), ["delivery.missing"]),
    "over Hubject's limit": (
        changed("[ledger]", "calls_per_minute = 2001\n[ledger]"),
        ["hubject.calls_per_minute"],
    ),
    "no attempt": (changed("[ledger]", "retry_attempts = 0\n[ledger]"), ["hubject.retry_attempts"]),
    "http on the net": (changed("127.0.0.1", "hub.example"), ["hubject.base_url"]),
    "http on a name like loopback": (changed("127.0.0.1", "localhost.example"), ["hubject.base_url"]),
    "no scheme": (
        changed("http://127.0.0.1:9400", "hub.example"),
        ["hubject.base_url", "hubject.ca_file", f"{OPERATOR}.certificate", f"{OPERATOR}.key"],
    ),
    "password in the address": (changed("127.0.0.1", "u:p@127.0.0.1"), ["hubject.base_url"]),
    "impossible port": (changed("9400", "99999"), ["hubject.base_url"]),
    "two addresses": (changed("[ledger]", 'environment = "qa"\n[ledger]'), ["hubject.base_url"]),
    "https without files": (HTTPS, ["hubject.ca_file", f"{OPERATOR}.certificate", f"{OPERATOR}.key"]),
    "key without certificate": (
        HTTPS.replace("[ledger]", 'ca_file = "c"\n[ledger]').replace("name =", 'key = "k"\nname ='),
        [f"{OPERATOR}.certificate"],
    ),
    "proxy without scheme": (changed("[ledger]", 'proxy = "proxy:3128"\n[ledger]'), ["hubject.proxy"]),
    "ledger elsewhere": (changed("sqlite:///ledger.db", "postgresql://u:p@h/d"), ["ledger.url"]),
    "ledger without a name": (changed("sqlite:///ledger.db", "sqlite:///"), ["ledger.url"]),
    "first full load": (
        changed("name =", 'first_full_load = "yes"\nname ='),
        [f"{OPERATOR}.first_full_load"],
    ),
    "same operator twice": (MINIMAL + SECOND, ["operators.two.id"]),
    "prefix within another operator's": (
        MINIMAL + other("DE*TWO", ["DE*TWO", "DE*SLB*E7"]),
        ["operators.two.evse_id_prefixes"],
    ),
    "prefix around another operator's": (
        changed('["DE*SLB"]', '["DE*SLB*E7"]') + other("DE*TWO", ["deslb"]),
        ["operators.two.evse_id_prefixes"],
    ),
    "prefix of another operator's id": (
        changed('evse_id_prefixes = ["DE*SLB"]', "") + other("+49*123", ["+49*123", "DE*SLB"]),
        ["operators.two.evse_id_prefixes"],
    ),
    "override to nowhere": (
        MORE + 'overrides."Out of Order" = "Broken"',
        [f'{OPERATOR}.mapping.overrides."Out of Order"'],
    ),
    "reserved as something else": (MORE + 'reserved = "Available"', [f"{OPERATOR}.mapping.reserved"]),
    "no heartbeat allowed": (MORE + "missed_heartbeats = 0", [f"{OPERATOR}.mapping.missed_heartbeats"]),
    "polling too often": (changed('"2s"', '"100ms"'), [f"{OPERATOR}.schedule.delta"]),
    "full load too often": (changed('"03:00"', '"5min"'), [f"{OPERATOR}.schedule.full"]),
    "full load too often by cron": (changed('"03:00"', '"*/5 3 * * *"'), [f"{OPERATOR}.schedule.full"]),
    "unknown time zone": (
        changed('"03:00"', '"03:00", time_zone = "Mars"'),
        [f"{OPERATOR}.schedule.time_zone"],
    ),
    "time zone is a directory": (
        changed('"03:00"', '"03:00", time_zone = "Europe"'),
        [f"{OPERATOR}.schedule.time_zone"],
    ),
    "time zone is a path": (
        changed('"03:00"', '"03:00", time_zone = "/etc"'),
        [f"{OPERATOR}.schedule.time_zone"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_configuration_is_refused_by_exact_path(name: str) -> None:
    # The person corrects another line than the wrong one, or the daemon starts with a misspelt guard.
    text, paths = BAD[name]
    assert sorted(problems(text)) == sorted(paths)


def test_all_problems_are_told_at_once_even_where_values_contradict() -> None:
    # One restart per mistake: an afternoon becomes a day.
    text = (
        HTTPS.replace("settle", "settel").replace('"2s"', '"2 parsecs"').replace('id = "DE*SLB"', "") + SECOND
    )
    told = problems(text, {"OICP_ADAPTER__LOG__LEVLE": "info", "OICP_ADAPTER__DAEMON__GRACE": "soon"})
    assert sorted(told) == [
        "OICP_ADAPTER__LOG__LEVLE",
        "daemon.grace",
        "delivery.settel",
        "hubject.ca_file",
        "operators.slb.certificate",
        "operators.slb.id",
        "operators.slb.key",
        "operators.slb.schedule.delta",
        "operators.two.certificate",
        "operators.two.key",
    ]
    assert (
        "10 problems"
        in refusal(text, {"OICP_ADAPTER__LOG__LEVLE": "info", "OICP_ADAPTER__DAEMON__GRACE": "soon"}).message
    )


def test_a_problem_says_how_to_correct_it() -> None:
    # At 03:00 "extra inputs are not permitted" helps nobody.
    assert "did you mean settle?" in problems(changed("settle", "settel"))["delivery.settel"]
    assert "known here: settle, missing" in problems(changed("settle", "xyz"))["delivery.xyz"]
    assert 'add id = "DE*ABC"' in problems(changed('id = "DE*SLB"', ""))["operators.slb.id"]
    assert "[operators.KEY]" in problems(MINIMAL.split("[operators")[0])["operators"]
    attempts = problems(MINIMAL, {"OICP_ADAPTER__HUBJECT__RETRY_ATTEMPTS": "many"})["hubject.retry_attempts"]
    assert attempts == "must be a whole number"
    often = problems(changed('"03:00"', '"*/5 3 * * *"'))["operators.slb.schedule.full"]
    assert "more often than every 10min" in often
    vocabulary = problems(changed('vocabulary = "ocpi"', 'vocabulary = "x"'))[
        "operators.slb.source.vocabulary"
    ]
    assert all(name in vocabulary for name in vocabulary_names())
    first = problems(changed("name =", 'first_full_load = "yes"\nname ='))["operators.slb.first_full_load"]
    assert "'manual' or 'automatic'" in first
    assert "deletes what Hubject holds" in first


SLB = "OICP_ADAPTER__OPERATORS__SLB"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        (f"{SLB}__NAM", f"did you mean {SLB}__NAME?"),
        ("OICP_ADAPTER__HUBJEKT__TIMEOUT", "did you mean OICP_ADAPTER__HUBJECT?"),
        ("oicp_adapter__log__colour", "known here: OICP_ADAPTER__LOG__FORMAT, OICP_ADAPTER__LOG__LEVEL"),
        ("OICP_ADAPTER__LOG__LEVEL__X", "log.level has nothing below it"),
        ("OICP_ADAPTER__LOG", "is a table"),
        (SLB, "is a table"),
        ("OICP_ADAPTER__", "known here: OICP_ADAPTER__HUBJECT"),
        (f"{SLB}____NAME", "known here"),
    ],
)
def test_a_misspelt_variable_is_refused(variable: str, hint: str) -> None:
    # A deployment believes it has set a guard that it has not.
    told = problems(MINIMAL, {variable: "x"})
    assert list(told) == [variable]
    assert hint in told[variable]


def test_a_misspelt_operator_in_a_variable_is_not_a_new_operator() -> None:
    # The variable is lost in a list of things that a new operator lacks.
    told = problems(
        MINIMAL, {"OICP_ADAPTER__OPERATORS__SBL__NAME": "x", "OICP_ADAPTER__OPERATORS__SBL__KEY": "x"}
    )
    assert list(told) == ["OICP_ADAPTER__OPERATORS__SBL"]
    assert "did you mean OICP_ADAPTER__OPERATORS__SLB?" in told["OICP_ADAPTER__OPERATORS__SBL"]


def test_a_variable_in_two_spellings_is_refused() -> None:
    # Which of the two counts depends on their order.
    assert list(problems(MINIMAL, {f"{SLB}__NAME": "a", f"{SLB}__name": "b"})) == [f"{SLB}__name"]


def test_a_bad_value_of_a_variable_names_the_variable() -> None:
    # The person searches the file for a value that is not in it.
    error = refusal(MINIMAL, {"OICP_ADAPTER__DELIVERY__SETTLE": "soon"})
    assert "delivery.settle (from OICP_ADAPTER__DELIVERY__SETTLE):" in error.message


# Every text setting, by variable and by reference: none may come back in a message.
PLACES = [
    "HUBJECT__ENVIRONMENT",
    "HUBJECT__BASE_URL",
    "HUBJECT__PROXY",
    "HUBJECT__TIMEOUT",
    "HUBJECT__RETRY_ATTEMPTS",
    "LEDGER__URL",
    "DELIVERY__MISSING",
    "DELIVERY__MAX_WITHDRAWAL_SHARE",
    "LOG__LEVEL",
    "OPERATORS__SLB__ID",
    "OPERATORS__SLB__NAME",
    "OPERATORS__SLB__EVSE_ID_PREFIXES",
    "OPERATORS__SLB__KEY_PASSWORD_FILE",
    "OPERATORS__SLB__SOURCE__TYPE",
    "OPERATORS__SLB__SOURCE__VOCABULARY",
    "OPERATORS__SLB__SOURCE__EVSE_ID_TEMPLATE",
    "OPERATORS__SLB__MAPPING__OVERRIDES__X",
    "OPERATORS__SLB__SCHEDULE__FULL",
    "OPERATORS__SLB__SCHEDULE__TIME_ZONE",
]
# A mark that no text of ours contains makes the search exact.
secrets = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(lambda text: f"§{text}§")


@given(secret=secrets, place=st.sampled_from(PLACES))
def test_no_message_repeats_a_value_from_a_variable(secret: str, place: str) -> None:
    # A password in the wrong variable ends in the log of the container.
    error = refusal(MINIMAL, {"OICP_ADAPTER__LEDGER__NO": "", f"OICP_ADAPTER__{place}": secret})
    assert "§" not in "".join(traceback.format_exception(error)) + repr(error)


@given(
    secret=secrets, field=st.sampled_from(['"SWLB"', '"DE*SLB"\nname', '"2s"', '"ocpi-locations"', '"60s"'])
)
def test_no_message_repeats_what_a_reference_stands_for(secret: str, field: str) -> None:
    # A secret that a file takes from the environment is printed because another value is wrong.
    text = changed(field, '"x${SECRET}"' + field[field.rindex('"') + 1 :]) + "wrong = 1"
    assert "§" not in str(refusal(text, {"SECRET": secret}))


@given(secret=st.from_regex(r"[A-Za-z0-9]{12,30}", fullmatch=True))
def test_secrets_of_good_settings_are_not_in_their_repr(secret: str) -> None:
    # One debug line with the settings publishes the proxy's password.
    proxy = 'proxy = "http://u:${SECRET}@h:1"\n[ledger]'
    settings = load(changed("[ledger]", proxy), {"SECRET": secret})
    assert secret not in repr(settings) + str(settings) + repr(settings.hubject.model_dump())


@given(secret=st.from_regex(r"[A-Za-z0-9]{12,30}", fullmatch=True))
def test_a_bad_proxy_does_not_tell_its_password(secret: str) -> None:
    # urllib's own message repeats the address.
    for address in (f"http://u:{secret}@[h:1", f"http://u:1@h:{secret}", f"socks5://u:{secret}@h:1"):
        assert secret not in str(refusal(MINIMAL, {"OICP_ADAPTER__HUBJECT__PROXY": address}))


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("[ledger]\nurl = 'sqlite:///x.db'\n[log]\nlevel = 7", {}, "sqlite:///{here}/x.db"),
        ("[ledger]\nurl = 'sqlite:///x.db", {}, "sqlite:///{here}/ledger.db"),
        ("[ledger", {"OICP_ADAPTER__LEDGER__URL": "sqlite:////var/l.db"}, "sqlite:////var/l.db"),
        ("[ledger]\nurl = 'x'", {"OICP_ADAPTER__LEDGER__URL": "sqlite:////var/l.db"}, "sqlite:////var/l.db"),
        ("ledger = 3", {}, "sqlite:///{here}/ledger.db"),
    ],
    ids=["a wrong value", "no TOML", "no TOML in a container", "a wrong address", "no table"],
)
def test_the_ledger_is_found_although_the_file_has_problems(
    tmp_path: Path, text: str, environ: dict[str, str], expected: str
) -> None:
    # A typing error is saved, `health` no longer finds the daemon, and the probe ends it.
    file = tmp_path / "adapter.toml"
    file.write_text(text)
    assert ledger_url(file, environ) == expected.format(here=tmp_path)


def test_the_ledger_of_a_file_that_is_gone_is_in_its_default_place(tmp_path: Path) -> None:
    # A ConfigMap is unmounted for a moment.
    assert ledger_url(tmp_path / "adapter.toml", {}) == f"sqlite:///{tmp_path}/ledger.db"


def deep(levels: int) -> str:
    """Dotted keys, which the parser reads without recursion; what follows it has to walk down."""
    return "\n" + ".".join(["mapping"] * levels) + " = 1\n"


def test_operators_whose_prefixes_exclude_each_other_are_fine() -> None:
    # Sub-operators of one partner, or ids that look alike as text only.
    for prefixes in (["DE*TWO"], ["DE*SLC", "DE*SL1"], ["+49*123"]):
        assert set(load(MINIMAL + other("DE*TWO", prefixes)).operators) == {"slb", "two"}
    apart = changed('["DE*SLB"]', '["DE*SLB*E1", "DE*SLB*E2"]') + other("DE*TWO", ["DE*SLB*E3", "DE*TWO"])
    assert set(load(apart).operators) == {"slb", "two"}


@pytest.mark.parametrize("levels", [200, 5_000])
def test_a_configuration_without_a_bottom_is_an_error_like_any_other(levels: int, tmp_path: Path) -> None:
    # A daemon that is told to read it again dies of it, instead of keeping the settings it has.
    file = tmp_path / "adapter.toml"
    file.write_text(MINIMAL + deep(levels), encoding="utf-8")
    with pytest.raises(ConfigurationError):
        load_settings(file, {})
    assert ledger_url(file, {}).endswith("/ledger.db")


@pytest.mark.parametrize("value", ["[" * 5_000, "[" + "9" * 5_000 + "]"], ids=["deep", "large"])
def test_a_variable_without_an_end_is_an_error_like_any_other(value: str) -> None:
    # The same by way of the environment.
    name = "OICP_ADAPTER__OPERATORS__SLB__EVSE_ID_PREFIXES"
    assert "is not a list" in problems(MINIMAL, {name: value})[name]
