"""The store: where records, tracks and the node's own documents are kept.

`protocol` is the port and its contract, `sqlite` and `firestore` are its adapters; `indexes` is
the table of queries that both serve, `limits` what neither takes, `cursors` how pages go on,
`sealed` how old reports are packed in both. `changing` is for the node's own documents.

Firestore counts documents, so its adapter packs: tracks into `segments`, then into their `history`
(`tracks` reads both), small raws into `raws`. `batches` writes, all through the `gateway`. What
adapters spend is counted by `shared.meter`.
"""
