"""The library. The functions are thin; what they do is decided and done here.

Arrows point down: `model` is the ground floor; `sources` see only `model`; adapters see their
protocol and `model`; `node` is the one place that opens an adapter, from `settings`.
"""
