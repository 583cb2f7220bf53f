"""A server of our own that stands in for Cloud Tasks: strict, on loopback, with a clock of the
test's and faults by seed.

`server` is what tests start; `creation` refuses what the service refuses; `book` knows tasks, used
names, attempts and back-off; `calls` makes the calls; `tokens` signs their identity; `door` checks
it in front of a function, as the platform does. What the service does is taken from its client's
documentation and from its recorded answers.
"""
