"""A stand-in for the parts of Google Cloud that a deployment talks to: stateful, and as strict.

`fake` answers requests in process, `listener` serves it on loopback to the real gcloud. There is
one module per service; what they share is in `project` (whose things these are), `policies` (who
may do what), `operations` (what takes a while), `schema` (which fields there are) and `refusal`
(how each says no). The fields are in `messages/`; `vendor` holds them against gcloud's own.

Shapes and texts of answers are from Google's API reference, from gcloud's generated clients, and
from error messages that people have reported.
"""
