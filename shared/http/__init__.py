"""What HTTP functions are made of: credentials, limits, errors, and the conversations.

`ingest` takes reports from phones, `query` answers the owner, `upload` takes the owner's files: in
public. `work` and `media` are called by the platform alone. Handlers take a Werkzeug request (as
`functions-framework` passes it), or what an event says, and the node; they return a Werkzeug
response.
"""
