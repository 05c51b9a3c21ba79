"""Tests send Ctrl-C to commands, which ignore it where a shell has started the tests in the background: not so here."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
