"""Where the XMPP bridge lives: on a machine of its own in the cloud, here, or nowhere.

The machine keeps nothing. So it is not updated but replaced, with all that it needs to know in its
metadata; what it runs it fetches from the node's bucket.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.deployment import Deployment, member
from infra.cloud.policies import Grant, below
from infra.cloud.steps import Change, Step, Wait
from infra.cloud.unit import unit_text
from infra.staging import ROOT, is_left_over

Home = Literal["vm", "here", "none"]

MACHINE = "yurt-bridge"
NEEDS = "compute"
"""The service that a machine takes besides."""

_FOLDER = "bridge/"
_PACKED = ("shared", "infra", "schemas", "pyproject.toml", "requirements.txt", "LICENSE")
_PLACE = "/opt/yurt"
_STARTUP = ROOT / "infra" / "bridge-startup.sh"
_TYPE = "e2-micro"
_DISK = "10"  # GB, of 30 that are free
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"  # what it may do its roles say

COMMAND = ("-c", "from infra.cli.main import main; main()", "bridge")
"""What Python is called with."""


class Bundle(NamedTuple):
    """What the machine runs: a tar with gzip, by its hash."""

    sha256: str
    data: bytes


def bridge_problem(home: Home, commands: Collection[str]) -> str | None:
    """Why this version cannot have a bridge there, if it cannot. commands: those of `yurt`."""
    if home == "none" or "bridge" in commands:
        return None
    return (
        "this version of Yurt has no XMPP bridge yet, so there is nothing to run "
        f"{'on a machine' if home == 'vm' else 'here'}; leave --bridge out"
    )


def bundle(root: Path = ROOT) -> Bundle:
    """Of a checkout: the same one gives the same bytes."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _packed(root):
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    packed = io.BytesIO()
    # Not gzip.compress(): which system its header names depends on the version of Python.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write(tar.getvalue())
    data = packed.getvalue()
    return Bundle(hashlib.sha256(data).hexdigest(), data)


def _packed(root: Path) -> Iterable[Path]:
    for name in _PACKED:
        found = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        for path in found:
            if path.is_file() and not any(map(is_left_over, path.relative_to(root).parts)):
                yield path


def grants(deployment: Deployment) -> list[Grant]:
    """On the bucket, of the machine's account: it may read what it runs, and nothing of the
    owner's."""
    only = below(deployment.bucket, _FOLDER)
    return [Grant("roles/storage.objectViewer", member(deployment.bridge), only)]


def has_machine(api: Api, deployment: Deployment) -> bool:
    """Whether there is one, or is to be: of one that is being made or replaced there may be no more
    than the files."""
    return _machine(api, deployment) is not None or bool(_files(api, deployment))


class Files(Step):
    def __init__(self, deployment: Deployment, packed: Bundle) -> None:
        self.title = "files of the bridge"
        self.wanted = "in the bucket, where its machine alone fetches them"
        self._deployment = deployment
        self._bucket = _objects(deployment)
        self._name = f"{_FOLDER}{packed.sha256}.tar.gz"
        self._data = packed.data

    def look(self, api: Api) -> Any:
        """The names of all there are."""
        return _files(api, self._deployment)

    def decide(self, found: Any) -> Sequence[Change]:
        if self._name in found:
            return ()
        query = {"uploadType": "media", "name": self._name}
        call = Call("POST", "storage", f"upload/{self._bucket}", query, self._data)
        return [Change("upload", call)]

    def removal(self, found: Any) -> Sequence[Change]:
        return [_file_deleted(self._deployment, name) for name in found]


class OldFiles(Files):
    """Those of earlier versions, once the machine runs this one."""

    def __init__(self, deployment: Deployment, packed: Bundle) -> None:
        super().__init__(deployment, packed)
        self.title = "older files of the bridge"
        self.wanted = "deleted"

    def decide(self, found: Any) -> Sequence[Change]:
        return self.removal([name for name in found if name != self._name])


class Machine(Step):
    def __init__(self, deployment: Deployment, packed: Bundle) -> None:
        self.title = f"machine {MACHINE}"
        self.wanted = (
            f"an {_TYPE} in {_zone(deployment)}, of which one is free, with a disk of {_DISK} GB. "
            "Its external address may be charged: the list price is $0.005 an hour, some $3.65 a "
            "month, and whether the free tier covers it is disputed. --bridge here or none costs "
            "nothing"
        )
        self._deployment = deployment
        self._version = packed.sha256
        self._path = _instances(deployment)

    def look(self, api: Api) -> Any:
        return _machine(api, self._deployment)

    def decide(self, found: Any) -> Sequence[Change]:
        create = Change("create", Call("POST", "compute", self._path, body=self._instance()))
        if found is None:
            return [create]
        if found.get("status") in ("STOPPING", "SUSPENDING"):
            return [Change("wait until it has stopped", Wait())]
        if self._is_right(found):
            return ()
        return [*self.removal(found), create]

    def removal(self, found: Any) -> Sequence[Change]:
        return [_deleted(self._deployment)] if found is not None else ()

    def _is_right(self, found: Mapping[str, Any]) -> bool:
        """Metadata that others have added besides are let be."""
        accounts = [account.get("email") for account in found.get("serviceAccounts", ())]
        return (
            found.get("status") in _RUNS
            and str(found.get("machineType")).rpartition("/")[2] == _TYPE
            and accounts == [self._deployment.bridge]
            and self._metadata().items() <= _metadata(found).items()
        )

    def _metadata(self) -> dict[str, str]:
        python = f"{_PLACE}/{self._version}/.venv/bin/python"
        variables = {
            "YURT_PUBLIC_BASE": self._deployment.origin,
            "YURT_PROJECT": self._deployment.project,
        }
        unit = unit_text([python, *COMMAND], f"{_PLACE}/{self._version}", variables, user="yurt")
        return {
            "startup-script": _STARTUP.read_text("utf-8"),
            "yurt-version": self._version,
            "yurt-bucket": self._deployment.bucket,
            "yurt-unit": unit,
            "enable-oslogin": "TRUE",
        }

    def _instance(self) -> dict[str, Any]:
        zone = f"zones/{_zone(self._deployment)}"
        image = "projects/debian-cloud/global/images/family/debian-12"
        disk = {
            "sourceImage": image,
            "diskSizeGb": _DISK,
            "diskType": f"projects/{self._deployment.project}/{zone}/diskTypes/pd-standard",
        }
        address = {"type": "ONE_TO_ONE_NAT", "name": "External NAT"}
        return {
            "name": MACHINE,
            "machineType": f"{zone}/machineTypes/{_TYPE}",
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": disk}],
            "networkInterfaces": [
                {"network": "global/networks/default", "accessConfigs": [address]}
            ],
            "serviceAccounts": [{"email": self._deployment.bridge, "scopes": [_SCOPE]}],
            "shieldedInstanceConfig": {"enableSecureBoot": True},
            "metadata": {
                "items": [{"key": key, "value": v} for key, v in sorted(self._metadata().items())]
            },
        }


class NoMachine(Step):
    """One that was deployed before goes, and its files."""

    def __init__(self, deployment: Deployment) -> None:
        self.title = f"machine {MACHINE}"
        self.wanted = "none: --bridge vm makes one"
        self._deployment = deployment

    def look(self, api: Api) -> Any:
        """The names of the files, and the machine or None."""
        return _files(api, self._deployment), _machine(api, self._deployment)

    def decide(self, found: Any) -> Sequence[Change]:
        names, machine = found
        deleted = [_deleted(self._deployment)] if machine is not None else []
        return [*(_file_deleted(self._deployment, name) for name in names), *deleted]


_RUNS = ("PROVISIONING", "STAGING", "RUNNING")


def _machine(api: Api, deployment: Deployment) -> Any | None:
    try:
        return api.get("compute", f"{_instances(deployment)}/{MACHINE}")
    except ApiError as error:
        if error.status == 403:
            # The service was never enabled, or it is not for this owner to look at: then it cannot
            # have been made by them, either.
            return None
        raise


def _files(api: Api, deployment: Deployment) -> list[str]:
    """Their names; none where the bucket is missing or somebody else's."""
    query = {"prefix": _FOLDER, "fields": "items(name),nextPageToken"}
    try:
        found = list(api.pages("storage", _objects(deployment), "items", query))
    except ApiError as error:
        if error.status in (403, 404):
            return []
        raise
    return [item["name"] for item in found]


def _file_deleted(deployment: Deployment, name: str) -> Change:
    call = Call("DELETE", "storage", f"{_objects(deployment)}/{part(name)}")
    return Change(f"delete {name}", call)


def _objects(deployment: Deployment) -> str:
    return f"storage/v1/b/{part(deployment.bucket)}/o"


def _deleted(deployment: Deployment) -> Change:
    return Change("delete", Call("DELETE", "compute", f"{_instances(deployment)}/{MACHINE}"))


def _zone(deployment: Deployment) -> str:
    return f"{deployment.region}-b"  # each of the free regions has one


def _instances(deployment: Deployment) -> str:
    project = part(deployment.project)
    return f"compute/v1/projects/{project}/zones/{_zone(deployment)}/instances"


def _metadata(instance: Mapping[str, Any]) -> dict[str, str]:
    items = instance.get("metadata", {}).get("items", ())
    return {item["key"]: item.get("value", "") for item in items}
