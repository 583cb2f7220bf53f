"""What imports spend in the cloud: documents of Firestore and operations on objects, as they are
billed, and the memory of the process that runs the chunks. On emulators.
"""

import contextlib
import hashlib
import io
import logging
import os
import tempfile
import zipfile
from base64 import encodebytes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from google.cloud import storage
from PIL import Image

from infra.emulators import HOST, Missing, find_firestore, free_port, launch
from shared.blobs.gcs import GcsObjects
from shared.imports.beginning import UPLOADS
from tests.bench import mail_corpus, photo_corpus, records_json
from tests.bench.importing import Imported, imported
from tests.bench.table import print_table

AIM = 256
"""MiB at the peak."""


class _Input(NamedTuple):
    """number: of what is counted; kind: of the records that it becomes."""

    title: str
    kind: str
    number: int
    path: Path


def main(points: int = 50_000, mails: int = 2_000, photos: int = 200) -> None:
    found = find_firestore()
    if isinstance(found, Missing):
        print(found)
        return
    with (
        tempfile.TemporaryDirectory() as name,
        launch(found, Path(name) / "firestore") as emulator,
        _storage() as url,
    ):
        variables = {**emulator.env, "STORAGE_EMULATOR_HOST": url}
        inputs = list(_inputs(Path(name), points, mails, photos))
        runs = [(each, _imported(each, variables, n)) for n, each in enumerate(inputs)]
    _print_costs(runs[:3])
    _print_peaks(runs)


def _print_costs(runs: Sequence[tuple[_Input, Imported]]) -> None:
    rows = []
    for each, run in runs:
        told = run.told
        figures = (told.writes, told.reads, told.object_writes, told.object_reads)
        row = [each.title, f"{each.number:,}", f"{len(told.chunks)}"]
        rows.append([*row, *(f"{1_000 * figure / each.number:,.1f}" for figure in figures)])
    columns = ["per 1,000", "of", "chunks", "writes", "reads", "objects written", "objects read"]
    print_table("Imports into the cloud", columns, rows)


def _print_peaks(runs: Sequence[tuple[_Input, Imported]]) -> None:
    rows = [
        [each.title, f"{run.spent.peak / 2**20:.0f}", f"{run.spent.peak / 2**20 / AIM:.2f}"]
        for each, run in runs
    ]
    print_table(
        "Memory of the process of an import's chunks", ["", "peak MiB", f"÷ {AIM} MiB"], rows
    )


def _inputs(folder: Path, points: int, mails: int, photos: int) -> Iterator[_Input]:
    path = folder / "Records.json"
    records_json.main(points, path)
    yield _Input("points", "fix", points, path)
    path = folder / "mail.mbox"
    mail_corpus.write_mbox(path, mails)
    yield _Input("mails", "message", mails, path)
    path = folder / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in photo_corpus.photos(photos):
            archive.writestr(f"Takeout/Google Photos/Photos from 2015/{name}", data)
    yield _Input("photos", "media", photos, path)
    path = folder / "large.mbox"
    path.write_bytes(_large_mail())
    yield _Input("a mail with 20 MB attached", "message", 1, path)
    path = folder / "large.jpg"
    path.write_bytes(_large_photo())
    yield _Input("a photo of 48 megapixels", "media", 1, path)


def _imported(each: _Input, variables: Mapping[str, str], number: int) -> Imported:
    project = f"demo-bench-{number}"
    env = {
        **variables,
        "YURT_STORE": "firestore",
        "YURT_PROJECT": project,
        "YURT_BUCKET": f"{project}-bytes",
        "GOOGLE_CLOUD_PROJECT": project,
    }
    with patch.dict(os.environ, env):
        sent = _sent(each.path, project)
    run = imported(f"{UPLOADS}{each.path.name}:{sent}", env)
    # One in so many points has no place.
    if run.told.new.get(each.kind, 0) < each.number * (1 - 2 / records_json.FAULTY):
        raise SystemExit(f"yurt imported {run.told.new} of {each.number} {each.title}")
    return run


def _sent(path: Path, project: str) -> str:
    with contextlib.closing(storage.Client(project)) as client:
        client.create_bucket(f"{project}-bytes")
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    with contextlib.closing(GcsObjects(f"{project}-bytes")) as objects:
        objects.put(UPLOADS + sha256, data)
    return sha256


def _large_mail() -> bytes:
    head = (
        "From 1500000000000000000@xxx Tue Aug 05 08:00:23 +0000 2014\r\n"
        "From: Ada <ada@example.org>\r\nTo: bob@example.org\r\nSubject: the film\r\n"
        "Date: Tue, 05 Aug 2014 08:00:23 +0000\r\nMessage-ID: <film@example.org>\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="part"\r\n\r\n'
        "--part\r\nContent-Type: text/plain\r\n\r\nHere it is.\r\n"
        '--part\r\nContent-Type: video/mp4; name="film.mp4"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    film = encodebytes(os.urandom(20_000_000)).replace(b"\n", b"\r\n")
    return head.encode() + film + b"--part--\r\n\r\n"


def _large_photo() -> bytes:
    small = Image.frombytes("RGB", (500, 375), os.urandom(500 * 375 * 3))
    out = io.BytesIO()
    small.resize((8_000, 6_000), Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
    return out.getvalue()


@contextlib.contextmanager
def _storage() -> Iterator[str]:
    from gcp_storage_emulator.server import create_server

    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    port = free_port()
    server = create_server(HOST, port, in_memory=True)
    server.start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.stop()


if __name__ == "__main__":
    main()
