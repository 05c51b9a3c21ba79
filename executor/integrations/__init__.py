"""Adapters to other training and evaluation tools, and the HTTP endpoints that some of them call.

Each module is named after its tool and imports it only where it needs it. `infra` is never passed on as a wrong answer:
each adapter documents what its tool gets instead.
"""
