"""Full text search: which records say some words, newest first.

`protocol` is the port, `words` what a record has to be found by, `query` the language people type,
`fts` the index of a home node, in the database of its store.
"""
