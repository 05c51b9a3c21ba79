#!/usr/bin/env bash
# Runs as root on a fresh machine (see run.sh): a new user follows the README, and root runs what it tells to run.
set -euo pipefail
export LANG=C.UTF-8
useradd --create-home --shell /bin/bash learner
chown -R learner /pip-cache /source.git
home=/home/learner checkout=/home/learner/atomforge

as_user() {  # run a command line as the user, in the home directory
  local kept
  mapfile -t kept < <(env | grep -E '^(PIP_|TORCH_INDEX=|https?_proxy=|HTTPS?_PROXY=|no_proxy=|NO_PROXY=|LANG=)' || true)
  setpriv --reuid learner --regid learner --init-groups env -i "${kept[@]}" HOME=$home USER=learner PIP_CACHE_DIR=/pip-cache \
    PATH=/usr/local/bin:/usr/bin:/bin bash -c "cd $home && $1"
}
step() {  # NAME COMMAND: run as the user and print how long it took
  local start=$SECONDS
  echo "--- $1"
  as_user "$2" || { echo "machines: FAILED: $1"; exit 1; }
  echo "--- $1: $((SECONDS - start)) s"
}

. /etc/os-release
echo "--- $PRETTY_NAME, $(uname -m)"
step "clone" "git clone -q /source.git atomforge"

echo "--- make install, without the system packages"
if said=$(as_user "cd atomforge && make install 2>&1"); then
  echo "machines: FAILED: make install did not miss any package"; exit 1
fi
echo "$said"
install=$(sed -n 's/^setup: missing system packages; run this, then make again:  sudo //p' <<<"$said")
[[ $install == "apt-get install -y "* ]] || { echo "machines: FAILED: no command was printed"; exit 1; }
start=$SECONDS
apt-get update -qq
DEBIAN_FRONTEND=noninteractive $install >/tmp/apt.log 2>&1 || { tail -5 /tmp/apt.log; exit 1; }
echo "--- $install: $((SECONDS - start)) s"

step "make install" "cd atomforge && make install"
step "make install, again" "cd atomforge && make install"
step "python" "atomforge/.venv/bin/python --version; atomforge/.venv/bin/python -c 'import torch; print(\"torch\", torch.__version__)'"
step "atomforge doctor" "cd atomforge && .venv/bin/atomforge doctor"
step "atomforge demo" "cd atomforge && .venv/bin/atomforge demo --config configs/demo/smoke.yaml"

as_user "mkdir elsewhere && cat >elsewhere/tasks.jsonl" <<<'{"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]}'
as_user "cat >elsewhere/samples.jsonl" <<<'{"task_id": "t", "completion": "def f(x):\n    return x + 1\n"}'
grade="grade --tasks tasks.jsonl --samples samples.jsonl"
step "atomforge-executor grade" "cd elsewhere && ../atomforge/.venv/bin/atomforge-executor $grade --output graded.jsonl && grep -q passed graded.jsonl"

step "the executor without a clone" "cd elsewhere && ../atomforge/.venv/bin/python -m build -q --wheel --outdir dist ../atomforge/executor \
  && python3 -m venv env && env/bin/pip install -q -c ../atomforge/constraints.txt dist/*.whl \
  && env/bin/atomforge-executor doctor && env/bin/atomforge-executor $grade --output again.jsonl && grep -q passed again.jsonl"
echo "--- all: $SECONDS s"
