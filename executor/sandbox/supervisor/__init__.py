"""What the worker does with a candidate: watch it, relay its lines, measure what it uses, remove what it left.

`child` watches one candidate, `session` relays lines between it and the host, `accounting` measures what it uses,
`reset` removes what it left behind. A `zeroing_buffer` holds all bytes that come from it.
"""
