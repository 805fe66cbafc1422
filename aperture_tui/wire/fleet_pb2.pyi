from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PushRequest(_message.Message):
    __slots__ = ("agent", "boot", "seq", "service", "version", "lost", "interval_ms", "body")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    agent: str
    boot: bytes
    seq: int
    service: str
    version: str
    lost: int
    interval_ms: int
    body: bytes
    def __init__(self, agent: _Optional[str] = ..., boot: _Optional[bytes] = ..., seq: _Optional[int] = ..., service: _Optional[str] = ..., version: _Optional[str] = ..., lost: _Optional[int] = ..., interval_ms: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class Body(_message.Message):
    __slots__ = ("symbols", "stack_hash", "stack_node", "events", "columns", "hosts", "gauges", "health", "tags")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    STACK_HASH_FIELD_NUMBER: _ClassVar[int]
    STACK_NODE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    GAUGES_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[bytes]
    stack_hash: bytes
    stack_node: bytes
    events: int
    columns: bytes
    hosts: bytes
    gauges: bytes
    health: bytes
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, symbols: _Optional[_Iterable[bytes]] = ..., stack_hash: _Optional[bytes] = ..., stack_node: _Optional[bytes] = ..., events: _Optional[int] = ..., columns: _Optional[bytes] = ..., hosts: _Optional[bytes] = ..., gauges: _Optional[bytes] = ..., health: _Optional[bytes] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class PushReply(_message.Message):
    __slots__ = ("stored", "need_stacks", "interval_ms")
    STORED_FIELD_NUMBER: _ClassVar[int]
    NEED_STACKS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    stored: int
    need_stacks: bytes
    interval_ms: int
    def __init__(self, stored: _Optional[int] = ..., need_stacks: _Optional[bytes] = ..., interval_ms: _Optional[int] = ...) -> None: ...

class Selection(_message.Message):
    __slots__ = ("kind", "start_ns", "end_ns", "hosts", "service", "pids", "process_start_ns", "tids", "process", "cgroup", "frame", "name", "value", "role", "group", "by_time", "tags", "without_tags", "where")
    KIND_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_START_NS_FIELD_NUMBER: _ClassVar[int]
    TIDS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    CGROUP_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    BY_TIME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_TAGS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    kind: int
    start_ns: int
    end_ns: int
    hosts: _containers.RepeatedScalarFieldContainer[str]
    service: str
    pids: _containers.RepeatedScalarFieldContainer[int]
    process_start_ns: int
    tids: _containers.RepeatedScalarFieldContainer[int]
    process: str
    cgroup: str
    frame: str
    name: str
    value: int
    role: int
    group: int
    by_time: bool
    tags: _containers.RepeatedScalarFieldContainer[str]
    without_tags: _containers.RepeatedScalarFieldContainer[str]
    where: str
    def __init__(self, kind: _Optional[int] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., hosts: _Optional[_Iterable[str]] = ..., service: _Optional[str] = ..., pids: _Optional[_Iterable[int]] = ..., process_start_ns: _Optional[int] = ..., tids: _Optional[_Iterable[int]] = ..., process: _Optional[str] = ..., cgroup: _Optional[str] = ..., frame: _Optional[str] = ..., name: _Optional[str] = ..., value: _Optional[int] = ..., role: _Optional[int] = ..., group: _Optional[int] = ..., by_time: _Optional[bool] = ..., tags: _Optional[_Iterable[str]] = ..., without_tags: _Optional[_Iterable[str]] = ..., where: _Optional[str] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("sampled", "events", "share_error", "missing_ns")
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SHARE_ERROR_FIELD_NUMBER: _ClassVar[int]
    MISSING_NS_FIELD_NUMBER: _ClassVar[int]
    sampled: int
    events: int
    share_error: float
    missing_ns: int
    def __init__(self, sampled: _Optional[int] = ..., events: _Optional[int] = ..., share_error: _Optional[float] = ..., missing_ns: _Optional[int] = ...) -> None: ...

class Rows(_message.Message):
    __slots__ = ("n", "columns")
    N_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    n: int
    columns: bytes
    def __init__(self, n: _Optional[int] = ..., columns: _Optional[bytes] = ...) -> None: ...

class RowsReply(_message.Message):
    __slots__ = ("body", "estimate")
    BODY_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    estimate: Estimate
    def __init__(self, body: _Optional[bytes] = ..., estimate: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class RowsBody(_message.Message):
    __slots__ = ("symbols", "parts", "tag_sets")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    TAG_SETS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[bytes]
    parts: _containers.RepeatedCompositeFieldContainer[Rows]
    tag_sets: _containers.RepeatedCompositeFieldContainer[TagSet]
    def __init__(self, symbols: _Optional[_Iterable[bytes]] = ..., parts: _Optional[_Iterable[_Union[Rows, _Mapping]]] = ..., tag_sets: _Optional[_Iterable[_Union[TagSet, _Mapping]]] = ...) -> None: ...

class TagSet(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("selection", "alike")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ALIKE_FIELD_NUMBER: _ClassVar[int]
    selection: Selection
    alike: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, selection: _Optional[_Union[Selection, _Mapping]] = ..., alike: _Optional[_Iterable[str]] = ...) -> None: ...

class AggregateRequest(_message.Message):
    __slots__ = ("selection", "nodes")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    selection: Selection
    nodes: int
    def __init__(self, selection: _Optional[_Union[Selection, _Mapping]] = ..., nodes: _Optional[int] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("base", "after", "nodes")
    BASE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    base: Selection
    after: Selection
    nodes: int
    def __init__(self, base: _Optional[_Union[Selection, _Mapping]] = ..., after: _Optional[_Union[Selection, _Mapping]] = ..., nodes: _Optional[int] = ...) -> None: ...

class TimelineRequest(_message.Message):
    __slots__ = ("selection", "buckets")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    selection: Selection
    buckets: int
    def __init__(self, selection: _Optional[_Union[Selection, _Mapping]] = ..., buckets: _Optional[int] = ...) -> None: ...

class TimelineReply(_message.Message):
    __slots__ = ("start_ns", "bucket_ns", "weights", "estimate")
    START_NS_FIELD_NUMBER: _ClassVar[int]
    BUCKET_NS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    start_ns: int
    bucket_ns: int
    weights: bytes
    estimate: Estimate
    def __init__(self, start_ns: _Optional[int] = ..., bucket_ns: _Optional[int] = ..., weights: _Optional[bytes] = ..., estimate: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("selection", "gauges")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    GAUGES_FIELD_NUMBER: _ClassVar[int]
    selection: Selection
    gauges: bool
    def __init__(self, selection: _Optional[_Union[Selection, _Mapping]] = ..., gauges: _Optional[bool] = ...) -> None: ...

class DescribeReply(_message.Message):
    __slots__ = ("start_ns", "end_ns", "events", "newest_ns", "kinds", "hosts", "health", "gauges", "tags")
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_NS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    GAUGES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    start_ns: int
    end_ns: int
    events: int
    newest_ns: int
    kinds: _containers.RepeatedScalarFieldContainer[int]
    hosts: bytes
    health: bytes
    gauges: bytes
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., events: _Optional[int] = ..., newest_ns: _Optional[int] = ..., kinds: _Optional[_Iterable[int]] = ..., hosts: _Optional[bytes] = ..., health: _Optional[bytes] = ..., gauges: _Optional[bytes] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class HostsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Host(_message.Message):
    __slots__ = ("name", "service", "version", "first_ns", "newest_ns", "seen_ns", "events", "lost", "interval_ms", "kernel", "cpus", "memory_bytes", "problem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FIRST_NS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_NS_FIELD_NUMBER: _ClassVar[int]
    SEEN_NS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    service: str
    version: str
    first_ns: int
    newest_ns: int
    seen_ns: int
    events: int
    lost: int
    interval_ms: int
    kernel: str
    cpus: int
    memory_bytes: int
    problem: str
    def __init__(self, name: _Optional[str] = ..., service: _Optional[str] = ..., version: _Optional[str] = ..., first_ns: _Optional[int] = ..., newest_ns: _Optional[int] = ..., seen_ns: _Optional[int] = ..., events: _Optional[int] = ..., lost: _Optional[int] = ..., interval_ms: _Optional[int] = ..., kernel: _Optional[str] = ..., cpus: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class HostsReply(_message.Message):
    __slots__ = ("hosts", "now_ns")
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedCompositeFieldContainer[Host]
    now_ns: int
    def __init__(self, hosts: _Optional[_Iterable[_Union[Host, _Mapping]]] = ..., now_ns: _Optional[int] = ...) -> None: ...

class BatchesRequest(_message.Message):
    __slots__ = ("selection", "limit")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    selection: Selection
    limit: int
    def __init__(self, selection: _Optional[_Union[Selection, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("host", "service", "boot", "seq", "start_ns", "end_ns", "stored_ns", "events", "lost")
    HOST_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    STORED_NS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    service: str
    boot: bytes
    seq: int
    start_ns: int
    end_ns: int
    stored_ns: int
    events: int
    lost: int
    def __init__(self, host: _Optional[str] = ..., service: _Optional[str] = ..., boot: _Optional[bytes] = ..., seq: _Optional[int] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., stored_ns: _Optional[int] = ..., events: _Optional[int] = ..., lost: _Optional[int] = ...) -> None: ...

class BatchesReply(_message.Message):
    __slots__ = ("batches",)
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    def __init__(self, batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("hosts", "service")
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedScalarFieldContainer[str]
    service: str
    def __init__(self, hosts: _Optional[_Iterable[str]] = ..., service: _Optional[str] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("end_ns", "now_ns", "hosts")
    END_NS_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    end_ns: int
    now_ns: int
    hosts: int
    def __init__(self, end_ns: _Optional[int] = ..., now_ns: _Optional[int] = ..., hosts: _Optional[int] = ...) -> None: ...

class AlertsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Alert(_message.Message):
    __slots__ = ("group", "state", "since_ns", "value", "at_least", "why")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    group: str
    state: int
    since_ns: int
    value: float
    at_least: float
    why: str
    def __init__(self, group: _Optional[str] = ..., state: _Optional[int] = ..., since_ns: _Optional[int] = ..., value: _Optional[float] = ..., at_least: _Optional[float] = ..., why: _Optional[str] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("name", "kind", "where", "measure", "by", "above", "for_s", "window_s", "measured_ns", "left_out", "alerts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    FOR_S_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    MEASURED_NS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: int
    where: str
    measure: str
    by: str
    above: float
    for_s: int
    window_s: int
    measured_ns: int
    left_out: int
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[int] = ..., where: _Optional[str] = ..., measure: _Optional[str] = ..., by: _Optional[str] = ..., above: _Optional[float] = ..., for_s: _Optional[int] = ..., window_s: _Optional[int] = ..., measured_ns: _Optional[int] = ..., left_out: _Optional[int] = ..., alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ...) -> None: ...

class AlertsReply(_message.Message):
    __slots__ = ("rules", "now_ns", "follows_rules")
    RULES_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    now_ns: int
    follows_rules: bool
    def __init__(self, rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., now_ns: _Optional[int] = ..., follows_rules: _Optional[bool] = ...) -> None: ...
