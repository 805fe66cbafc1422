"""The generated code in aperture_tui/wire/ is what protoc makes of proto/."""

from __future__ import annotations

import subprocess
from pathlib import Path

from aperture_tui.wire import pprof_pb2

ROOT = Path(__file__).parents[1]


def test_the_committed_code_is_what_protoc_writes(tmp_path: Path) -> None:
    subprocess.run([ROOT / "setup/proto.sh", tmp_path], check=True, timeout=60)
    fresh = {path.name: path.read_bytes() for path in (tmp_path / "aperture_tui/wire").iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "aperture_tui/wire").glob("*_pb2*.py*")}
    assert fresh == committed, "make proto"


def test_field_numbers_are_those_of_pprof() -> None:
    """Spelt out, because a wrong one would be read as something else, and by nobody but others."""
    told = {
        name: {field.name: field.number for field in message.fields}
        for name, message in pprof_pb2.DESCRIPTOR.message_types_by_name.items()
    }
    assert told["Sample"] == {"location_id": 1, "value": 2, "label": 3}
    assert told["Label"] == {"key": 1, "str": 2, "num": 3, "num_unit": 4}
    assert told["Line"] == {"function_id": 1, "line": 2, "column": 3}
    assert told["ValueType"] == {"type": 1, "unit": 2}
    assert list(told["Profile"]) == [
        "sample_type", "sample", "mapping", "location", "function", "string_table", "drop_frames", "keep_frames",
        "time_nanos", "duration_nanos", "period_type", "period", "comment", "default_sample_type", "doc_url",
    ]  # fmt: skip
    assert list(told["Profile"].values()) == list(range(1, 16))
