"""Archives: what is in a zip or a tar, and each member's bytes from wherever reading had got to.

`archive` is the door; `members` says what it gives. `zip` and `tar` know the formats, `gzip`
and `inflate` what is packed, `boundaries` where unpacking can begin again, `names` what members and
parts are called. Pure: a content is the only thing that is read, nothing is written anywhere.
"""
