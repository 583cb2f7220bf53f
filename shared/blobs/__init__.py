"""Large bytes: what is kept by its content (`kept`), and what a job has in hand (`spool`).

`protocol` is the port, a plain object store, and its contract; `files` and `gcs` are its adapters.
`sessions` are uploads that a home node receives itself, `contents` reads objects as one content.
"""
