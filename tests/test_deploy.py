"""What stands in deploy/ is of use as long as its commands, files and rights are ours."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from aperture_tui.cli import agent, aggregator
from tests.test_packaging import _FOLDERS

_ROOT = Path(__file__).resolve().parent.parent
_DEPLOY = _ROOT / "deploy"
_UNITS = sorted(_DEPLOY.glob("*.service"))
_PARSERS = {"agent": agent._parser, "aggregator": aggregator._parser}


def _settings(unit: Path) -> dict[str, str]:
    """Key -> value; of keys that come several times all, as words."""
    found: dict[str, str] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found[key] = f"{found[key]} {value}" if key in found else value
    return found


def _manifests() -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((_DEPLOY / "kubernetes.yaml").read_text()) if one]


def _containers() -> list[dict[str, Any]]:
    pods = [one["spec"]["template"]["spec"] for one in _manifests() if "template" in one.get("spec", {})]
    return [container for pod in pods for container in pod["containers"]]


def _commands() -> dict[str, list[str]]:
    """Where it stands -> the words of a command, without `aperture`."""
    units = {unit.name: shlex.split(_settings(unit)["ExecStart"].replace("$OPTIONS", ""))[1:] for unit in _UNITS}
    pods = {one["name"]: [*one["command"][1:], *one["args"]] for one in _containers()}
    return units | pods


@pytest.mark.parametrize("where", _commands())
def test_every_command_is_one_that_we_have(where: str) -> None:
    command, *options = _commands()[where]
    given = [re.sub(r"\$[({]\w+[)}]", "agg:50051", option) for option in options]
    chosen = _PARSERS[command]().parse_args(given)  # ends the test where an option is not known
    settle = {"agent": agent._settle, "aggregator": aggregator._refuse_what_is_open}[command]
    settle(_PARSERS[command](), chosen)  # or where some do not go together


@pytest.mark.parametrize("unit", _UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/aperture/bin/aperture", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_agent_has_the_same_rights_everywhere() -> None:
    unit = _settings(_DEPLOY / "aperture-agent.service")
    rights = unit["AmbientCapabilities"].split()
    assert unit["CapabilityBoundingSet"].split() == rights
    (pod,) = (one for one in _containers() if one["name"] == "agent")
    assert [f"CAP_{one}" for one in pod["securityContext"]["capabilities"]["add"]] == rights
    documented = re.findall(r"^\| (CAP_[A-Z_, ]+) \|", (_ROOT / "docs/install.md").read_text(), re.MULTILINE)
    assert set(rights) == set(", ".join(documented).split(", ")) - {"CAP_SYS_ADMIN"}


def test_what_is_mounted_is_where_the_commands_look() -> None:
    for one in _containers():
        mounts = [mount["mountPath"] for mount in one["volumeMounts"]]
        for option in one["args"]:
            path = re.search(r"=(?:chdb://)?(/\S+)", option)
            assert path is None or any(path[1].startswith(f"{mount}/") for mount in mounts), option


def test_images_get_every_file_that_they_are_made_of() -> None:
    kept = set(re.findall(r"^!(\S+)$", (_DEPLOY / "Containerfile.dockerignore").read_text(), re.MULTILINE))
    assert kept == {"aperture_tui", *_FOLDERS, "setup", "deploy/*.lock", "pyproject.toml", "README.md"}
    copied = re.findall(r"^COPY ([^-\s.]\S*)", (_DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert copied
    assert all((_ROOT / path).exists() for path in copied)
