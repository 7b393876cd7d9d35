"""What may stand in a launch file: every section, its keys, their ranges and meanings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    JsonValue,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from olympus.runtime.bus.afar import AfarRule
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings
from olympus.runtime.launch.computing import Job, Resource
from olympus.runtime.launch.guarding import Safety
from olympus.runtime.launch.section import (
    ArgumentName,
    Name,
    Namespace,
    NodeId,
    Port,
    Seconds,
    Section,
    TopicPattern,
)


class Argument(Section):
    """A value that whoever launches may set with `name:=value`."""

    default: JsonValue = None
    """Value when nobody sets it; its type is the argument's type. Without one it must be set."""
    description: str = ""
    """What it is for; shown by `olympus check`."""
    choices: list[JsonValue] | None = None
    """The only values allowed."""
    range: tuple[float, float] | None = None
    """Smallest and largest number allowed."""

    @model_validator(mode="before")
    @classmethod
    def _accept_a_bare_default(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {"default": data}

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return "default" not in self.model_fields_set


class Include(Section):
    """Another launch file whose nodes run here too."""

    file: str
    """Its path, relative to the file that includes it."""
    arguments: dict[ArgumentName, JsonValue] = {}
    """Values for the arguments it declares."""
    namespace: Namespace = ""
    """Put before its topics, and before its node names: `left` makes `left/camera`."""

    @model_validator(mode="before")
    @classmethod
    def _accept_a_bare_path(cls, data: Any) -> Any:
        return {"file": data} if isinstance(data, str) else data


class Broker(Section):
    """The MQTT broker: our own, or one that runs already."""

    embedded: bool = False
    """Start a broker for this launch; the default when no `host` is given."""
    host: str | None = None
    """Name or address of a broker that runs already; where an embedded one listens."""
    port: Port | None = None
    """TCP port; 1883 or with TLS 8883 when left out, a free one for an embedded broker."""
    user: str | None = None
    """User name at the broker."""
    password: str | None = None
    """Password at the broker; better `${env:MQTT_PASSWORD}` than plain text."""
    tls: bool = False
    """Whether the connection to a broker that runs already is encrypted."""
    cert_file: str | None = None
    """Certificate of an embedded broker; turns its TLS on."""
    key_file: str | None = None
    """The private key of `cert_file`."""

    @property
    def is_ours(self) -> bool:
        """Whether the launcher starts it."""
        return self.embedded or self.host is None

    @property
    def url(self) -> str:
        """Address of a broker that runs already."""
        port = self.port or (8883 if self.tls else 1883)
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{port}"

    @model_validator(mode="after")
    def _pairs(self) -> Broker:
        for one, other in (("user", "password"), ("cert_file", "key_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise PydanticCustomError(
                    "broker",
                    "{one} and {other} belong together; give both or none",
                    {"one": one, "other": other},
                )
        return self


class Afar(AfarRule, Section):
    """How a topic goes to other machines."""

    def bare(self) -> AfarRule:
        """Return it as hosts are told it."""
        return AfarRule(**self.model_dump())

    @model_validator(mode="after")
    def _says_something(self) -> Afar:
        if self.longest_px is not None and self.jpeg is None:
            raise PydanticCustomError("afar", "longest_px shrinks what goes as jpeg; add jpeg: 80")
        return self


class Bus(Section):
    """How other machines reach this session's topics."""

    listen: list[str] = []
    """Zenoh endpoints to listen on for other machines, such as `tcp/0.0.0.0:7447`."""
    connect: list[str] = []
    """Zenoh endpoints of other machines to connect to; they may come later, and come again."""
    topics: dict[TopicPattern, Afar] = {}
    """By full topic name, `*` and `**` allowed: how it goes to other machines; the first that fits.
    Without an entry it goes as it is."""
    zenoh: dict[str, JsonValue] = {}
    """Zenoh's own configuration of the gateway to them, laid over ours: TLS, access control."""

    @model_validator(mode="after")
    def _has_a_gateway(self) -> Bus:
        if (self.zenoh or self.topics) and not (self.listen or self.connect):
            raise PydanticCustomError(
                "bus", "zenoh and topics are about other machines; add listen or connect"
            )
        return self


class Respawn(Section):
    """When and how fast a process that ended is started again."""

    policy: Literal["always", "on_failure", "never"] = "on_failure"
    """After any end, after an end with an error, or not at all."""
    delay_s: Annotated[float, Field(ge=0, le=600)] = 0.2
    """Wait before the first restart; doubles with each one that follows soon."""
    max_delay_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """The longest wait."""
    max_restarts: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Give up after so many restarts within `within_s`."""
    within_s: Seconds = 60.0
    """The window in which restarts are counted."""


class Budgets(Section):
    """What a process may use; going over it is logged and shown, not punished."""

    cpu: Annotated[float, Field(gt=0, le=1024)] | None = None
    """Processor time, in cores: 0.5 is half a core."""
    rss_mb: Annotated[float, Field(gt=0)] | None = None
    """Resident memory of its own, in MB; pages of mapped files, such as a store's, are left out."""


class Host(Section):
    """One process, and the nodes in it."""

    nodes: list[NodeId] = []
    """Its nodes; a node may say `host:` instead."""
    cpu_affinity: list[Annotated[int, Field(ge=0, le=4095)]] | None = None
    """Processor numbers it may run on."""
    realtime_priority: Annotated[int, Field(ge=0, le=99)] | None = None
    """SCHED_FIFO priority of its event loop once it is ready, below the guardian's; 0 for none.
    Left out: 10 for a host that `safety.watch` allows 0.5 s of silence or less and that has no
    `nice` of its own, none for others. A niceness and a warning where the system refuses it."""
    nice: Annotated[int, Field(ge=-20, le=19)] = 0
    """Friendliness to other processes; below 0 needs a privilege."""
    forked: bool = True
    """Whether it may be forked from a process that has imported the runtime; else it is a new
    interpreter, with an address layout of its own."""
    spin_s: Annotated[float, Field(ge=0, le=0.01)] = 0.0005
    """How long it stays awake at most for the next message where they follow each other closely."""
    respawn: Respawn = Respawn()
    """What happens when it ends by itself."""
    budgets: Budgets = Budgets()
    """What it may use."""
    ready_timeout_s: Seconds = 30.0
    """How long its nodes may take to become active."""
    resources: dict[Name, Resource] = {}
    """What its models run on; the first is the default. One worker when left out."""

    @field_validator("cpu_affinity")
    @classmethod
    def _some_processor(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and not value:
            raise PydanticCustomError("affinity", "an empty list allows no processor; leave it out")
        return value


class Node(Section):
    """One node of the graph."""

    uses: str | None = None
    """Module of the node (`olympus.nodes.detector`), or `module:Class`."""
    host: Name | None = None
    """Process it runs in; one of its own name when left out."""
    params: dict[str, JsonValue] = {}
    """Values for the node's parameters."""
    remaps: dict[str, str] = {}
    """Topic as the node names it, and the topic it gets instead."""
    namespace: Namespace | None = None
    """Put before its topics instead of the launch file's; '' for none."""
    depends_on: list[NodeId] = []
    """Nodes that must be active before this one starts."""
    enabled: bool | str = True
    """Whether it runs; may be a condition such as `record and speed > 0.2`."""
    jobs: list[Job] = []
    """What it computes again and again: `olympus check --board` tells whether that fits."""


class Telemetry(Section):
    """What the session tells about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important log lines that hosts write."""
    prometheus: str | None = None
    """`host:port` of the Prometheus text endpoint; none when left out."""
    journal: bool = False
    """Whether every host keeps a journal for a recorder with `journal`, so that the recording can
    be replayed."""


class Ros2(BridgeSettings, Section):
    """How this session appears in a ROS 2 graph; makes the node `ros2`."""

    enabled: bool = True
    """Whether it joins."""
    host: Name | None = None
    """Process the bridge runs in; one of its own, `ros2`, when left out."""


class LaunchFile(Section):
    """A whole launch file."""

    name: Name | None = None
    """Name of the session; the file's own name when left out."""
    description: str = ""
    """What it is for."""
    arguments: dict[ArgumentName, Argument] = {}
    """Values that whoever launches may set."""
    include: list[Include] = []
    """Other launch files."""
    namespace: Namespace = ""
    """Put before every topic."""
    plugins: list[str] = []
    """Modules that every host imports first, such as drivers that register themselves."""
    params_file: str | None = None
    """A file `{node: {param: value}}`, laid over the params here; watched while it runs."""
    params_files: list[str] = []
    """Several of them; a later one wins."""
    broker: Broker | None = None
    """The MQTT broker; an embedded one when left out and somebody uses `${broker.url}`."""
    bus: Bus = Bus()
    """Endpoints for other machines."""
    safety: Safety = Safety()
    """What the guardian watches."""
    ros2: Ros2 | None = None
    """What a ROS 2 graph sees of this session, and what is taken from there."""
    telemetry: Telemetry = Telemetry()
    """Logs and metrics."""
    hosts: dict[Name, Host] = {}
    """Processes with more to say about them than their nodes."""
    nodes: dict[NodeId, Node] = {}
    """The nodes. One without `uses` refines the included node of that name."""
    mission: str | None = None
    """The first command, sent by `olympus launch --go`."""
    wake_us: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """How long a processor may take to wake while it runs, us: no deeper sleep, for more power. 0
    for no sleep at all; as the system likes when left out."""
    board: str | None = None
    """Board whose measured profiles tell, before it starts, whether its CRITICAL jobs fit."""
    profiles: list[str] = []
    """More measured profiles: files that `olympus models bench` wrote."""
