"""The client that a node uses to store objects, against the fake."""

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import PreconditionFailed
from google.cloud import storage
from google.oauth2.credentials import Credentials

from tests.google.listener import Listener
from tests.google.requests import ask, opened

BODY = {"name": "yurt-b", "location": "us-central1"}


@pytest.fixture
def bucket() -> Iterator[storage.Bucket]:
    fake = opened()
    ask(fake, "POST storage/storage/v1/b?project=p-yurt", BODY)
    with Listener(fake) as listener:
        client = storage.Client(
            project="p-yurt",
            credentials=Credentials("a-token"),
            client_options={"api_endpoint": f"{listener.address}/storage"},
        )
        yield client.bucket("yurt-b")
        client.close()


def test_an_object_is_uploaded_at_once(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a/b")
    blob.upload_from_string(b"xyz\r\n--", content_type="text/plain", if_generation_match=0)
    assert bucket.blob("a/b").download_as_bytes() == b"xyz\r\n--"
    assert bucket.get_blob("a/b").content_type == "text/plain"
    with pytest.raises(PreconditionFailed):
        blob.upload_from_string(b"other", if_generation_match=0)


def test_an_object_is_uploaded_in_chunks(bucket: storage.Bucket) -> None:
    data = bytes(range(256)) * 4096
    with bucket.blob("big").open("wb", chunk_size=256 * 1024) as sink:
        sink.write(data)
    assert bucket.blob("big").download_as_bytes() == data
    assert [blob.name for blob in bucket.list_blobs(prefix="b")] == ["big"]
