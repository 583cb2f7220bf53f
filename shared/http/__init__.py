"""What HTTP functions are made of: credentials, limits, errors, and the two public conversations.

`ingest` takes reports from phones, `query` answers the owner. Handlers take a Werkzeug request (as
`functions-framework` passes it) and the node, and return a Werkzeug response.
"""
