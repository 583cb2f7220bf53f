"""`media`: what Cloud Storage tells, as often as it likes, begins an import once."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.blobs.files import FileObjects
from shared.blobs.protocol import BlobsUnavailable
from shared.http.media import FINALIZED, media
from shared.model.records import Message
from shared.settings import Settings
from tests.http.asking import asker
from tests.http.uploads import EML, Sender, sha256

BUCKET = "demo-yurt-bytes"
OBJECT = f"upload/{sha256(EML)}"


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    """A node that believes its objects to be in a bucket."""
    with asker(tmp_path, Settings(data=tmp_path, bucket=BUCKET)) as asked:
        asked.node.objects = FileObjects(tmp_path / "blobs", "upload/session/")
        yield Sender(asked.node)


def tell(sender: Sender, name: object = OBJECT, **more: Any) -> str | None:
    data = {"bucket": BUCKET, "name": name, "size": str(len(EML)), "generation": "1", **more}
    return media(sender.node, sender.engine, FINALIZED, data)


def test_an_upload_that_is_whole_is_imported_once(sender: Sender) -> None:
    offered = sender.offer(EML, name="letter.eml")
    assert offered["state"] == "send"
    sender.node.objects.put(OBJECT, EML)
    job = tell(sender)
    assert job is not None
    assert sender.engine.job(job).title == "letter.eml"
    assert tell(sender) == job
    assert sender.sent(EML).get_json()["job"] == job
    assert sender.work() == ["done"]
    assert tell(sender) == job, "an event that comes late"
    assert sender.work() == []
    assert len(sender.node.store.page(Message).records) == 1


def test_what_nobody_offered_is_imported_by_its_hash(sender: Sender) -> None:
    sender.node.objects.put(OBJECT, EML)
    job = tell(sender)
    assert job is not None
    assert sender.engine.job(job).title == sha256(EML)
    assert sender.work() == ["done"]


def test_what_is_gone_is_left_alone(sender: Sender) -> None:
    assert tell(sender) is None
    assert sender.work() == []


@pytest.mark.parametrize("name", ["kept/ab/abcd", "spool/x/1", "uploads/x", ""])
def test_other_objects_are_nobody_s_concern(
    sender: Sender, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert tell(sender, name) is None
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("google.cloud.storage.object.v1.deleted", {"bucket": BUCKET, "name": OBJECT}),
        (FINALIZED, None),
        (FINALIZED, b"{}"),
        (FINALIZED, {}),
        (FINALIZED, {"bucket": BUCKET, "name": 7}),
        (FINALIZED, {"bucket": BUCKET, "name": "upload/../secret"}),
        (FINALIZED, {"bucket": BUCKET, "name": f"upload/{sha256(EML).upper()}"}),
        (FINALIZED, {"bucket": "another", "name": OBJECT}),
    ],
)
def test_what_cannot_be_meant_ends_well_with_a_line_in_the_log(
    sender: Sender, type: str, data: object, caplog: pytest.LogCaptureFixture
) -> None:
    sender.node.objects.put(OBJECT, EML)
    assert media(sender.node, sender.engine, type, data) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert sender.work() == []


def test_a_size_that_was_not_announced_ends_well_too(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    sender.offer(EML)
    sender.node.objects.put(OBJECT, EML + b"more")
    assert tell(sender) is None
    assert "were announced" in caplog.text


def test_what_may_pass_comes_again(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    sender.node.objects.put(OBJECT, EML)

    def away(*_: object) -> None:
        raise BlobsUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(FileObjects, "size", away)
        with pytest.raises(BlobsUnavailable):
            tell(sender)
    assert tell(sender) is not None
