"""The fork server of a sandbox: it starts candidates, enforces their limits, forwards their output and resets.

`main` serves requests, `child` watches one candidate, `session` relays lines between it and the host, `accounting`
measures what it uses, `reset` removes what it left behind. A `zeroing_buffer` holds all bytes that come from it.
"""
