#!/bin/bash
# Builds what people on Windows install, on Linux, into FOLDER:
#
#   packaging/windows/build.sh VERSION FOLDER
#
#   keytray-VERSION-windows-amd64.zip   the programs, for Scoop and by hand
#   keytray-setup-VERSION.exe           the installer
#
#   winget/, scoop/                     the manifests, which name their checksums
#
# packaging/dist.sh calls it. It needs Go, makensis, rsvg-convert, convert and zip
# (packaging/setup.sh). What sign.sh has a certificate for is signed, the uninstaller
# included.
#
#   SOURCE_DATE_EPOCH     the date of every file; without it, that of the commit
#   KEYTRAY_SHARE         a folder that packaging/share.sh has made
#   KEYTRAY_PROGRAMS      a folder with keytray.exe and tray.exe, which are not built then
#   KEYTRAY_KINDS         setup zip, or one of them
#   KEYTRAY_COMPRESSION   of the installer: lzma, or for tests zlib, which is quick
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C TZ=UTC
umask 022
version=${1:?usage: packaging/windows/build.sh VERSION FOLDER}
number=${version%%-*}.0
out=$(mkdir -p "${2:?}" && cd "$2" && pwd)
GO=${GO:-go}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
win=$work/keytray-$version-windows-amd64
mkdir "$win"
share=${KEYTRAY_SHARE:-$work/share}
[ -d "$share" ] || packaging/share.sh "$share"

program() { # NAME PACKAGE LDFLAGS DESCRIPTION
  if [ -n "${KEYTRAY_PROGRAMS:-}" ]; then
    cp "$KEYTRAY_PROGRAMS/${2##*/}.exe" "$win/$1.exe"
  else
    CGO_ENABLED=0 GOOS=windows GOARCH=amd64 "$GO" build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version $3" -o "$win/$1.exe" "$2"
  fi
  sed -e "s/@NUMBER@/$number/" -e "s/@VERSION@/$version/" -e "s/@NAME@/$1/" -e "s/@DESCRIPTION@/$4/" packaging/windows/winres.json >"$work/winres.json"
  (cd "$work" && ./go-winres patch --no-backup --in winres.json "$win/$1.exe")
  packaging/windows/sign.sh "$win/$1.exe"
}

GOOS='' GOARCH='' "$GO" build -C tools -trimpath -buildvcs=false -o "$work/" github.com/tc-hib/go-winres
for size in 16 24 32 48 64 96 256; do
  rsvg-convert -w $size -h $size -o "$work/icon-$size.png" packaging/icons/keytray.svg
done
sed "s/@NUMBER@/$number/" packaging/windows/keytray.manifest >"$work/keytray.manifest"
program keytray ./cmd/keytray '' 'Keytray, the command'
program keytray-tray ./cmd/tray -H=windowsgui 'Keytray' # what Task Manager and the settings of the taskbar show

# The pictures of the installer, which has no better format, twice as large as
# they are shown at 96 dpi.
convert -size 328x628 gradient:'#f4f8fe'-'#bcd6f8' "(" "$work/icon-256.png" -resize 192x192 ")" -gravity north -geometry +0+110 -composite -strip -type TrueColor "BMP3:$work/side.bmp"
convert -size 300x114 xc:white "(" "$work/icon-96.png" ")" -gravity east -geometry +12+0 -composite -strip -type TrueColor "BMP3:$work/head.bmp"
(cd "$work" && ./go-winres extract --dir icon "$win/keytray.exe" && cp icon/APP_0000.ico keytray.ico)
sed 's/$/\r/' LICENSE >"$win/LICENSE.txt"
sed 's/$/\r/' "$share/THIRD_PARTY_LICENSES" >"$win/THIRD_PARTY_LICENSES.txt"
cp "$win"/* "$work/"
find "$work" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

setup() {
  local size sign=()
  size=$(cat "$win/"* | wc -c)
  [ -z "${KEYTRAY_SIGN_CERTS:-}" ] || sign=("-DSIGN=$PWD/packaging/windows/sign.sh")
  makensis -V2 -NOCD -INPUTCHARSET UTF8 "${sign[@]}" "-DVERSION=$version" "-DNUMBER=$number" "-DBUILD=$work" \
    "-DSIZE=$((size / 1024 + 200))" "-DCOMPRESSOR=${KEYTRAY_COMPRESSION:-lzma}" "-DOUT=$out/keytray-setup-$version.exe" \
    packaging/windows/keytray.nsi >&2
  packaging/windows/sign.sh "$out/keytray-setup-$version.exe"
}

zipped() {
  local file=$out/${win##*/}.zip
  cp README.md "$share/completion/keytray.ps1" "$win/"
  find "$win" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
  rm -f "$file"
  (cd "$work" && find "${win##*/}" | sort | zip -q -X -9 -@ "$file")
}

# manifest FILE fills in the version, the date and the checksums.
manifest() {
  local text name
  text=$(sed -e "s/@VERSION@/$version/g" -e "s/@DATE@/$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)/" "packaging/windows/$1")
  for name in "keytray-$version-windows-amd64.zip" "keytray-setup-$version.exe"; do
    text=${text//@SHA256:$name@/$(sha256sum <"$out/$name" | cut -d' ' -f1)}
  done
  mkdir -p "$out/${1%/*}"
  printf '%s\n' "$text" >"$out/$1"
}

kinds=${KEYTRAY_KINDS:-setup zip}
case $kinds in *setup*) setup ;; esac
case $kinds in *zip*) zipped ;; esac
[ "$kinds" != 'setup zip' ] || for file in packaging/windows/winget/*.yaml packaging/windows/scoop/keytray.json; do
  manifest "${file#packaging/windows/}"
done
