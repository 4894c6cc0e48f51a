#!/bin/sh
# Installs what dist.sh and the tests of packages are made of: Debian packages,
# where it is root on a Debian-like system. When all is there it takes no time.
# What is missing and cannot be installed is named, and it goes on.
set -eu
say() { echo "packaging/setup.sh: $*" >&2; }
missing() {
  for pair in makensis:nsis zip:zip unzip:unzip rsvg-convert:librsvg2-bin convert:imagemagick png2icns:icnsutils osslsigncode:osslsigncode \
    lintian:lintian desktop-file-validate:desktop-file-utils appstreamcli:appstream rpm:rpm plistutil:libplist-utils \
    ruby:ruby shellcheck:shellcheck git:git man:man-db fish:fish zsh:zsh debootstrap:debootstrap; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || printf ' %s' "${pair#*:}"
  done
  [ -e /usr/share/bash-completion/bash_completion ] || printf ' bash-completion'
}
packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  say "installing$packages"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # a list of words
  out=$({ apt-get -q update && apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends install $packages; } 2>&1) || { echo "$out" >&2; say "apt-get failed"; }
  packages=$(missing)
fi
[ -z "$packages" ] || say "missing:$packages (as root: apt-get install$packages)"
