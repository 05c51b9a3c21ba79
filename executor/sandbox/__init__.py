"""The code that runs inside a sandbox, next to untrusted programs: the fork server (`worker`) and its candidates.

This directory is all of atomforge that a sandbox contains. Docker sandboxes have a copy of it in their image, the other
backends bind-mount it, as the package `app` in `/app`. It therefore uses relative imports and the standard library
only, except for `candidate.torch_values`, which needs torch and is imported in sandboxes that have it. Outside the
sandbox, the pool and the graders use `codec`, `tensors` and `framing`. Nothing here ever sees an expected value.
"""
