"""Exactly what a sandbox sees of atomforge: this folder, and nothing else, runs next to untrusted programs.

It is copied into the image of the Docker sandboxes and bind-mounted by the others, where it is the package `sandbox`.
Standard library only, but for `torch_values`, which sandboxes with torch alone import; an import contract says so.
The trusted side takes the codec and the framing from here.
"""
