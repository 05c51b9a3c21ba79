"""The executor: runs untrusted programs in a sandbox and judges what they return. No torch in here."""
