"""Where the XMPP bridge lives: its machine on a strict fake, and what that does when it boots."""

import itertools
import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from infra.cloud import bridge
from infra.cloud.api import Call
from infra.cloud.bridge import Bundle, bridge_problem, bundle
from infra.cloud.steps import Step
from infra.staging import ROOT
from tests.infra.cloud.project import Killed, Project, checkout, lasting

STARTUP = ROOT / "infra" / "bridge-startup.sh"
PACKED = Bundle("ab" * 32, b"packed")
ZONE = "https://www.googleapis.com/compute/v1/projects/p-yurt/zones/us-central1-b"
ACCOUNT = "serviceAccount:yurt-bridge@p-yurt.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("bridged"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is uploaded does not matter here, but to those who look at it."""
    monkeypatch.setattr(bridge, "bundle", lambda: PACKED)


@pytest.fixture
def project(root: Path) -> Project:
    return Project(root)


def machine(project: Project) -> Any:
    instances = project.fake.state()["compute.googleapis.com"]
    return instances.get("projects/p-yurt/zones/us-central1-b/instances/yurt-bridge")


def machine_step(project: Project) -> Step:
    (step,) = (s for s in project.node(bridge="vm").steps() if s.title == "machine yurt-bridge")
    return step


def objects(project: Project) -> list[str]:
    return list(project.fake.state()["storage.googleapis.com"]["p-yurt-yurt"]["objects"])


def metadata(project: Project) -> dict[str, str]:
    return {item["key"]: item["value"] for item in machine(project)["metadata"]["items"]}


# Whether there is one


@pytest.mark.parametrize(
    ("home", "commands", "problem"),
    [
        ("none", {"up"}, False),
        ("vm", {"up"}, True),
        ("here", {"up"}, True),
        ("vm", {"up", "bridge"}, False),
        ("here", {"up", "bridge"}, False),
    ],
)
def test_nothing_is_set_up_for_a_bridge_that_there_is_not(
    home: Any, commands: set[str], problem: bool
) -> None:
    said = bridge_problem(home, commands)
    assert (said is not None) == problem
    assert said is None or "leave --bridge out" in said


# The machine


def test_it_gets_a_free_machine_that_reads_its_own_files_only(project: Project) -> None:
    project.deploy(bridge="vm")
    instance = machine(project)
    assert instance["machineType"] == "zones/us-central1-b/machineTypes/e2-micro"
    assert instance["disks"][0]["initializeParams"]["diskSizeGb"] == "10"
    (account,) = instance["serviceAccounts"]
    assert f"serviceAccount:{account['email']}" == ACCOUNT
    assert project.fake.roles_of(ACCOUNT) == {"buckets/p-yurt-yurt": {"roles/storage.objectViewer"}}
    (condition,) = (
        binding["condition"]
        for binding in project.fake.project.policies.get("buckets/p-yurt-yurt", 3)["bindings"]
        if ACCOUNT in binding["members"]
    )
    path = "projects/_/buckets/p-yurt-yurt/objects/bridge/"
    assert condition["expression"] == f'resource.name.startsWith("{path}")'
    assert objects(project) == [f"bridge/{PACKED.sha256}.tar.gz"]
    told = metadata(project)
    assert told["yurt-version"] == PACKED.sha256
    assert told["startup-script"] == STARTUP.read_text("utf-8")
    assert f"ExecStart=/opt/yurt/{PACKED.sha256}/.venv/bin/python -c" in told["yurt-unit"]
    assert "User=yurt" in told["yurt-unit"]
    assert project.deploy(bridge="vm").changes == {}


def test_the_plan_says_what_may_be_charged(project: Project) -> None:
    wanted = machine_step(project).wanted
    assert "of which one is free" in wanted
    assert "external address may be charged" in wanted


def test_a_new_version_replaces_the_machine_and_then_the_old_files(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.deploy(bridge="vm")
    newer = Bundle("cd" * 32, b"packed anew")
    monkeypatch.setattr(bridge, "bundle", lambda: newer)
    changes = project.deploy(bridge="vm").changes
    assert changes == {
        "files of the bridge": ["upload"],
        "machine yurt-bridge": ["delete", "create"],
        "older files of the bridge": [f"delete bridge/{PACKED.sha256}.tar.gz"],
    }
    assert metadata(project)["yurt-version"] == newer.sha256


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_request_the_next_run_ends_the_same(after: bool, root: Path) -> None:
    whole = Project(root)
    whole.deploy(bridge="vm")
    complete = lasting(whole.fake)
    plain = Project(root)
    plain.deploy()
    looks = len(plain.fake.requests)
    for number in itertools.count(1):
        project = Project(root)
        project.deploy()
        assert len(project.fake.requests) == looks
        project.killed_at, project.after = number, after
        try:
            project.deploy(bridge="vm")
        except Killed:
            project.killed_at = None
            project.deploy(bridge="vm")
            assert lasting(project.fake) == complete, f"killed at request {number}"
        else:
            assert number > 40
            return


def test_a_machine_that_is_being_replaced_is_not_forgotten(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_machine() -> bool:
        return bridge.has_machine(project.doors().api, project.node().deployment)

    assert not has_machine()
    project.deploy(bridge="vm")
    assert has_machine()
    monkeypatch.setattr(bridge, "bundle", lambda: Bundle("cd" * 32, b"packed anew"))
    step = machine_step(project)
    api = project.doors().api
    deleted, _ = step.decide(step.look(api))
    assert isinstance(deleted.act, Call)
    api.finish(deleted.act)  # and dies here
    assert machine(project) is None
    assert has_machine()


def test_without_a_bridge_the_machine_goes(project: Project) -> None:
    project.deploy()
    before = lasting(project.fake)
    project.deploy(bridge="vm")
    changes = project.deploy().changes
    assert changes["machine yurt-bridge"] == [f"delete bridge/{PACKED.sha256}.tar.gz", "delete"]
    assert project.deploy().changes == {}
    assert objects(project) == []
    assert machine(project) is None
    assert project.fake.roles_of(ACCOUNT) == {}
    bucket = "buckets/p-yurt-yurt"
    assert before["policies"][bucket] == lasting(project.fake)["policies"][bucket]


def test_it_is_taken_down_with_the_node(project: Project) -> None:
    project.deploy(bridge="vm")
    project.remove(bridge="vm")
    assert machine(project) is None
    assert objects(project) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"status": "TERMINATED"}, ["delete", "create"]),
        ({"status": "STOPPING"}, ["wait until it has stopped"]),
        ({"machineType": f"{ZONE}/machineTypes/e2-small"}, ["delete", "create"]),
        ({"machineType": f"{ZONE}/machineTypes/e2-micro"}, []),
        ({"serviceAccounts": [{"email": "1-compute@developer.example"}]}, ["delete", "create"]),
        ({"metadata": {"items": []}}, ["delete", "create"]),
    ],
)
def test_a_machine_that_is_not_as_it_was_made_is_replaced(
    changed: dict[str, Any], says: list[str], project: Project
) -> None:
    project.deploy(bridge="vm")
    step = machine_step(project)
    found = {**step.look(project.doors().api), **changed}
    assert [change.says for change in step.decide(found)] == says


def test_what_others_told_the_machine_besides_is_let_be(project: Project) -> None:
    project.deploy(bridge="vm")
    step = machine_step(project)
    found = step.look(project.doors().api)
    found["metadata"]["items"].append({"key": "serial-port-enable", "value": "TRUE"})
    assert step.decide(found) == ()


# What it runs


def test_the_same_checkout_is_packed_to_the_same_bytes() -> None:
    packed = bundle(ROOT)
    assert packed == bundle(ROOT)
    # RFC 1952: no flags, no time, the slowest compression, no system.
    assert packed.data[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    with tarfile.open(fileobj=BytesIO(packed.data)) as archive:
        names = archive.getnames()
    assert {"infra/cli/main.py", "shared/node.py", "requirements.txt"} <= set(names)
    assert [name for name in names if "__pycache__" in name or name.startswith(("/", ".."))] == []


STUBS = {
    "curl": """
for word; do url=$word; done
case $url in
  */yurt-version) cat "$SANDBOX/version" ;;
  */yurt-bucket) printf a-bucket ;;
  */yurt-unit) printf '[Service]\\nExecStart=bridge\\n' ;;
  */token) printf '{"access_token":"a-token","expires_in":3599}' ;;
  *bridge%2F*)
    while [ "$1" != --output ]; do shift; done
    [ ! -e "$SANDBOX/damaged" ] || { mv "$SANDBOX/damaged" "$2"; exit; }
    cp "$SANDBOX/files.tar.gz" "$2"
    ;;
esac""",
    "apt-get": "",
    "id": '[ -e "$SANDBOX/user" ]',
    "useradd": 'touch "$SANDBOX/user"',
    "systemctl": "",
    "python3": 'mkdir -p "$3/bin"; printf "#!/bin/sh\\n%s\\n" "$NOTE" >"$3/bin/pip"; chmod +x "$3/bin/pip"',
}
NOTE = """
echo "${0##*/} $*" >>"$SANDBOX/log"
number=$(wc -l <"$SANDBOX/log")
[ "$number" != "$DIES_AT" ] || kill -9 0
[ "$number" != "$FAILS_AT" ] || exit 1
"""
DONE_FOR_REAL = ("mkdir", "mv", "rm", "sha256sum", "sleep", "sync", "tar", "touch")


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A machine that boots: its commands only note that they were called."""
    files = tmp_path / "files"
    for name in ("infra/cli/main.py", "shared/node.py", "requirements.txt"):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).touch()
    packed = bundle(files)
    (tmp_path / "files.tar.gz").write_bytes(packed.data)
    (tmp_path / "version").write_text(packed.sha256)
    (tmp_path / "bin").mkdir()
    (tmp_path / "units").mkdir()
    real = {name: f'exec /usr/bin/{name} "$@"' for name in DONE_FOR_REAL}
    for name, script in {**STUBS, **real}.items():
        stub = tmp_path / "bin" / name
        stub.write_text(f"#!/bin/bash\n{NOTE}\n{script}\n")
        stub.chmod(0o755)
    return tmp_path


def boot(sandbox: Path, dies_at: int = 0, fails_at: int = 0) -> tuple[int, list[str]]:
    """How the script ended, and the commands it called. dies_at: the number of the command at which
    the machine does. fails_at: that of the one that fails."""
    (sandbox / "log").write_text("")
    environ = {
        "PATH": f"{sandbox / 'bin'}:/usr/bin:/bin",
        "SANDBOX": str(sandbox),
        "NOTE": NOTE,
        "DIES_AT": str(dies_at),
        "FAILS_AT": str(fails_at),
        "YURT_PAUSE": "0",
        "YURT_ROOT": str(sandbox / "opt"),
        "YURT_UNITS": str(sandbox / "units"),
    }
    ran = subprocess.run(
        ["bash", STARTUP], env=environ, capture_output=True, check=False, start_new_session=True
    )
    return ran.returncode, (sandbox / "log").read_text().splitlines()


def state(sandbox: Path) -> list[str]:
    return sorted(
        os.fspath(path.relative_to(sandbox))
        for folder in ("opt", "units")
        for path in (sandbox / folder).rglob("*")
        if path.is_file()
    )


def test_a_machine_that_boots_runs_the_bridge_and_the_next_time_at_once(sandbox: Path) -> None:
    status, first = boot(sandbox)
    assert status == 0, first
    assert first[-1] == "systemctl restart yurt-bridge.service"
    unit = (sandbox / "units" / "yurt-bridge.service").read_text()
    assert unit == "[Service]\nExecStart=bridge\n"
    there = state(sandbox)
    assert any(path.endswith("infra/cli/main.py") for path in there)
    status, second = boot(sandbox)
    assert status == 0
    assert not [line for line in second if line.startswith(("apt-get", "pip", "useradd"))]
    assert second[-1] == "systemctl restart yurt-bridge.service"
    assert state(sandbox) == there


def forget(sandbox: Path) -> None:
    """Makes it a new machine again."""
    subprocess.run(["rm", "-rf", sandbox / "opt", sandbox / "user"], check=True)
    for unit in (sandbox / "units").iterdir():
        unit.unlink()


def test_a_machine_that_dies_while_it_boots_does_the_rest_the_next_time(sandbox: Path) -> None:
    _, called = boot(sandbox)
    whole = state(sandbox)
    for number in range(1, len(called) + 1):
        forget(sandbox)
        status, before = boot(sandbox, dies_at=number)
        assert (status, len(before)) == (-9, number)
        assert boot(sandbox)[0] == 0
        assert state(sandbox) == whole, f"died at {before[-1]}"


def test_what_fails_is_tried_again(sandbox: Path) -> None:
    _, called = boot(sandbox)
    whole = state(sandbox)
    for number, failed in enumerate(called, 1):
        forget(sandbox)
        status, again = boot(sandbox, fails_at=number)
        assert status == 0
        assert again[-1] == "systemctl restart yurt-bridge.service"
        assert state(sandbox) == whole, f"failed at {failed}"


def test_files_that_were_damaged_on_the_way_are_not_run(sandbox: Path) -> None:
    (sandbox / "damaged").write_bytes(b"something else")
    status, called = boot(sandbox)
    assert status == 0
    names = [line.partition(" ")[0] for line in called]
    assert names.count("sha256sum") == 2
    assert names.index("pip") > names.index("sleep") > names.index("sha256sum")
