"""One module per format or app: bytes in, records out. Pure: no I/O, no clock, no environment.

A source has a `NAME`, which its records carry, and a `VERSION`, which grows when it would now read
the same bytes differently. Apps that push to `ingest` follow `push`; `fields` reads what they send
with forgiveness.
"""
