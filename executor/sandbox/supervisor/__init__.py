"""Supervision of a candidate: watch it, relay its lines, measure its resources, remove its files and processes.

`child` watches one candidate, `session` relays lines between it and the host, `accounting` measures its resources,
`reset` removes its files and processes. A `zeroing_buffer` holds all bytes that come from it.
"""
