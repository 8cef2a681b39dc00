"""The `/_sim/` pages: look at what the simulator holds and saw, and make things go wrong, from another
process.

Only for tests and demonstrations; nothing like it exists at Hubject. JSON in, JSON out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from oicp_adapter.simulator.faults import Fault

if TYPE_CHECKING:
    from oicp_adapter.simulator.simulator import Simulator

CONTROL = "/_sim/"


class _Data(msgspec.Struct, forbid_unknown_fields=True):
    EvseIDs: list[str] | None


class _Late(msgspec.Struct, forbid_unknown_fields=True):
    now: float | None = None


class Control:
    """The pages, over the same methods a test in the same process calls."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator
        self._views: dict[str, Callable[[], object]] = {
            "statuses": simulator.everything,
            "journal": lambda: simulator.journal,
            "rules": lambda: simulator.rules_broken,
            "summary": simulator.summary,
            "faults": lambda: {str(number): fault for number, fault in simulator.faults.active().items()},
        }
        self._orders: dict[str, Callable[[bytes], object]] = {
            "faults": self._add_faults,
            "faults/clear": lambda _: simulator.faults.clear(),
            "journal/clear": lambda _: simulator.clear_journal(),
            "clear": lambda _: simulator.clear(),
            "data": self._set_data,
            "hold": self._hold,
            "late": self._release,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one page."""
        name = request.path.removeprefix(CONTROL)
        if request.method == "GET" and name in self._views:
            return _json(self._views[name]())
        if request.method == "POST" and name in self._orders:
            try:
                return _json(self._orders[name](await request.read()))
            except (msgspec.MsgspecError, ValueError) as error:
                return _json({"error": str(error)}, 400)
        pages = {"GET": sorted(self._views), "POST": sorted(self._orders)}
        return _json({"error": "no such page", "pages": pages}, 404)

    def _add_faults(self, body: bytes) -> object:
        faults = msgspec.json.decode(body, type=Fault | list[Fault])
        return {
            "added": [self._sim.faults.add(one) for one in (faults if isinstance(faults, list) else [faults])]
        }

    def _set_data(self, body: bytes) -> None:
        self._sim.set_evse_data(msgspec.json.decode(body, type=_Data).EvseIDs)

    def _hold(self, body: bytes) -> None:
        self._sim.hold_all(msgspec.json.decode(body, type=dict[str, dict[str, str]]))

    def _release(self, body: bytes) -> object:
        return {"applied": self._sim.release_late(msgspec.json.decode(body or b"{}", type=_Late).now)}


def _json(value: Any, status: int = 200) -> web.Response:
    body = msgspec.json.encode({"done": True} if value is None else value)
    return web.Response(body=body, status=status, content_type="application/json")
