"""Call rates and overlapping pushes, with time as an argument."""

import pytest

from oicp_adapter.simulator import Certificates, NotLoopback, Simulator, SimulatorOptions
from oicp_adapter.simulator.traffic import Overlaps, Rates


def test_the_window_slides() -> None:
    # A limiter that counts by calendar minute lets twice the limit pass around the full minute.
    rates = Rates({"status": 3})
    assert [rates.call("status", "A", at) for at in (0.0, 50.0, 59.0)] == [None, None, None]
    assert rates.call("status", "A", 59.5) == pytest.approx(50.5)
    assert rates.call("status", "B", 59.5) is None
    assert rates.call("pull", "A", 59.5) is None
    assert rates.call("status", "A", 105.0) == pytest.approx(14.0), "refused calls count as well"
    assert rates.call("status", "A", 200.0) is None


def test_the_wait_it_names_is_true() -> None:
    # A Retry-After that is too short makes an obedient client break the rule again.
    rates = Rates({"status": 2})
    rates.call("status", "A", 0.0)
    rates.call("status", "A", 10.0)
    wait = rates.call("status", "A", 20.0)
    assert wait == 50.0
    assert rates.call("status", "A", 20.0 + wait) is None


def test_a_long_run_keeps_the_window_small() -> None:
    # Weeks of calls must not pile up in memory.
    rates = Rates({"status": 10})
    for second in range(10_000):
        assert rates.call("status", "A", second * 10.0) is None
    assert len(rates._calls["status", "A"]) <= 11


def test_two_open_pushes_of_one_operator_overlap() -> None:
    # Hubject works on them in parallel: a small one may overtake a big one.
    overlaps = Overlaps()
    first = overlaps.open("A", 1.0)
    other = overlaps.open("B", 1.5)
    second = overlaps.open("A", 2.0)
    assert (first.overlapped, other.overlapped, second.overlapped) == (True, False, True)


def test_a_push_after_the_answer_does_not_overlap() -> None:
    # A false alarm here would make every sequential client look guilty.
    overlaps = Overlaps()
    overlaps.answered(overlaps.open("A", 1.0), 2.0)
    assert not overlaps.open("A", 2.0).overlapped


def test_a_push_that_began_before_the_last_answer_overlaps() -> None:
    # Its head was still on the way when the other one was answered.
    overlaps = Overlaps()
    overlaps.answered(overlaps.open("A", 1.0), 3.0)
    assert overlaps.open("A", 2.5).overlapped


def test_a_call_ends_once() -> None:
    # An answered request whose connection closes later is not open until then.
    overlaps = Overlaps()
    first = overlaps.open("A", 1.0)
    overlaps.answered(first, 2.0)
    overlaps.answered(first, 9.0)
    overlaps.abandoned(first)
    assert not overlaps.open("A", 3.0).overlapped


def test_a_client_that_let_go_is_not_accused_because_the_server_was_slow() -> None:
    # Timeout, close, next push: the busy server reads the end of the first only after the second's first byte.
    overlaps = Overlaps()
    first = overlaps.open("A", 1.0)
    overlaps.abandoned(first)
    assert not overlaps.open("A", 0.9).overlapped
    overlaps = Overlaps()
    overlaps.open("A", 1.0, lambda: True)
    second = overlaps.open("A", 2.0)
    assert not second.overlapped
    assert not overlaps.open("A", 3.0, lambda: True).overlapped
    assert not second.overlapped


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "hubject.example"])
def test_it_never_listens_where_others_could_reach_it(host: str) -> None:
    # It believes whatever it is told.
    with pytest.raises(NotLoopback, match="not a loopback address"):
        Simulator(SimulatorOptions(host=host))


def test_keys_are_readable_by_their_owner_only(tmp_path: object) -> None:
    # Even a test key should not teach people that 0644 is fine.
    files = Certificates().write(str(tmp_path), "DE*SLB", password="secret")
    assert files.password is not None
    assert [path.stat().st_mode & 0o777 for path in (files.key, files.password)] == [0o600, 0o600]
    assert b"ENCRYPTED" in files.key.read_bytes()
