"""HTTP endpoints whose clients are other tools, in addition to those of `executor.service.app`.

    run_code       POST /run_code                              SandboxFusion: verl and other clients of it
    open_instruct  POST /test_program, /test_program_stdio     open-instruct; GET /health
    openrlhf       POST /openrlhf                              OpenRLHF's remote reward
    slime          POST /slime                                 slime's remote reward

They share limits, queue and metrics of the service. Their clients send no token, so `ServiceConfig` accepts them on
loopback addresses and Unix sockets only. A fault of ours and a full queue are HTTP 504, never an outcome; unknown keys
of a request are ignored, as by the services that these endpoints stand in for.
"""

from fastapi import FastAPI

from executor.integrations.endpoints.programs import ProgramRunner
from executor.integrations.endpoints.rewards import add_openrlhf, add_slime, read_task_file
from executor.integrations.endpoints.run_code import add_run_code
from executor.integrations.endpoints.test_program import add_open_instruct
from executor.service.settings import ServiceConfig


def add_endpoints(app: FastAPI, config: ServiceConfig) -> None:
    """Add the endpoints that a config names to an application of `create_app`.

    Raises:
        ValueError: `compat_tasks` cannot be read; one line.
    """
    programs = ProgramRunner(app.state.service)
    tasks = {} if config.compat_tasks is None else read_task_file(config.compat_tasks)
    if "run_code" in config.compat:
        add_run_code(app, programs)
    if "open_instruct" in config.compat:
        add_open_instruct(app, programs)
    if "openrlhf" in config.compat:
        add_openrlhf(app, programs, tasks)
    if "slime" in config.compat:
        add_slime(app, programs, tasks)
