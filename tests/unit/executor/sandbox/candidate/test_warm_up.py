"""The program that the worker runs before its first fork leaves nothing behind."""

import sys

from executor.sandbox.candidate import warm_up as module


def test_warm_up_restores_modules_and_closes_its_pipe(monkeypatch):
    called, make_call = [], module.make_call

    def record(**settings):
        call = make_call(**settings)
        return lambda function, args, emit, namespace: (
            called.append(args),
            call(function, args, lambda kind, payload: called.append((kind, payload)), namespace),
        )

    monkeypatch.setattr(module, "make_call", record)
    main, opened = sys.modules["__main__"], []
    pipe = module.os.pipe
    monkeypatch.setattr(module.os, "pipe", lambda: opened.extend(pipe()) or tuple(opened))
    module.warm_up()
    assert called == [[1], ("v", [1])] * 20
    assert sys.modules["__main__"] is main
    assert "candidate" not in sys.modules
    for fd in opened:
        try:
            module.os.fstat(fd)
        except OSError:
            continue
        raise AssertionError(f"descriptor {fd} is open")
