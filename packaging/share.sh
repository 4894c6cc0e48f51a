#!/bin/bash
# Makes what packages of all systems share, in FOLDER: man pages, completions,
# pictures and the licences of the libraries.
#
#   packaging/share.sh FOLDER
#
# The date in the man pages is $SOURCE_DATE_EPOCH, as it is of all files.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: packaging/share.sh FOLDER}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
umask 022
GO=${GO:-go}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# Built for this machine, with what only packagers need.
keytray=$(mktemp)
trap 'rm -f "$keytray"' EXIT
CGO_ENABLED=0 GOOS='' GOARCH='' "$GO" build -tags man -buildvcs=false -o "$keytray" ./cmd/keytray
mkdir -p "$folder/man" "$folder/completion"
"$keytray" __man "$folder/man"
cp packaging/linux/keytray-tray.1 "$folder/man/"
"$keytray" completion bash >"$folder/completion/keytray.bash"
"$keytray" completion zsh >"$folder/completion/_keytray"
"$keytray" completion fish >"$folder/completion/keytray.fish"
"$keytray" completion powershell >"$folder/completion/keytray.ps1"
packaging/licences.sh >"$folder/THIRD_PARTY_LICENSES"
for size in 16 22 24 32 48 64 128 256; do
  mkdir -p "$folder/icons/${size}x$size/apps"
  rsvg-convert -w $size -h $size -o "$folder/icons/${size}x$size/apps/keytray.png" packaging/icons/keytray.svg
done
mkdir -p "$folder/icons/scalable/apps"
cp packaging/icons/keytray.svg "$folder/icons/scalable/apps/"
find "$folder" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
