"""Beginning an import: the same thing begun twice is one job, which goes on where it was."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from shared.archives.names import export_of
from shared.imports import inputs
from shared.imports.inputs import Spec
from shared.model.ids import content_id
from shared.model.profile import Profile
from shared.work.engine import Engine
from shared.work.jobs import Job

UPLOADS = "upload/"
"""Objects below it are what somebody else sent, named by their SHA-256."""


class Begun(NamedTuple):
    id: str
    job: Job


def begin_path(
    engine: Engine, path: Path, now: datetime, profile: Profile, *, again: bool = False
) -> Begun:
    """Imports a file or folder of this machine. `OSError` when it is not there.

    A file that was changed since is another job; of a folder only the path counts.
    """
    whole = path.resolve(strict=True)
    status = whole.stat()
    is_file = whole.is_file()
    size, modified = (status.st_size, inputs.modified(whole)) if is_file else (0, None)
    spec = Spec(
        name=inputs.shown(whole.name),
        export=export_of(inputs.shown(whole.name)) if is_file else _export_of_folder(whole),
        now=now,
        size=size,
        profile=profile,
        path=inputs.written(whole),
        modified=modified,
    )
    return _begun(engine, f"{whole}\0{size}\0{modified}", spec, again=again)


def begin_upload(
    engine: Engine,
    sha256: str,
    name: str,
    size: int,
    now: datetime,
    profile: Profile,
    *,
    modified: int | None = None,
    again: bool = False,
) -> Begun:
    """Imports the uploaded object `UPLOADS` + sha256. name: of the file where it came from."""
    spec = Spec(
        name=name,
        export=export_of(name),
        now=now,
        size=size,
        profile=profile,
        object=UPLOADS + sha256,
        modified=modified,
    )
    return _begun(engine, sha256, spec, again=again)


def upload_job(sha256: str) -> str:
    """The id of the job that imports such an upload."""
    return _job_id(sha256)


def _begun(engine: Engine, what: str, spec: Spec, *, again: bool) -> Begun:
    id = _job_id(what)
    return Begun(id, engine.submit(id, "import", msgspec.to_builtins(spec), spec.name, again=again))


def _job_id(what: str) -> str:
    return f"import-{content_id(what.encode('utf-8', 'surrogateescape'))[:20]}"


def _export_of_folder(folder: Path) -> str:
    # An unpacked export has no name of its own; where it lies is what its files have in common.
    return content_id(str(folder).encode("utf-8", "surrogateescape"))[:20]
