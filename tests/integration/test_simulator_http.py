"""The simulator over real HTTP: endpoints, checks, read-back, control pages, start and stop."""

import gc
import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from oicp_adapter.simulator import Certificates, Fault, PortInUse, Simulator, SimulatorError, SimulatorOptions
from tests.patience import AT_MOST

OPERATOR = "DE*SLB"
PATH = "/evsepush/v21/operators/DE%2ASLB/status-records"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Plain HTTP needs no CA store, and loading it costs 30 ms per client."""


def message(action: str, statuses: dict[str, str], operator: str = OPERATOR) -> dict[str, Any]:
    records = [{"EvseID": wire, "EvseStatus": status} for wire, status in statuses.items()]
    owner = {"OperatorID": operator, "OperatorName": "SWLB", "EvseStatusRecord": records}
    return {"ActionType": action, "OperatorEvseStatus": owner}


class Client:
    """A plain client of one simulator."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.http = httpx.Client(timeout=AT_MOST, verify=PLAIN)

    def push(self, action: str, statuses: dict[str, str], path: str = PATH) -> httpx.Response:
        return self.http.post(self.sim.base_url + path, json=message(action, statuses))

    def post(self, path: str, content: bytes | dict[str, Any], **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"Content-Type": "application/json", **headers}
        return self.http.post(self.sim.base_url + path, content=body, headers=sent)

    def control(self, page: str, content: object = None) -> Any:
        url = f"{self.sim.origin}/_sim/{page}"
        answer = self.http.get(url) if content is None else self.http.post(url, json=content)
        return answer.json()


@pytest.fixture
def client() -> Iterator[Client]:
    with Simulator(SimulatorOptions(operators=[OPERATOR], providers=["DE-DCB"])) as sim:
        made = Client(sim)
        with made.http:
            yield made


def serve(**options: Any) -> Simulator:
    return Simulator(SimulatorOptions(**options))


def rules(sim: Simulator) -> list[str]:
    return [broken.rule for broken in sim.rules_broken]


def test_an_accepted_push_answers_as_hubject_does(client: Client) -> None:
    # The recorded shape, member by member: null members, Process-ID, charset.
    answer = client.push("insert", {"DE*SLB*E1": "Available"})
    assert answer.status_code == 200
    assert answer.json() == {
        "Result": True,
        "StatusCode": {"Code": "000", "Description": "Success", "AdditionalInfo": None},
        "SessionID": None,
        "CPOPartnerSessionID": None,
        "EMPPartnerSessionID": None,
    }
    assert answer.headers["Content-Type"] == "application/json;charset=utf-8"
    entry = client.sim.journal[-1]
    assert answer.headers["Process-ID"] == entry.process_id
    assert (entry.action, entry.count, entry.added, entry.code, entry.http_status) == (
        "insert",
        1,
        1,
        "000",
        200,
    )
    assert entry.records == (("DE*SLB*E1", "Available"),)
    assert client.sim.statuses(OPERATOR) == {"DE*SLB*E1": "Available"}
    assert rules(client.sim) == []


def test_a_refusal_comes_with_http_200(client: Client) -> None:
    # Result false under 200 taken for success is the classic mistake.
    answer = client.push("update", {"DE*SLB*E1": "Available"})
    assert (answer.status_code, answer.json()["Result"], answer.json()["StatusCode"]["Code"]) == (
        200,
        False,
        "022",
    )
    assert answer.json()["StatusCode"]["AdditionalInfo"] == "EVSE does not exist: DE*SLB*E1"
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert client.sim.journal[-1].applied is False


def test_an_invalid_field_answers_400_with_its_reference(client: Client) -> None:
    # Neither Result nor StatusCode, and yet another charset.
    answer = client.push("insert", {"DE*SLB*E1": "Available", "nonsense": "Available"})
    assert answer.status_code == 400
    assert set(answer.json()) == {"message", "validationErrors"}
    assert [error["fieldReference"] for error in answer.json()["validationErrors"]] == [
        "operatorEvseStatus.evseStatusRecord[1].evseID"
    ]
    assert answer.headers["Content-Type"] == "application/json;charset=ISO-8859-1"
    assert client.sim.statuses(OPERATOR) == {}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/evsepush/v99/operators/DE%2ASLB/status-records", 404, "001"),
        ("/evsepush/v21/operators/DE%2AABC/status-records", 404, "300"),
        ("/evsepush/v21/operators/nonsense/status-records", 404, "300"),
        ("/evsepull/v21/providers/DE-XXX/status-records-by-id", 403, "210"),
    ],
)
def test_wrong_paths_and_partners_carry_a_code_but_no_result(
    client: Client, path: str, status: int, code: str
) -> None:
    # Deciding by `Result` alone would crash on these.
    answer = client.push("fullLoad", {"DE*SLB*E1": "Available"}, path)
    assert (answer.status_code, answer.json()["StatusCode"]["Code"]) == (status, code)
    assert "Result" not in answer.json()
    if code == "001":
        assert (
            answer.json()["StatusCode"]["Description"] == f"OICP service not found for URI: /api/oicp{path}"
        )


def test_a_get_is_no_oicp_service(client: Client) -> None:
    # A liveness GET finds nothing.
    assert client.http.get(client.sim.base_url + PATH).status_code == 404


def test_body_and_path_must_name_the_same_operator(client: Client) -> None:
    # A push under the wrong id would overwrite somebody else's fleet.
    answer = client.post(PATH, message("fullLoad", {}, "DE*ABC"))
    assert (answer.status_code, answer.json()["StatusCode"]["Code"]) == (401, "017")
    assert client.post(PATH, message("fullLoad", {}, "DESLB")).json()["Result"] is True


def test_what_a_careful_client_never_does_is_noted(client: Client) -> None:
    # Served, but on record: a scenario that ends with a broken rule has failed.
    client.push("fullLoad", {}, PATH.replace("%2A", "*"))
    client.post(PATH, message("fullLoad", {}), **{"Content-Type": "text/plain"})
    client.push("insert", {"DE*SLB*Ea": "Available"})
    client.push("update", {})
    body = message("update", {"DE*SLB*Ea": "Available"})
    body["OperatorEvseStatus"]["EvseStatusRecord"][0]["Timestamp"] = "now"
    client.post(PATH, body)
    client.push("fullLoad", {"DE*SLB*E1": "Available", "DESLBE1": "Available"})
    assert rules(client.sim) == [
        "path_not_encoded",
        "content_type",
        "lower_case_id",
        "liveness_call",
        "unknown_member",
        "duplicate_id",
    ]


def test_a_noop_is_counted_but_no_broken_rule(client: Client) -> None:
    # Hubject keeps every push as history; re-assertions are legal, so they are only counted.
    client.push("insert", {"DE*SLB*E1": "Available"})
    client.push("update", {"DE*SLB*E1": "Available"})
    assert client.sim.summary()["noop_records"] == 1
    assert rules(client.sim) == []


def test_evse_data_can_be_pushed_and_then_603_is_gone() -> None:
    # The order of the real onboarding: first the EVSE data, then the statuses.
    with serve(evse_data=[]) as sim:
        client = Client(sim)
        with client.http:
            assert client.push("insert", {"DE*SLB*E1": "Available"}).json()["StatusCode"]["Code"] == "603"
            data = {"OperatorID": OPERATOR, "EvseDataRecord": [{"EvseID": "DE*SLB*E1", "Plugs": []}]}
            path = "/evsepush/v23/operators/DE%2ASLB/data-records"
            assert (
                client.post(path, {"ActionType": "insert", "OperatorEvseData": data}).json()["Result"] is True
            )
            assert client.push("insert", {"DE*SLB*E1": "Available"}).json()["Result"] is True
            data["EvseDataRecord"] = [{"EvseID": "nonsense"}]
            refused = client.post(path, {"ActionType": "insert", "OperatorEvseData": data})
            assert (
                refused.json()["validationErrors"][0]["fieldReference"]
                == "operatorEvseData.evseDataRecord[0].evseID"
            )
            data["EvseDataRecord"] = [{"EvseID": "DE*ABC*E1"}]
            assert (
                client.post(path, {"ActionType": "insert", "OperatorEvseData": data}).json()["Result"]
                is False
            )
            assert client.post(path, b"{}").status_code == 400


def test_a_body_over_the_limit_is_413_before_it_is_read() -> None:
    # With and without an announced length.
    with serve(body_limit=1000) as sim:
        client = Client(sim)
        with client.http:
            big = {f"DE*SLB*E{i}": "Available" for i in range(50)}
            answer = client.push("fullLoad", big)
            assert (answer.status_code, "Process-ID" in answer.headers) == (413, False)

            def chunks() -> Iterator[bytes]:
                yield json.dumps(message("fullLoad", big)).encode()

            url = sim.base_url + PATH
            assert client.http.post(url, content=chunks()).status_code == 413
            assert client.push("fullLoad", {"DE*SLB*E1": "Available"}).json()["Result"] is True


def test_gzip_is_understood_only_when_switched_on() -> None:
    # Hubject's gzip support is not documented: by default the bytes are just not JSON.
    packed = gzip.compress(json.dumps(message("fullLoad", {"DE*SLB*E1": "Available"})).encode())
    for on, status in ((False, 400), (True, 200)):
        with serve(gzip=on) as sim, httpx.Client(verify=PLAIN) as http:
            headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            assert http.post(sim.base_url + PATH, content=packed, headers=headers).status_code == status
            assert http.post(sim.base_url + PATH, content=b"no gzip", headers=headers).status_code == 400


def test_too_many_calls_are_429_with_a_true_retry_after() -> None:
    # Obeying Retry-After must be enough to be let in again.
    now = 1000.0
    with serve(calls_per_minute={"status": 2}, clock=lambda: now) as sim:
        client = Client(sim)
        with client.http:
            assert [client.push("fullLoad", {}).status_code for _ in range(3)] == [200, 200, 429]
            refused = client.push("fullLoad", {})
            assert rules(sim) == ["rate_limit", "rate_limit"]
            now += float(refused.headers["Retry-After"])
            assert client.push("fullLoad", {}).status_code == 200


def test_only_a_partner_with_an_emp_role_reads_back(client: Client) -> None:
    # The two shapes differ, and unknown ids come back as EvseNotFound.
    client.sim.hold({"DE*SLB*E1": "Available"})
    base = "/evsepull/v21/providers/DE-DCB"
    by_id = client.post(
        f"{base}/status-records-by-id", {"ProviderID": "DE-DCB", "EvseID": ["DESLBE1", "DE*SLB*E9"]}
    )
    assert by_id.json()["EVSEStatusRecords"]["EvseStatusRecord"] == [
        {"EvseID": "DESLBE1", "EvseStatus": "Available"},
        {"EvseID": "DE*SLB*E9", "EvseStatus": "EvseNotFound"},
    ]
    path = f"{base}/status-records-by-operator-id"
    by_operator = client.post(path, {"ProviderID": "DE-DCB", "OperatorID": [OPERATOR, "DE*ABC"]})
    assert by_operator.json()["EvseStatuses"]["OperatorEvseStatus"] == [
        {
            "OperatorID": OPERATOR,
            "OperatorName": None,
            "EvseStatusRecord": [{"EvseID": "DE*SLB*E1", "EvseStatus": "Available"}],
        }
    ]
    assert client.post(path, {"ProviderID": "DE-XXX", "OperatorID": []}).status_code == 401
    too_many = {"ProviderID": "DE-DCB", "EvseID": ["DE*SLB*E1"] * 101}
    assert client.post(f"{base}/status-records-by-id", too_many).status_code == 400
    assert client.post(path, {"ProviderID": "DE-DCB", "OperatorID": 1}).status_code == 400
    other = f"{base}/status-records-by-id"
    assert client.post(other, {"ProviderID": "DE-XXX", "EvseID": []}).status_code == 401


def test_the_control_pages_show_and_change_everything(client: Client) -> None:
    # A test that drives a real process has only these.
    assert client.control("hold", {OPERATOR: {"DE*SLB*E1": "Available"}}) == {"done": True}
    assert client.control("statuses") == {OPERATOR: {"DE*SLB*E1": "Available"}}
    client.control("data", {"EvseIDs": []})
    assert client.push("update", {"DE*SLB*E1": "Unknown"}).json()["StatusCode"]["Code"] == "603"
    client.control("data", {"EvseIDs": None})
    assert len(client.control("faults", [{"kind": "late_apply", "connection": "drop"}])["added"]) == 1
    assert [fault["kind"] for fault in client.control("faults").values()] == ["late_apply"]
    with pytest.raises(httpx.ReadError):
        client.push("update", {"DE*SLB*E1": "Unknown"})
    client.control("faults/clear", {})
    assert client.control("late", {"now": 1.0}) == {"applied": 0}
    assert client.control("late", {}) == {"applied": 1}
    client.push("update", {})
    assert client.control("rules")[0]["rule"] == "liveness_call"
    summary = client.control("summary")
    assert summary["statuses"]["Unknown"] == summary["held"] == 1
    assert (summary["requests"], summary["rules_broken"]) == ({"status": 3}, {"liveness_call": 1})
    assert [entry["late"] for entry in client.control("journal")] == [False, False, True, False]
    client.control("journal/clear", {})
    assert (client.control("journal"), client.control("summary")["held"]) == ([], 1)
    assert client.control("rules")[0]["rule"] == "liveness_call", "a test that looks on must not acquit"
    client.control("clear", {})
    assert (client.control("statuses"), client.control("rules")) == ({}, [])


@pytest.mark.parametrize(
    ("page", "content"),
    [
        ("faults", {"kind": "nonsense"}),
        ("data", {"EvseID": []}),
        ("hold", {OPERATOR: {"DE*SLB*E1": "Blue"}}),
        ("hold", {OPERATOR: {"nonsense": "Available"}}),
        ("hold", {"nonsense": {"DE*SLB*E1": "Available"}}),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(client: Client, page: str, content: object) -> None:
    # A misspelt order that is ignored makes a test of nothing.
    assert "error" in client.control(page, content)
    assert "pages" in client.control("nonsense")


def test_statuses_can_be_preloaded(tmp_path: Path) -> None:
    # What a view once showed can be loaded again, or simply ids with statuses.
    with serve() as sim:
        assert sim.preload(3, OPERATOR)[0] == "DE*SLB*E000001"
        assert sim.preload(1, "+49*822") == ["+49*822*000001"]
        assert sim.summary()["held"] == 4
        nested, flat = tmp_path / "nested.json", tmp_path / "flat.json"
        nested.write_text(json.dumps(sim.everything()))
        flat.write_text(json.dumps({"DE*SLB*E9": "Unknown"}))
        sim.clear()
        sim.hold_file(nested)
        sim.hold_file(flat)
        assert sim.summary()["held"] == 5
        with pytest.raises(ValueError, match="no EvseID"):
            sim.hold({"nonsense": "Available"})


def test_an_outage_keeps_port_and_statuses() -> None:
    # stop and start is how a test plays "Hubject was down for an hour".
    sim = serve()
    sim.start()
    with sim, httpx.Client(verify=PLAIN) as http:
        url = sim.base_url + PATH
        http.post(url, json=message("insert", {"DE*SLB*E1": "Available"}))
        sim.stop()
        with pytest.raises(httpx.ConnectError):
            http.post(url, json=message("update", {"DE*SLB*E1": "Unknown"}))
        sim.start()
        assert sim.base_url + PATH == url
        assert http.post(url, json=message("update", {"DE*SLB*E1": "Unknown"})).json()["Result"] is True


def test_a_used_port_is_a_clear_error() -> None:
    # The first thing that goes wrong in a demo.
    with serve() as sim, pytest.raises(PortInUse, match=f"port {sim.port} on 127.0.0.1 is in use"):
        serve(port=sim.port).start()


def test_a_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # An error in the thread must not look like a simulator that runs.
    sim = serve()

    def broken() -> None:
        raise RuntimeError("no TLS today")

    monkeypatch.setattr(sim, "_tls", broken)
    with pytest.raises(SimulatorError, match="did not start"):
        sim.start()
    with pytest.raises(SimulatorError, match="no certificates"):
        _ = sim.certificates


def test_stopping_leaves_nothing_behind() -> None:
    # Lingering threads and sockets would make later tests fail for no reason of theirs.
    before = threading.active_count()
    with serve(mutual_tls=True, certificates=Certificates()) as sim:
        assert sim.origin.startswith("https://127.0.0.1:")
    with serve() as sim, httpx.Client(verify=PLAIN) as http:
        sim.faults.add(Fault(kind="latency_before_apply", seconds=60))
        with pytest.raises(httpx.ReadTimeout):
            http.post(sim.base_url + PATH, json=message("fullLoad", {}), timeout=0.05)
    sim.stop()
    gc.collect()
    assert threading.active_count() == before


def test_it_serves_on_ipv6_loopback() -> None:
    # Brackets in the address.
    try:
        with serve(host="::1") as sim, httpx.Client(verify=PLAIN) as http:
            assert http.post(sim.base_url + PATH, json=message("fullLoad", {})).json()["Result"] is True
    except SimulatorError:
        pytest.skip("no IPv6 here")


def test_a_big_full_load_is_digested() -> None:
    # 100,000 records go through the worker thread; a million differs only in time.
    statuses = {f"DE*SLB*E{i:07}": "Available" for i in range(100_000)}
    with serve() as sim, httpx.Client(verify=PLAIN) as http:
        body = msgspec.json.encode(message("fullLoad", statuses))
        headers = {"Content-Type": "application/json"}
        answer = http.post(sim.base_url + PATH, content=body, headers=headers, timeout=AT_MOST)
        assert answer.json()["Result"] is True
        assert sim.statuses(OPERATOR) == statuses
        assert len(sim.journal[0].records) == 100
