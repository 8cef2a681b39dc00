"""Every fault over real HTTP, and which pushes count as parallel."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from oicp_adapter.simulator import FAULT_KINDS, Fault, Simulator, SimulatorOptions
from tests.patience import AT_MOST, awaited

OPERATOR = "DE*SLB"
PATH = "/evsepush/v21/operators/DE%2ASLB/status-records"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Plain HTTP needs no CA store, and loading it costs 30 ms per client."""
OLD, NEW = "Available", "Occupied"


def message(status: str, action: str = "update", operator: str = OPERATOR) -> dict[str, Any]:
    records = [{"EvseID": f"{operator}*E1", "EvseStatus": status}]
    return {
        "ActionType": action,
        "OperatorEvseStatus": {"OperatorID": operator, "EvseStatusRecord": records},
    }


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        running.hold({"DE*SLB*E1": OLD})
        yield running


def push(
    sim: Simulator, status: str = NEW, timeout: float = AT_MOST, action: str = "update"
) -> httpx.Response:
    with httpx.Client(timeout=timeout, verify=PLAIN) as http:
        return http.post(sim.base_url + PATH, json=message(status, action))


def held(sim: Simulator) -> str:
    return sim.statuses(OPERATOR)["DE*SLB*E1"]


def eventually(condition: Callable[[], bool]) -> bool:
    return awaited(condition)


def rules(sim: Simulator) -> list[str]:
    return [broken.rule for broken in sim.rules_broken]


ANSWERS = [
    ("code", 200, "001", True),
    ("evse_data_missing", 200, "603", True),
    ("duplicate_ids", 200, "018", True),
    ("data_error", 200, "022", True),
    ("validation_error", 400, "", True),
    ("ssl_certificate_error", 400, "", False),
    ("unauthorized", 401, "017", True),
    ("forbidden_address", 403, "", False),
    ("no_subscription", 403, "210", True),
    ("partner_not_found", 404, "300", True),
    ("service_not_found", 404, "001", True),
    ("internal_error", 500, "001", True),
    ("http_error", 503, "", False),
    ("request_timeout", 408, "", False),
    ("too_large", 413, "", False),
    ("too_many", 429, "", False),
    ("garbage_html", 200, "", False),
    ("garbage_truncated", 200, "", True),
    ("garbage_empty", 200, "", True),
]
ELSEWHERE = {
    "latency_before_apply",
    "latency_after_apply",
    "drop_before_apply",
    "drop_after_apply",
    "hang",
    "late_apply",
    "drip",
    "answered_twice",
    "stale_answer",
}


def test_every_kind_of_fault_is_tried_in_this_file() -> None:
    # A new kind without a test over real HTTP is a promise nobody checked.
    assert {kind for kind, *_ in ANSWERS} | ELSEWHERE == set(FAULT_KINDS)


@pytest.mark.parametrize("apply", [None, False, True])
@pytest.mark.parametrize(("kind", "status", "code", "from_hub"), ANSWERS)
def test_an_answer_fault_answers_and_applies_as_told(
    sim: Simulator, kind: str, status: int, code: str, from_hub: bool, apply: bool | None
) -> None:
    # The whole answer table; each row also in doubt, that is applied in spite of the answer.
    sim.faults.add(msgspec.convert({"kind": kind, "apply": apply, "count": 1}, Fault))
    answer = push(sim)
    assert answer.status_code == status
    assert ("Process-ID" in answer.headers) == from_hub
    applied = kind.startswith("garbage") if apply is None else apply
    assert held(sim) == (NEW if applied else OLD)
    entry = sim.journal[-1]
    assert (entry.http_status, entry.code, entry.applied, entry.faults) == (status, code, applied, (kind,))
    if code:
        assert answer.json()["StatusCode"]["Code"] == code
        assert ("Result" in answer.json()) == (status == 200)
    assert push(sim).json()["Result"] is True
    assert rules(sim) == []


def test_garbage_is_no_json_of_hubjects(sim: Simulator) -> None:
    # 200 alone proves nothing: these are in doubt.
    for kind in ("garbage_html", "garbage_truncated", "garbage_empty"):
        sim.faults.add(msgspec.convert({"kind": kind, "count": 1}, Fault))
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter|double quotes"):
            push(sim).json()


def test_a_5xx_can_come_without_a_reason_phrase(sim: Simulator) -> None:
    # Seen in the field; a parser that wants a phrase breaks on it.
    sim.faults.add(Fault(kind="http_error", status=502, empty_reason=True, count=1))
    sim.faults.add(Fault(kind="http_error", status=502))
    assert push(sim).extensions["reason_phrase"] == b""
    answer = push(sim)
    assert answer.extensions["reason_phrase"] == b"Bad Gateway"
    assert "<center>nginx</center>" in answer.text


@pytest.mark.parametrize(("kind", "status"), [("drop_before_apply", OLD), ("drop_after_apply", NEW)])
def test_a_dropped_connection_is_reset(sim: Simulator, kind: str, status: str) -> None:
    # The client cannot tell the two apart: that is what in doubt means.
    sim.faults.add(msgspec.convert({"kind": kind, "count": 1}, Fault))
    with pytest.raises(httpx.ReadError):
        push(sim)
    assert held(sim) == status
    assert sim.journal[-1].http_status == 0
    assert push(sim).json()["Result"] is True
    assert rules(sim) == []


@pytest.mark.parametrize("apply", [False, True])
def test_a_hanging_server_never_answers(sim: Simulator, apply: bool) -> None:
    # Only the client's own deadline ends it.
    sim.faults.add(Fault(kind="hang", count=1, apply=apply))
    with pytest.raises(httpx.ReadTimeout):
        push(sim, timeout=0.05)
    assert eventually(lambda: len(sim.journal) == 1)
    assert held(sim) == (NEW if apply else OLD)
    assert push(sim).json()["Result"] is True
    assert rules(sim) == [], "a client that closed its connection does not push in parallel"


@pytest.mark.parametrize("connection", ["hang", "drop"])
def test_a_late_apply_overwrites_what_came_in_between(sim: Simulator, connection: str) -> None:
    # The nastiest case of assumption A1.
    fault = {"kind": "late_apply", "connection": connection, "count": 1, "actions": ["update"]}
    sim.faults.add(msgspec.convert(fault, Fault))
    with pytest.raises((httpx.ReadTimeout, httpx.ReadError)):
        push(sim, "Unknown", timeout=0.05)
    assert eventually(lambda: sim.late == 1)
    assert held(sim) == OLD
    push(sim, NEW)
    assert sim.release_late() == 1
    assert (held(sim), sim.late) == ("Unknown", 0)
    assert [entry.late for entry in sim.journal] == [False, False, True]
    assert rules(sim) == []


def test_a_late_apply_comes_by_itself_in_real_time(sim: Simulator) -> None:
    # A test that drives a real process has no hand free to release it.
    sim.faults.add(Fault(kind="late_apply", connection="drop", seconds=0.01, count=1))
    with pytest.raises(httpx.ReadError):
        push(sim)
    assert eventually(lambda: held(sim) == NEW)
    assert sim.release_late() == 0


@pytest.mark.parametrize("kind", ["latency_before_apply", "late_apply"])
@pytest.mark.parametrize(("at_most", "applied"), [(0.1, False), (AT_MOST, True), (None, True)])
def test_what_was_given_up_too_long_ago_is_dropped_if_a_rig_wants_that(
    kind: str, at_most: float | None, applied: bool
) -> None:
    # Assumption A1: on a busy machine a stand-in would apply in its own time what no promise of ours covers.
    with Simulator(SimulatorOptions(late_at_most=at_most)) as sim:
        sim.hold({"DE*SLB*E1": OLD})
        sim.faults.add(msgspec.convert({"kind": kind, "seconds": 0.3, "count": 1}, Fault))
        with raw(sim) as client:
            client.sendall(head(sim, BODY) + BODY)
        late = kind == "late_apply"
        assert eventually(lambda: any(entry.late == late for entry in sim.journal))
        (entry,) = [entry for entry in sim.journal if entry.late == late]
        assert (entry.applied, "overdue" in entry.faults) == (applied, not applied)
        assert held(sim) == (NEW if applied else OLD)


def test_who_still_waits_gets_what_was_asked_for_however_late() -> None:
    # A client that waits has not given anything up.
    with Simulator(SimulatorOptions(late_at_most=0.01)) as sim:
        sim.hold({"DE*SLB*E1": OLD})
        sim.faults.add(Fault(kind="latency_before_apply", seconds=0.1))
        assert push(sim).json()["Result"] is True
        assert held(sim) == NEW


def test_a_late_apply_survives_an_outage(sim: Simulator) -> None:
    # Hubject's queue does not forget because its front end restarts.
    sim.faults.add(Fault(kind="late_apply", connection="drop", seconds=0.03, count=1))
    with pytest.raises(httpx.ReadError):
        push(sim)
    sim.stop()
    sim.start()
    assert eventually(lambda: held(sim) == NEW)


def test_with_an_injected_clock_a_late_apply_waits_to_be_released() -> None:
    # No test may depend on how fast the machine is.
    now = 100.0
    with Simulator(SimulatorOptions(clock=lambda: now)) as sim:
        sim.hold({"DE*SLB*E1": OLD})
        sim.faults.add(Fault(kind="late_apply", connection="drop", seconds=30))
        with pytest.raises(httpx.ReadError):
            push(sim)
        assert sim.release_late(129.0) == 0
        assert sim.release_late(130.0) == 1
        assert (held(sim), sim.journal[-1].at) == (NEW, 100.0)


def test_a_late_full_load_takes_away_what_came_in_between(sim: Simulator) -> None:
    # Why an in-doubt full load puts every EVSE in doubt.
    sim.faults.add(Fault(kind="late_apply", connection="drop", actions=("fullLoad",)))
    with pytest.raises(httpx.ReadError):
        push(sim, action="fullLoad")
    sim.hold({"DE*SLB*E2": OLD})
    sim.release_late()
    assert sim.statuses(OPERATOR) == {"DE*SLB*E1": NEW}
    assert sim.journal[-1].removed == 1


def test_a_late_insert_can_be_refused_when_it_is_due(sim: Simulator) -> None:
    # In the meantime the EVSE exists.
    sim.clear()
    sim.faults.add(Fault(kind="late_apply", connection="drop", count=1))
    with pytest.raises(httpx.ReadError):
        push(sim, OLD, action="insert")
    push(sim, NEW, action="insert")
    sim.release_late()
    assert held(sim) == NEW
    assert (sim.journal[-1].code, sim.journal[-1].applied) == ("022", False)


def test_a_dripping_answer_outlives_a_timeout_per_read(sim: Simulator) -> None:
    # Timeouts per read never fire here: only a total deadline helps.
    sim.faults.add(Fault(kind="drip", seconds=0.001, count=1))
    answer = push(sim)
    assert answer.json()["Result"] is True
    assert answer.elapsed.total_seconds() > 0.1
    assert held(sim) == NEW


def test_an_answer_can_come_twice_in_one_piece(sim: Simulator) -> None:
    # In two pieces a client may have gone on before the second, and the test proves nothing.
    sim.faults.add(Fault(kind="answered_twice", count=1))
    content = msgspec.json.encode(message(NEW))
    address = httpx.URL(sim.base_url)
    head = f"POST {address.path}{PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((address.host, address.port), timeout=AT_MOST) as client:
        client.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        received = client.recv(65536)
    first, second = received[: len(received) // 2], received[len(received) // 2 :]
    assert first == second
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"}")
    assert held(sim) == NEW


@pytest.mark.parametrize("apply", [None, True])
def test_a_stale_answer_is_the_last_one_of_its_connection(sim: Simulator, apply: bool | None) -> None:
    # What it says was true of the request before.
    def pushed(status: str) -> str:
        return str(client.post(sim.base_url + PATH, json=message(status)).headers["Process-ID"])

    with httpx.Client(verify=PLAIN) as client:
        earlier = [pushed(OLD), pushed(OLD)]
        sim.faults.add(Fault(kind="stale_answer", apply=apply, count=1))
        assert pushed(NEW) == earlier[1] != earlier[0]
    assert held(sim) == (NEW if apply else OLD)


def test_a_stale_refusal_refuses_the_innocent(sim: Simulator) -> None:
    # The second copy of an answer is what the first was.
    with httpx.Client(verify=PLAIN) as client:
        client.post(sim.base_url + PATH, json=message(OLD))
        sim.faults.add(Fault(kind="data_error", count=1))
        refusal = client.post(sim.base_url + PATH, json=message(OLD))
        sim.faults.add(Fault(kind="stale_answer", apply=True, count=1))
        assert client.post(sim.base_url + PATH, json=message(NEW)).content == refusal.content
    assert (refusal.json()["StatusCode"]["Code"], held(sim)) == ("022", NEW)


def test_without_two_answers_to_tell_apart_a_stale_answer_is_the_true_one(sim: Simulator) -> None:
    # As long as all Process-IDs are alike no client can know better.
    sim.faults.add(Fault(kind="stale_answer"))
    assert push(sim, NEW).json()["Result"] is True
    assert held(sim) == NEW


@pytest.mark.parametrize("kind", ["latency_before_apply", "latency_after_apply"])
def test_latency_delays_the_answer_and_applies_even_if_nobody_waits(sim: Simulator, kind: str) -> None:
    # The client gives up; Hubject carries on.
    number = sim.faults.add(msgspec.convert({"kind": kind, "seconds": 0.3}, Fault))
    with pytest.raises(httpx.ReadTimeout):
        push(sim, timeout=0.03)
    if kind == "latency_before_apply":
        assert held(sim) == OLD or sim.journal, "not before its time"
    assert eventually(lambda: held(sim) == NEW)
    if kind == "latency_after_apply":
        assert sim.journal == [] or sim.journal[-1].duration >= 0.3, "but the answer has time"
    assert eventually(lambda: len(sim.journal) == 1)
    assert sim.journal[-1].duration >= 0.3
    sim.faults.remove(number)
    sim.faults.add(msgspec.convert({"kind": kind, "seconds": 0.02}, Fault))
    assert push(sim, OLD).elapsed.total_seconds() >= 0.02
    assert rules(sim) == []


def head(sim: Simulator, body: bytes) -> bytes:
    lines = (
        f"POST /api/oicp{PATH} HTTP/1.1",
        f"Host: 127.0.0.1:{sim.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def raw(sim: Simulator) -> socket.socket:
    return socket.create_connection(("127.0.0.1", sim.port), timeout=AT_MOST)


BODY = msgspec.json.encode(message(NEW))


def test_sequential_pushes_on_one_or_many_connections_do_not_overlap(sim: Simulator) -> None:
    # A false alarm would make the rule worthless.
    with httpx.Client(verify=PLAIN) as http:
        for i in range(100):
            http.post(sim.base_url + PATH, json=message(OLD if i % 2 else NEW))
            push(sim)
    assert rules(sim) == []
    assert not any(entry.overlapped for entry in sim.journal)


def test_a_push_during_another_overlaps(sim: Simulator) -> None:
    # P2: at most one status push per operator in flight.
    sim.faults.add(Fault(kind="hang", count=1))
    with raw(sim) as first:
        first.sendall(head(sim, BODY) + BODY)
        assert eventually(lambda: bool(sim.journal))
        assert push(sim).json()["Result"] is True
    assert rules(sim) == ["parallel_push"]
    assert sim.journal[-1].overlapped


def test_a_push_counts_as_open_while_its_body_is_still_coming(sim: Simulator) -> None:
    # A big full load is open for minutes before Hubject can even begin to work on it.
    with raw(sim) as first:
        first.sendall(head(sim, BODY) + BODY[:10])
        assert eventually(lambda: len(sim._hub.overlaps._open.get("DESLB", ())) == 1)
        push(sim)
        first.sendall(BODY[10:])
        assert first.recv(100).startswith(b"HTTP/1.1 200")
    assert rules(sim) == ["parallel_push"]
    assert [entry.overlapped for entry in sim.journal] == [True, True]


def test_a_push_counts_as_open_from_the_first_byte_of_its_head(sim: Simulator) -> None:
    # Its sender had begun before the other was answered.
    start = head(sim, BODY)
    with raw(sim) as first:
        first.sendall(start[:20])
        assert eventually(lambda: _first_byte_seen(sim))
        push(sim)
        assert rules(sim) == []
        first.sendall(start[20:] + BODY)
        first.recv(100)
    assert rules(sim) == ["parallel_push"]


def _first_byte_seen(sim: Simulator) -> bool:
    # The connection has buffered the half head as soon as a round trip on another one has been answered.
    return httpx.get(f"{sim.origin}/_sim/rules", verify=PLAIN).status_code == 200


def test_a_client_that_gave_up_and_closed_is_no_longer_pushing(sim: Simulator) -> None:
    # Its request may still be applied; it is in doubt, not parallel.
    sim.faults.add(Fault(kind="latency_before_apply", seconds=0.05, count=1))
    first = raw(sim)
    first.sendall(head(sim, BODY) + BODY)
    first.close()
    push(sim)
    assert eventually(lambda: len(sim.journal) == 2)
    assert rules(sim) == []


def test_pushes_of_two_operators_do_not_overlap(sim: Simulator) -> None:
    # The promise is per operator.
    sim.faults.add(Fault(kind="hang", operator=OPERATOR))
    with raw(sim) as first, httpx.Client(verify=PLAIN) as http:
        first.sendall(head(sim, BODY) + BODY)
        assert eventually(lambda: bool(sim.journal))
        url = sim.base_url + PATH.replace("SLB", "ABC")
        assert http.post(url, json=message(NEW, "fullLoad", "DE*ABC")).json()["Result"] is True
    assert rules(sim) == []


def test_two_threads_pushing_at_once_are_caught(sim: Simulator) -> None:
    # The real mistake: a manual resync beside the daemon. Each has its own connection and big bodies.
    records = [{"EvseID": f"DE*SLB*E{i:06}", "EvseStatus": OLD} for i in range(20_000)]
    body = message(OLD, "fullLoad")
    body["OperatorEvseStatus"]["EvseStatusRecord"] = records
    content = msgspec.json.encode(body)

    def run() -> None:
        with httpx.Client(timeout=AT_MOST, verify=PLAIN) as http:
            http.post(sim.base_url + PATH, content=content, headers={"Content-Type": "application/json"})

    threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    sim.faults.add(Fault(kind="latency_before_apply", seconds=1, count=1))
    for thread in threads:
        thread.start()
        assert eventually(lambda: sim.in_flight > 0)
    for thread in threads:
        thread.join()
    assert rules(sim) == ["parallel_push"]
