"""A Hubject stand-in, stricter than the real one; it shares no code with the adapter, and so none of its
mistakes.

Use it as a context manager:

```python
with Simulator(SimulatorOptions(operators=["DE*SLB"])) as sim:
    sim.faults.add(Fault(kind="drop_after_apply", actions=("update",), count=1))
    push_to(sim.base_url)
    assert sim.statuses("DE*SLB") == {"DE*SLB*E1": "Available"}
    assert not sim.rules_broken
```
"""

from oicp_adapter.simulator.certificates import Certificates, ClientFiles
from oicp_adapter.simulator.errors import NotLoopback, PortInUse, SimulatorError
from oicp_adapter.simulator.faults import FAULT_KINDS, Fault, FaultBox, FaultKind
from oicp_adapter.simulator.journal import BrokenRule, Entry
from oicp_adapter.simulator.options import CALLS_PER_MINUTE, DEFAULT_PORT, SimulatorOptions
from oicp_adapter.simulator.simulator import Simulator

__all__ = [
    "CALLS_PER_MINUTE",
    "DEFAULT_PORT",
    "FAULT_KINDS",
    "BrokenRule",
    "Certificates",
    "ClientFiles",
    "Entry",
    "Fault",
    "FaultBox",
    "FaultKind",
    "NotLoopback",
    "PortInUse",
    "Simulator",
    "SimulatorError",
    "SimulatorOptions",
]
