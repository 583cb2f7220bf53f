"""The queue: named calls that are made later, at least once.

`protocol` is the port; `local` and `cloudtasks` are its adapters. On a home node `worker` calls
what `local` holds; in the cloud the platform calls the functions over HTTP.
"""
