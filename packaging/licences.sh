#!/bin/sh
# Prints the licences of every library that ends up in the programs, for all
# systems, each once: packaging/licences.sh
set -eu
cd "$(dirname "$0")/.."
rule=--------------------------------------------------------------------------------
GO=${GO:-go}
echo 'Keytray is made with the libraries below, and with the Go standard library.'
{
  for os in linux windows darwin; do
    GOOS=$os CGO_ENABLED=0 $GO list -deps -e -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/keytray ./cmd/tray
  done
  echo "Go $($GO env GOVERSION) $($GO env GOROOT)"
} | LC_ALL=C sort -u | while read -r path version dir; do
  found=
  for file in "$dir"/LICEN[SC]E* "$dir"/COPYING* "$dir"/NOTICE* "$dir"/PATENTS*; do
    [ -f "$file" ] || continue
    found=yes
    printf '\n%s\n%s %s: %s\n%s\n\n' "$rule" "$path" "$version" "${file##*/}" "$rule"
    tr -d '\r' <"$file"
  done
  [ -n "$found" ] || { echo "licences.sh: $path has no licence file" >&2; exit 1; }
done
