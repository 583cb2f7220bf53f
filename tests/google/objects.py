"""The objects in buckets: media, multipart and resumable uploads, and what they answer."""

import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.google.checksums import crc32c_text, md5_text
from tests.google.project import Project
from tests.google.refusal import Listed
from tests.google.service import Answer, Call, Json, Route

_LISTING = "includeFoldersAsPrefixes includeTrailingDelimiter matchGlob startOffset endOffset"
_GENERATIONS = "ifGenerationMatch ifMetagenerationMatch"
_UPLOAD = (
    f"uploadType name contentEncoding predefinedAcl userProject upload_id projection {_GENERATIONS}"
)


class Objects:
    """bucket: gives a bucket by its name, or refuses.

    address: what the addresses of uploads begin with, which answers give out.
    """

    def __init__(self, bucket: Callable[[str], Json], project: Project) -> None:
        self.address = "https://storage.googleapis.com"
        self._bucket = bucket
        self._project = project
        self._objects: dict[tuple[str, str], Json] = {}
        self._bytes: dict[tuple[str, str], bytes] = {}
        self._sessions: dict[str, tuple[str, Json, bytearray]] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        o, one = "storage/v1/b/{bucket}/o", "storage/v1/b/{bucket}/o/{object**}"
        create = "storage.objects.create"
        return [
            Route(
                "GET",
                o,
                self._list,
                query=f"prefix delimiter maxResults pageToken projection versions userProject {_LISTING}",
            ),
            Route(
                "GET", one, self._get, query=f"alt projection userProject generation {_GENERATIONS}"
            ),
            Route(
                "GET",
                f"download/{one}",
                self._get,
                query=f"alt userProject generation {_GENERATIONS}",
            ),
            Route(
                "DELETE",
                one,
                self._delete,
                query=f"userProject generation {_GENERATIONS}",
                needs="storage.objects.delete",
            ),
            Route("POST", f"upload/{o}", self._upload, body="*", query=_UPLOAD, needs=create),
            Route("PUT", f"upload/{o}", self._continue, body="*", query=_UPLOAD, needs=create),
        ]

    def names(self, bucket: str) -> list[str]:
        return sorted(name for held, name in self._objects if held == bucket)

    def put(self, bucket: str, name: str, data: bytes, about: Json | None = None) -> Json:
        sums = {"md5Hash": md5_text(data), "crc32c": crc32c_text(data)}
        _check_sums(about or {}, sums)
        generation, now = f"{next(self._numbers):016d}", self._project.now()
        shown = {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            **(about or {}),
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "size": str(len(data)),
            **sums,
            "etag": generation,
            "timeCreated": now,
            "updated": now,
        }
        self._objects[bucket, name] = shown
        self._bytes[bucket, name] = data
        return shown

    def read(self, bucket: str, name: str) -> bytes | None:
        return self._bytes.get((bucket, name))

    def _list(self, call: Call) -> Json:
        bucket = self._bucket(call["bucket"])["name"]
        prefix = call.query.get("prefix", "")
        items = [self._objects[bucket, n] for n in self.names(bucket) if n.startswith(prefix)]
        return {"kind": "storage#objects", **({"items": items} if items else {})}

    def _get(self, call: Call) -> Json | Answer:
        key = self._key(call)
        if call.query.get("alt") == "media":
            type = self._objects[key]["contentType"]
            return Answer(200, self._bytes[key], {"Content-Type": type})
        return self._objects[key]

    def _delete(self, call: Call) -> Json:
        key = self._key(call)
        self._check_generation(call, *key)
        del self._objects[key], self._bytes[key]
        return {}

    def _key(self, call: Call) -> tuple[str, str]:
        key = (str(self._bucket(call["bucket"])["name"]), call["object"])
        if key not in self._objects:
            raise Listed(404, "notFound", f"No such object: {'/'.join(key)}")
        return key

    def _upload(self, call: Call) -> Json | Answer:
        bucket = self._bucket(call["bucket"])["name"]
        match call.query.get("uploadType"):
            case "media":
                about: Json = {"contentType": call.headers.get("content-type", "")}
                return self._finish(call, bucket, about, call.bytes)
            case "multipart":
                return self._finish(call, bucket, *_parts(call))
            case "resumable":
                return self._start(call, bucket)
        raise Listed(400, "invalid", "uploadType must be media, multipart or resumable.")

    def _finish(self, call: Call, bucket: str, about: Json, data: bytes) -> Json:
        name = call.query.get("name") or about.get("name")
        if not name:
            raise Listed(400, "required", "Required parameter: name")
        self._check_generation(call, bucket, name)
        return self.put(bucket, name, data, about)

    def _start(self, call: Call, bucket: str) -> Answer:
        about: Json = json.loads(call.bytes) if call.bytes else {}
        session = f"session-{next(self._numbers)}"
        about = {"name": call.query.get("name"), **about}
        self._sessions[session] = (bucket, about, bytearray())
        url = f"{self.address}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={session}"
        return Answer(200, b"", {"Location": url, "X-GUploader-UploadID": session})

    def _continue(self, call: Call) -> Json | Answer:
        session = call.query.get("upload_id", "")
        if session not in self._sessions:
            raise Listed(404, "notFound", "The upload session is unknown.")
        bucket, about, data = self._sessions[session]
        span = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+|\*)", call.headers.get("content-range", ""))
        data += call.bytes
        if span and (span[1] == "*" or len(data) < int(span[1])):
            held = {"Range": f"bytes=0-{len(data) - 1}"} if data else {}
            return Answer(308, b"", held)
        del self._sessions[session]
        return self._finish(call, bucket, about, bytes(data))

    def _check_generation(self, call: Call, bucket: str, name: str) -> None:
        wanted = call.query.get("ifGenerationMatch")
        there: Any = self._objects.get((bucket, name), {}).get("generation", "0")
        if wanted is not None and int(wanted) != int(there):
            text = "At least one of the pre-conditions you specified did not hold."
            raise Listed(412, "conditionNotMet", text)


def _check_sums(about: Json, sums: Mapping[str, str]) -> None:
    for name, computed in sums.items():
        if about.get(name, computed) != computed:
            text = f'Provided {name} "{about[name]}" doesn\'t match calculated {name} "{computed}".'
            raise Listed(400, "invalid", text)


def _parts(call: Call) -> tuple[Json, bytes]:
    """What it says of the object, and the object, of a multipart/related body (RFC 2387)."""
    told = re.search(r"boundary=[\"']?([^\"';]+)", call.headers.get("content-type", ""))
    parts = re.split(rb"\r?\n?--" + re.escape(told[1]).encode(), call.bytes) if told else []
    # Before the first boundary and after the last there is nothing.
    if len(parts) != 4:
        raise Listed(400, "invalid", "A multipart upload has two parts.")
    (_, about), (head, data) = map(_split, parts[1:3])
    type = re.search(rb"(?i)content-type: *([^\r\n]+)", head)
    return {**({"contentType": type[1].decode()} if type else {}), **json.loads(about)}, data


def _split(part: bytes) -> tuple[bytes, bytes]:
    """The head of a part, and its body."""
    head, body = re.split(rb"\r?\n\r?\n", part, maxsplit=1)
    return head, body
