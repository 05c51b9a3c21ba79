#!/usr/bin/env bash
# Follows the README on fresh Debian machines, at smoke size: `make test-machines`. Needs root, debootstrap and a network.
#   MACHINES     suites of Debian (default: bookworm trixie)
#   BINDS        files and directories that the machines see read-only, such as a local index of packages
#   TORCH_INDEX, PIP_..., proxies: passed on
# A machine is a root file system of debootstrap (kept in .cache/machines) under an overlay, in namespaces of its own.
# What a run writes is deleted at its end; pip's cache is kept. Limits: the kernel and the network are those of the host.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/machines mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" = 0 ] || { echo "test-machines needs root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "test-machines needs debootstrap: apt-get install -y debootstrap" >&2; exit 2; }
mkdir -p "$cache/pip"

build_machine() {  # SUITE: what a user has before the README's first command
  local script=/usr/share/debootstrap/scripts/$1
  [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
  rm -rf "$cache/$1.tmp"
  debootstrap --variant=minbase --include=ca-certificates,git,make "$1" "$cache/$1.tmp" "$mirror" "$script" >"$cache/$1.log" 2>&1 \
    || { tail -5 "$cache/$1.log" >&2; return 1; }
  rm -rf "$cache/$1.tmp/var/cache/apt/archives/"*.deb
  mv "$cache/$1.tmp" "$cache/$1"
}

enter_machine() {  # SUITE FOLDER: run first_steps.sh on it; called in namespaces of its own
  local root=$2/root
  mount -t overlay overlay -o "lowerdir=$cache/$1,upperdir=$2/upper,workdir=$2/work" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  cat /etc/resolv.conf >"$root/etc/resolv.conf"
  cat /etc/hosts >"$root/etc/hosts"
  mkdir -p "$root/source.git" "$root/pip-cache" "$root/before"
  mount --bind "$2/source.git" "$root/source.git"
  mount --bind "$cache/pip" "$root/pip-cache"
  cp "$PWD/tests/machines/first_steps.sh" "$root/"
  local path
  for path in ${BINDS:-}; do
    if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$(dirname "$root$path")" && touch "$root$path"; fi
    mount --bind -o ro "$path" "$root$path"
  done
  cd "$root"
  pivot_root . before
  exec env --chdir=/ bash -c 'umount -l /before && exec bash /first_steps.sh'
}

if [ "${1:-}" = --enter ]; then
  enter_machine "$2" "$3"
fi

failed=()
for suite in ${MACHINES:-bookworm trixie}; do
  [ -d "$cache/$suite" ] || { echo "machines: building $suite"; build_machine "$suite"; }
  folder=$(mktemp -d "$cache/run.XXXXXX")
  mkdir "$folder/root" "$folder/upper" "$folder/work"
  git clone -q --bare . "$folder/source.git"
  echo "machines: $suite"
  unshare --mount --pid --fork --kill-child --propagation private "$0" --enter "$suite" "$folder" || failed+=("$suite")
  rm -rf "$folder"
done
[ ${#failed[@]} -eq 0 ] || { echo "machines: failed on ${failed[*]}" >&2; exit 1; }
echo "machines: all passed"
