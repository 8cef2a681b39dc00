"""What can go wrong before the simulator serves anything; afterwards everything is an HTTP answer."""


class SimulatorError(Exception):
    """The simulator could not be started or was asked for something it does not have."""


class PortInUse(SimulatorError):
    """Another process listens on the port that was asked for."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"simulator: port {port} on {host} is in use; choose another, or 0 for a free one")


class NotLoopback(SimulatorError):
    """The simulator believes whatever it is told, so it never listens on an address others can reach."""

    def __init__(self, host: str) -> None:
        super().__init__(f"simulator: {host} is not a loopback address; use 127.0.0.1, ::1 or localhost")
