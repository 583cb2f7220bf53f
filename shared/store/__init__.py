"""The store: where records, tracks and the node's own documents are kept.

`protocol` is the port and its contract, `sqlite` and `firestore` are its adapters; `indexes` is
the table of queries that both serve, `meter` counts what they spend.
"""
