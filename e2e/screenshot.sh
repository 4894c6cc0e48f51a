#!/bin/sh
# Makes docs/demo.png: `keytray demo` in a terminal on a display of its own.
# Needs Xvfb, xterm and imagemagick (Debian: xvfb xterm imagemagick).
set -eu
cd "$(dirname "$0")/.."
for program in Xvfb xterm import; do
  command -v "$program" >/dev/null || { echo "e2e/screenshot.sh: missing: $program" >&2; exit 1; }
done
[ -x bin/keytray ] || make build
scratch=$(mktemp -d)
trap 'kill $server $term 2>/dev/null || :; rm -rf "$scratch"' EXIT
term=
Xvfb -displayfd 3 -screen 0 960x520x24 -nolisten tcp 3>"$scratch/display" >/dev/null 2>&1 &
server=$!
until [ -s "$scratch/display" ]; do sleep 0.1; done
DISPLAY=:$(cat "$scratch/display")
export DISPLAY
xterm -geometry 100x25+0+0 -fa 'DejaVu Sans Mono' -fs 11 -bg '#fdf6e3' -fg '#333333' -b 14 \
  -e sh -c "printf '\$ keytray demo\n'; bin/keytray demo --no-browser; touch '$scratch/done'; sleep 60" &
term=$!
until [ -e "$scratch/done" ]; do sleep 0.2; done
sleep 0.5
import -window root "$scratch/demo.png"
convert "$scratch/demo.png" -crop 930x480+0+0 +repage -bordercolor '#fdf6e3' -border 10 -colors 64 -strip docs/demo.png
