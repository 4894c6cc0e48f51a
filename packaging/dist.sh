#!/bin/bash
# Builds what people install, for all systems, on one Linux machine:
#
#   packaging/dist.sh VERSION [FOLDER]      FOLDER is dist/ by default
#
# The same commit gives the same bytes, whatever the folder that it lies in. What it
# is made of: Go, git, and on Debian what packaging/setup.sh installs. Where a signing
# certificate is named (windows/sign.sh), the Windows programs are signed.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC
umask 022
say() { echo "dist.sh: $*" >&2; }

VERSION=${1:?usage: packaging/dist.sh VERSION [FOLDER]}
VERSION=${VERSION#v}
[[ $VERSION =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || { say "not a version: $VERSION"; exit 2; }
GO=${GO:-go}
out=${2:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -rf "${out:?}"/*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Every date is that of the commit, or of the changelog where there is no git.
epoch=$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$epoch}
day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)
number=${VERSION%%-*}.0

missing=
for tool in makensis zip rsvg-convert png2icns; do command -v $tool >/dev/null || missing="$missing $tool"; done
[ -z "$missing" ] || { say "missing:$missing (packaging/setup.sh installs them)"; exit 1; }
tool() { "$work/tools/$1" "${@:2}"; }
mkdir "$work/tools"
GOOS='' GOARCH='' $GO build -C tools -trimpath -buildvcs=false -o "$work/tools/" github.com/tc-hib/go-winres github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

# fill copies a text with the version, the date and the checksums of what is done.
fill() {
  sed -e "s/@VERSION@/$VERSION/g" -e "s/@DATE@/$day/g" "$1" >"$2"
  local name sum
  for name in $(grep -o '@SHA256:[^@]*@' "$2" | sort -u || true); do
    name=${name#@SHA256:} name=${name%@}
    sum=$(sha256sum <"$out/$name") || exit 1
    sed -i "s/@SHA256:$name@/${sum%% *}/" "$2"
  done
}

build() { # OS ARCH PACKAGE FILE LDFLAGS
  say "building $4 for $1/$2"
  CGO_ENABLED=0 GOOS=$1 GOARCH=$2 $GO build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION $5" -o "$work/$1-$2/$4" "$3"
}

# dated gives everything below a folder the one date.
dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# archive NAME FORMAT packs the folder $work/NAME.
archive() {
  dated "$work/$1"
  case $2 in
    tar.gz) tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$1" | gzip -9n >"$out/$1.tar.gz" ;;
    zip) (cd "$work" && find "$1" | sort | zip -q -X -9 -@ "$out/$1.zip") ;;
  esac
}

# --- what all systems share
export KEYTRAY_SHARE=$work/share
share=$KEYTRAY_SHARE
packaging/share.sh "$share"
# The tool asks git for the version. What is here may be no checkout, or one of
# something else; so it gets one that has nothing but this version.
mkdir "$work/source"
tar -c --exclude-vcs --exclude=node_modules --exclude=./dist --exclude=./bin --exclude=./artifacts . | tar -x -C "$work/source"
(
  export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
  cd "$work/source"
  git init -q
  git -c user.name=keytray -c user.email=keytray commit -q --allow-empty -m "v$VERSION"
  git tag "v$VERSION"
)
GOFLAGS=-mod=mod tool cyclonedx-gomod mod -json -licenses -std -noserial -notimestamp -type application -output "$out/keytray-$VERSION.cdx.json" "$work/source" 2>"$work/sbom.log" || { cat "$work/sbom.log" >&2; exit 1; }

# --- Linux
say "building for Linux"
packaging/linux/build.sh "$VERSION" "$out"

# --- Windows
build windows amd64 ./cmd/keytray keytray.exe ''
build windows amd64 ./cmd/tray keytray-tray.exe -H=windowsgui
win=$work/windows-amd64
for size in 16 32 48 256; do cp "$share/icons/${size}x$size/apps/keytray.png" "$win/icon-$size.png" 2>/dev/null || rsvg-convert -w $size -h $size -o "$win/icon-$size.png" packaging/icons/keytray.svg; done
cp packaging/windows/winres.json "$win/"
for exe in keytray.exe keytray-tray.exe; do
  (cd "$win" && tool go-winres patch --no-backup --in winres.json --product-version "$number" --file-version "$number" $exe)
  packaging/windows/sign.sh "$win/$exe"
done
(cd "$win" && tool go-winres extract --dir icon keytray.exe && cp icon/APP_0000.ico keytray.ico)
sed 's/$/\r/' LICENSE >"$win/LICENSE.txt"
sed 's/$/\r/' "$share/THIRD_PARTY_LICENSES" >"$win/THIRD_PARTY_LICENSES.txt"
dated "$win"
makensis -V2 -NOCD ${KEYTRAY_NSIS_TARGET:+"-DTARGET=$KEYTRAY_NSIS_TARGET"} "-DVERSION=$VERSION" "-DNUMBER=$number" "-DBUILD=$win" "-DOUT=$out/keytray-setup-$VERSION.exe" packaging/windows/keytray.nsi >&2
packaging/windows/sign.sh "$out/keytray-setup-$VERSION.exe"
name=keytray-$VERSION-windows-amd64
mkdir "$work/$name"
cp "$win/keytray.exe" "$win/keytray-tray.exe" "$win/LICENSE.txt" "$win/THIRD_PARTY_LICENSES.txt" README.md "$share/completion/keytray.ps1" "$work/$name/"
archive "$name" zip
mkdir -p "$out/winget" "$out/scoop"
for f in packaging/windows/winget/*.yaml; do fill "$f" "$out/winget/${f##*/}"; done
fill packaging/windows/scoop/keytray.json "$out/scoop/keytray.json"

say "building for macOS"
packaging/macos/build.sh "$VERSION" "$out"

(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
say "$(grep -c . "$out/SHA256SUMS") files in $out"
