"""The store: where records, tracks and the node's own documents are kept.

`protocol` is the port and its contract, `sqlite` and `firestore` are its adapters; `indexes` is
the table of queries that both serve. What they spend is counted by `shared.meter`.
"""
