#!/bin/sh
# Installs what the benchmarks compare with, as far as it can be had: Debian packages
# where it is root on a Debian-like system, Tailscale's tray from its Go module, OpenClaw
# from npm. What is missing is named, and its rows are left out.
set -eu
cd "$(dirname "$0")"
say() { echo "bench/setup.sh: $*" >&2; }

missing() {
  for pair in gh:gh pass:pass oidc-token:oidc-agent-cli docker-credential-secretservice:golang-docker-credential-helpers \
    secret-tool:libsecret-tools; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || printf ' %s' "${pair#*:}"
  done
}

sh ../e2e/setup.sh
packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  say "installing$packages"
  # shellcheck disable=SC2086 # a list of words
  out=$(DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends install $packages 2>&1) ||
    { echo "$out" >&2; say "apt-get failed"; }
  packages=$(missing)
fi
[ -z "$packages" ] || say "missing:$packages (as root: apt-get install$packages)"

CGO_ENABLED=0 go build -C peers -trimpath -ldflags '-s -w' -o ../../bin/peers/ tailscale.com/cmd/systray ||
  say "missing: Tailscale's tray, which does not build"
sh ../e2e/clients/setup.sh openclaw || say "missing: OpenClaw"
