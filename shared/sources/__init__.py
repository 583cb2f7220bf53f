"""One module per format or app: bytes in, records out. Pure: no I/O, no clock, no environment.

A source has a `NAME`, which its records carry, and a `VERSION`, which grows when it would now read
the same bytes differently. Apps that push to `ingest` follow `push`; `fields` reads what they send
with forgiveness.

Sources of files follow `model.steps.Source`. `json_items` reads JSON of any size; `google`,
`google_segments` and `google_signals` are what Google's location histories share. `mail` is what
the sources of mail share; `mime`, `mailboxes` and `markup` read the parts of one. `media_file` is
what photos and movies share; `pictures`, `heif`, `bmff`, `exif` and `xmp` read what is in them,
`taken` decides what time stands, `thumbnail` decodes.
"""
