"""Tests of `shared.queue`, and of the server that stands in for Cloud Tasks."""
