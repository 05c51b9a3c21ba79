# The images of compose.yaml. The executor service needs no torch, so atomforge's own packages are copied, not installed.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY constraints.txt ./

FROM base AS tensorboard
RUN pip install -c constraints.txt tensorboard
ENTRYPOINT ["tensorboard"]

FROM base AS executor
RUN pip install -c constraints.txt docker fastapi httptools prometheus-client pyyaml uvicorn
COPY cli/ cli/
COPY executor/ executor/
COPY deploy/executor.yaml /etc/atomforge/executor.yaml
ENTRYPOINT ["python", "-m", "cli.main"]
CMD ["serve", "--config", "/etc/atomforge/executor.yaml"]
