#!/bin/sh
# Renders the drawings of this folder to the files that package icon embeds:
#
#   render.sh [FOLDER]      (default: cmd/tray/icon)
#
#   app.png                 256 pixels, in colour, for notifications
#   linux/STATE.png         48 pixels; the panel scales it. Nobody can ask the panel's
#                           colour, so it is a blue that is seen on light and on dark
#   windows/STATE-THEME.ico 16 to 48 pixels, for the light and the dark taskbar
#   darwin/STATE.png        32 pixels, a template: macOS uses its alpha alone, and the
#                           tray library draws it at 16 points
#
# Needs rsvg-convert (Debian: librsvg2-bin). The same version of it writes the
# same bytes.
set -eu
cd "$(dirname "$0")"
out=${1:-../../cmd/tray/icon}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# draw STATE INK ALARM SIZE FILE
draw() {
  {
    echo ".badge { display: none }"
    [ "$1" = normal ] || echo ".badge.$1, mask .badge { display: inline }"
    echo ".ink { fill: $2 } .attention { fill: $3 }"
  } >"$tmp/style.css"
  rsvg-convert --stylesheet="$tmp/style.css" -w "$4" -h "$4" -o "$5" tray.svg
}

# ico STATE INK ALARM FILE: a folder of PNGs, which Windows reads since Vista.
ico() {
  at=$((6 + 16 * $(echo $sizes | wc -w)))
  {
    little 2 0
    little 2 1 # icons, not cursors
    little 2 "$(echo $sizes | wc -w)"
  } >"$4"
  for size in $sizes; do
    draw "$1" "$2" "$3" "$size" "$tmp/$size.png"
    bytes=$(wc -c <"$tmp/$size.png")
    {
      little 1 "$size"
      little 1 "$size"
      little 2 0  # no palette
      little 2 1  # plane
      little 2 32 # bits of a pixel
      little 4 "$bytes"
      little 4 $at
    } >>"$4"
    at=$((at + bytes))
  done
  for size in $sizes; do cat "$tmp/$size.png" >>"$4"; done
}
sizes='16 20 24 32 48'

# little COUNT NUMBER writes the number as so many bytes, the smallest first.
little() {
  n=$2
  for _ in $(seq "$1"); do
    printf "\\$(printf %03o $((n % 256)))"
    n=$((n / 256))
  done
}

mkdir -p "$out/linux" "$out/windows" "$out/darwin"
rsvg-convert -w 256 -h 256 -o "$out/app.png" keytray.svg
for state in normal attention working paused locked; do
  draw $state '#3b87e8' '#e8543f' 48 "$out/linux/$state.png"
  draw $state '#000' '#000' 32 "$out/darwin/$state.png"
  ico $state '#1d2530' '#d13b26' "$out/windows/$state-light.ico"
  ico $state '#fff' '#ff6a55' "$out/windows/$state-dark.ico"
done
