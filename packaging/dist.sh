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
[ -e "$out/SHA256SUMS" ] || [ -z "$(ls -A "$out")" ] || { say "there is something else in $out"; exit 2; }
rm -rf "${out:?}"/*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Every date is that of the commit, or of the changelog where there is no git.
epoch=$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$epoch}

missing=
for tool in makensis zip rsvg-convert convert png2icns; do command -v $tool >/dev/null || missing="$missing $tool"; done
[ -z "$missing" ] || { say "missing:$missing (packaging/setup.sh installs them)"; exit 1; }
GOOS='' GOARCH='' $GO build -C tools -trimpath -buildvcs=false -o "$work/cyclonedx-gomod" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

# --- what all systems share
export KEYTRAY_SHARE=$work/share
packaging/share.sh "$KEYTRAY_SHARE"
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
GOFLAGS=-mod=mod "$work/cyclonedx-gomod" mod -json -licenses -std -noserial -notimestamp -type application -output "$out/keytray-$VERSION.cdx.json" "$work/source" 2>"$work/sbom.log" || { cat "$work/sbom.log" >&2; exit 1; }

say "building for Linux"
packaging/linux/build.sh "$VERSION" "$out"

say "building for Windows"
packaging/windows/build.sh "$VERSION" "$out"

say "building for macOS"
packaging/macos/build.sh "$VERSION" "$out"

(cd "$out" && find . -type f -printf '%P\n' | sort | xargs sha256sum) >"$work/SHA256SUMS"
cp "$work/SHA256SUMS" "$out/"
say "$(grep -c . "$out/SHA256SUMS") files in $out"
