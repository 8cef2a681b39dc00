"""The whole configuration as frozen values; durations are seconds, paths are absolute once loaded.

The danger: a default that publishes a fleet by accident, so prod is used only when it is written. The docstring
after each field is its documentation (docs/configuration.md is made from them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from oicp_adapter.core.plan import Missing
from oicp_adapter.settings.contradictions import contradictions
from oicp_adapter.settings.fields import (
    BaseUrl,
    Duration,
    FilePath,
    LedgerUrl,
    ProxyUrl,
    Share,
    UnlessNever,
    Whole,
    default,
)
from oicp_adapter.settings.operator import OperatorSettings
from oicp_adapter.settings.problems import InvalidSettings, explained
from oicp_adapter.settings.table import Table


class HubjectSettings(Table):
    """Which Hubject, and how patiently."""

    environment: Literal["qa", "prod"] = "qa"
    """Hubject's test system or the real one. `qa` unless you write `prod`."""
    base_url: BaseUrl | None = None
    """Another address instead of `environment`, such as the simulator's. Plain http only on loopback."""
    ca_file: FilePath | None = None
    """PEM file with the CA of Hubject's server certificate, which is not publicly trusted. Needed for https."""
    timeout: Duration = default("30s")
    """For one insert, update or delete, from the connection to the last byte of the answer. After it the push is in
    doubt and its EVSEs wait for `delivery.settle`, so rather too long than too short."""
    connect_timeout: Duration = default("5s")
    """For TCP and for TLS to be up, each."""
    full_load_timeout: Duration = default("300s")
    """As `timeout`, for a full load: a million EVSEs are 56 MB."""
    max_body: Whole | None = Field(default=None, ge=1000)
    """Bytes of a full load above which a rolling resync in bundles replaces it. Unset, because Hubject's limit is not
    documented: it is learned when Hubject answers 413."""
    retry_attempts: Whole = Field(default=4, ge=1, le=20)
    """Attempts of one push, where repeating is safe; 1 never repeats."""
    retry_total: Duration = default("20s")
    """No attempt begins later than this after the first; the next cycle tries again with the newest state."""
    calls_per_minute: Whole = Field(default=1900, ge=1, le=2000)
    """Pushes in any 60 s per operator. Hubject allows 2000 and counts by its own clock."""
    proxy: ProxyUrl | None = None
    """`http://[user:password@]host:port` of a CONNECT proxy; the proxy variables of the environment are ignored,
    because Hubject's allow-list sees the proxy's address. Write the password as `${NAME}`."""

    @property
    def uses_tls(self) -> bool:
        """False only for a plain http `base_url` (on loopback)."""
        return self.base_url is None or self.base_url.lower().startswith("https:")


class LedgerSettings(Table):
    """The durable record of what Hubject is known to hold. Keep it: without it every EVSE must be pushed anew."""

    url: Annotated[LedgerUrl, Field(repr=False)] = "sqlite:///ledger.db"
    """`sqlite:///ledger.db` lies in the directory of the configuration file, `sqlite:////var/lib/x.db` is absolute.
    Put it on a local disk: SQLite's locks do not hold on network shares."""


class DeliverySettings(Table):
    """What may be pushed, and how doubt and refusals are handled (docs/guarantees.md)."""

    settle: Duration = default("60s")
    """How long Hubject may still apply a request after we gave up waiting. EVSEs in doubt are not pushed before."""
    missing: Missing = Missing.EVSE_NOT_FOUND
    """What becomes of an EVSE that is gone from the source: pushed as `EvseNotFound`, sent as OICP `delete`, or kept
    with its last status and a warning. `EvseNotFound`, because it can be taken back by the next status."""
    missing_after: Duration = default("60s")
    """An EVSE is gone when it is missing from two complete reads at least this far apart, the second of them of a newer
    writing of the source: the same file read twice is one read."""
    missing_after_unchanged: Duration = default("15min")
    """A source that is written only on change has no newer writing: what it misses is gone when it has stood still for
    this long."""
    max_withdrawal_share: Share = 0.10
    """Withdrawals of 7 days, as a share of the largest fleet of those days, above which removals and the full load are
    withheld, if they are also more than `max_withdrawal_count`: an export that lost a region looks like this."""
    max_withdrawal_count: Whole = Field(default=5, ge=0)
    """EVSEs that may always go within 7 days, so that small fleets can change."""
    mass_unknown_share: Share = 0.5
    """When silence and values that no table knows would turn a greater share of the fleet (and more than 5 EVSEs) to
    Unknown or OutOfService within 24 hours, further ones are withheld: a wrong vocabulary or a stuck clock looks like
    this. Silence is believed after 15 minutes."""
    unmapped_believed_after: UnlessNever = default("12h")
    """After so long an EVSE that nobody can read becomes Unknown, however many they are, with an ERROR. `"never"`: only
    when a person corrects it or says `resync OPERATOR --allow-unknown N`. 12 h, because until then the map shows what
    nobody vouches for."""
    overdue_after: Duration = default("5min")
    """What has waited for Hubject longer than this is an ERROR (`delivery.overdue`), then hourly: Hubject cannot be
    reached, refuses, or does not answer. Not what a guard withholds or a person has paused."""
    quarantine_retry: Duration = default("15min")
    """First wait before an EVSE that Hubject refused is tried again alone; it grows with each refusal."""


class DaemonSettings(Table):
    """The daemon as a process."""

    grace: Duration = default("30s")
    """At SIGTERM, how long a push in flight may take to end. Keep the supervisor's own kill timeout above it."""


class LogSettings(Table):
    """The log (docs/logs.md)."""

    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable on a terminal, JSON lines otherwise."""
    level: Literal["debug", "info", "warning"] = "info"
    """The least important level that is written. At `warning` there are no summary lines."""
    summary: Duration = default("5min")
    """Delta cycles in which nothing happened share one `delta.done` line this often. `"1s"`: each has its own."""


OperatorKey = Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")]


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        case_sensitive=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    hubject: HubjectSettings = HubjectSettings()
    ledger: LedgerSettings = LedgerSettings()
    delivery: DeliverySettings = DeliverySettings()
    daemon: DaemonSettings = DaemonSettings()
    log: LogSettings = LogSettings()
    operators: Annotated[dict[OperatorKey, OperatorSettings], Field(min_length=1)]

    def __init__(self, *layers: Mapping[str, Any]) -> None:
        """The first layer that has a key wins. Raises InvalidSettings with all problems at once."""
        super().__init__(layers=layers)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the layers that were passed in: os.environ is never read behind the loader's back."""
        assert isinstance(init_settings, InitSettingsSource)
        return tuple(_Layer(settings_cls, layer) for layer in init_settings.init_kwargs["layers"])

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """What is wrong with single values and what contradicts, together: one round of corrections, not five."""
        problems = contradictions(data)
        try:
            settings = read(data)
        except ValidationError as error:
            raise InvalidSettings([*explained(error, cls), *problems]) from None
        if problems:
            raise InvalidSettings(problems)
        return settings


class _Layer(PydanticBaseSettingsSource):
    """One table of settings as it was read; pydantic-settings merges it with the others."""

    def __init__(self, settings_cls: type[BaseSettings], table: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._table = table

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One field's value; part of the interface."""
        return self._table.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The whole layer."""
        return dict(self._table)
