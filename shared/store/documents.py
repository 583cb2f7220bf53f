"""Names of Firestore documents.

A name has at most 1,500 bytes, no `/`, is not `.`, `..` or `__…__`
(https://firebase.google.com/docs/firestore/quotas, collections, documents and fields).
"""

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9:@+_-]{0,199}")


def document_id(text: str) -> str:
    """A name for what goes by `text`: itself where it can, otherwise its hash.

    It has no `.` in it, which is free to join names with.
    """
    if _PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"~{digest[:40]}"
