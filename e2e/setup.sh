#!/bin/sh
# Installs what the tests of this folder are made of: Debian packages, where it
# is root on a Debian-like system (a C compiler too, which go test -race needs),
# and the npm packages pinned in package-lock.json. When all is there it does nothing and takes no time.
# What is missing and cannot be installed is named, and it goes on: the tests
# that need it are skipped, or fail where CI=true.
set -eu
cd "$(dirname "$0")"
say() { echo "e2e/setup.sh: $*" >&2; }

# Wine runs the Windows tests where Debian has it for this machine.
windows=
[ "$(uname -m)" != x86_64 ] || windows='wine:wine x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64-win32 makensis:nsis osslsigncode:osslsigncode openssl:openssl'

# missing prints the packages whose program is not there. A program from
# elsewhere (a node of one's own, say) will do as well.
missing() {
  for pair in Xvfb:xvfb cc:gcc chromium:chromium dbus-daemon:dbus gnome-keyring-daemon:gnome-keyring \
    ip:iproute2 npm:npm secret-tool:libsecret-tools strace:strace xdg-open:xdg-utils \
    gcr-viewer:gcr keepassxc:keepassxc kwalletd5:libkf5wallet-bin xdotool:xdotool \
    dex:dex desktop-file-validate:desktop-file-utils gio:libglib2.0-bin rsvg-convert:librsvg2-bin \
    xfce4-panel:xfce4-panel xfconf-query:xfconf xfce4-notifyd-config:xfce4-notifyd dunst:dunst \
    fish:fish zsh:zsh ksh:ksh busybox:busybox curl:curl python-dotenv:python3-dotenv \
    appstreamcli:appstream man:man-db shellcheck:shellcheck \
    git:git zenity:zenity kdialog:kdialog xclip:xclip wl-copy:wl-clipboard sway:sway xterm:xterm import:imagemagick zbarimg:zbar-tools $windows; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || printf ' %s' "${pair#*:}"
  done
  [ -e /usr/share/bash-completion/bash_completion ] || printf ' bash-completion'
}

packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  say "installing$packages"
  export DEBIAN_FRONTEND=noninteractive
  # Without a font the browser draws no text.
  # shellcheck disable=SC2086 # a list of words
  out=$({ apt-get -q update && apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends install \
    $packages ca-certificates fonts-dejavu-core libc6-dev; } 2>&1) || { echo "$out" >&2; say "apt-get failed"; }
  packages=$(missing)
fi
[ -z "$packages" ] || say "missing:$packages (as root: apt-get install$packages)"

stamp=node_modules/.installed
want=$(cat package.json package-lock.json .npmrc | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
  if ! command -v npm >/dev/null 2>&1; then
    say "missing: the npm packages of package-lock.json, because npm is"
  elif npm ci --ignore-scripts --loglevel=error >&2; then
    echo "$want" >"$stamp"
  else
    say "missing: the npm packages of package-lock.json, because npm ci failed"
  fi
fi
