# Images of compose.yaml, executor/deploy/compose.yaml and deploy/kubernetes: the package executor with the dependencies
# of its service, a load balancer, TensorBoard, and a trainer.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY constraints.txt ./

FROM base AS executor
RUN pip install -c constraints.txt docker fastapi prometheus-client pyyaml uvicorn
COPY executor/ executor/
COPY deploy/executor.yaml /etc/atomforge/executor.yaml
ENTRYPOINT ["python", "-m", "executor.commands"]
CMD ["serve", "--config", "/etc/atomforge/executor.yaml"]

# Replica of a fleet: a service with bubblewrap instead of a Docker engine.
FROM executor AS replica
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap tini && rm -rf /var/lib/apt/lists/*
COPY executor/deploy/executor.yaml /etc/atomforge/executor.yaml
# tini reaps the processes that sandboxes leave behind.
ENTRYPOINT ["tini", "--", "python", "-m", "executor.commands"]
CMD ["serve", "--config", "/etc/atomforge/executor.yaml"]

FROM ${BASE_IMAGE} AS balancer
RUN apt-get update && apt-get install -y --no-install-recommends 'haproxy=2.6.*' && rm -rf /var/lib/apt/lists/*
COPY executor/deploy/haproxy.cfg /etc/haproxy/haproxy.cfg
USER haproxy
ENTRYPOINT ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]

FROM base AS tensorboard
RUN pip install -c constraints.txt tensorboard
ENTRYPOINT ["tensorboard"]

FROM ${BASE_IMAGE} AS trainer
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY executor/ executor/
COPY cli/ cli/
COPY configs/ configs/
COPY datamodules/ datamodules/
COPY lightning_modules/ lightning_modules/
RUN pip install -c constraints.txt ./executor '.[pretrained]'
WORKDIR /runs
ENTRYPOINT ["atomforge"]
