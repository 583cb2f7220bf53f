"""The door to archives: what a content is, by its first bytes, and the reader of its members."""

from shared.archives import gzip, tar, zip
from shared.archives.members import Archive
from shared.model.steps import Bad, Content

_UNREAD = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xfd7zXZ\x00": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"\x04\x22\x4d\x18": "packed with lz4",
    b"LZIP": "packed with lzip",
    **{b"BZh%d1AY&SY" % level: "packed with bzip2" for level in range(1, 10)},
}


def opened_archive(content: Content) -> Archive | Bad | None:
    """The archive that a content is; None if it is none, `Bad` if it is one that is not read.

    A document that is a zip inside (`.docx`, `.jar`) is a zip here.
    """
    head = content.read(0, tar.BLOCK)
    if head.startswith(zip.SIGNS):
        return zip.Zip(content)
    if tar.is_tar(head):
        return tar.Tar(content)
    if head.startswith(gzip.SIGN):
        packed = gzip.Gzip(content)
        if tar.is_tar(packed.read(0, tar.BLOCK)):
            return tar.Tar(content, packed)
        return _refused("a gzip file without a tar in it", head, content)
    kinds = (kind for sign, kind in _UNREAD.items() if head.startswith(sign))
    return next((_refused(kind, head, content) for kind in kinds), None)


def _refused(kind: str, head: bytes, content: Content) -> Bad:
    reason = f"it is {kind}, which is not read here; unpack it and import what was in it"
    return Bad("the file", reason, head, content.size)
