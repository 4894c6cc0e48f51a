#!/bin/sh
# Finishes Keytray.app on a Mac: the icon of the menu bar needs Cocoa, so its
# program can be built there alone. In the folder of the unpacked archive:
#
#   ./finish.sh [SOURCE]      SOURCE is a checkout of the same version; without one, it
#                             is cloned from GitHub
#
# It needs Go and the command line tools of Xcode. It leaves Keytray.app, for both
# kinds of Mac, Keytray-VERSION.zip of it, and the cask that names the zip's checksum.
# It signs, and has Apple notarize, if these are set:
#
#   KEYTRAY_SIGN_IDENTITY     as in "Developer ID Application: Name (TEAM)"; without it the
#                             signature is ad hoc and good for this Mac
#   KEYTRAY_NOTARY_PROFILE    made by `xcrun notarytool store-credentials`
#
# Its authors had no Mac: it was never run. docs/install.md says what is known.
set -eu
version=@VERSION@
here=$(cd "$(dirname "$0")" && pwd)
app=$here/Keytray.app
programs=$app/Contents/MacOS
zip=$here/Keytray-$version.zip
[ "$(uname -s)" = Darwin ] || { echo "finish.sh: this is no Mac" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

source=${1:-$work/source}
[ -d "$source" ] || git -c advice.detachedHead=false clone -q --depth 1 --branch "v$version" https://github.com/keytray/keytray "$source"

# program PACKAGE NAME CGO builds a program for both kinds of Mac.
program() {
  for pair in arm64:arm64 amd64:x86_64; do
    (cd "$source" && CGO_ENABLED=$3 GOOS=darwin GOARCH=${pair%:*} CC="clang -arch ${pair#*:}" MACOSX_DEPLOYMENT_TARGET=12.0 \
      go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$work/$2-${pair%:*}" "$1")
  done
  lipo -create -output "$programs/$2" "$work/$2-arm64" "$work/$2-amd64"
}
mkdir -p "$programs"
program ./cmd/keytray keytray 0
program ./cmd/tray keytray-tray 1

# The parts first, the bundle last.
sign() {
  if [ -n "${KEYTRAY_SIGN_IDENTITY:-}" ]; then
    codesign --force --options runtime --timestamp --entitlements "$here/entitlements.plist" --sign "$KEYTRAY_SIGN_IDENTITY" "$@"
  else
    codesign --force --sign - "$@"
  fi
}
sign --identifier io.github.keytray.keytray "$programs/keytray"
sign "$programs/keytray-tray"
sign "$app"
codesign --verify --strict --deep --verbose=2 "$app"

if [ -n "${KEYTRAY_NOTARY_PROFILE:-}" ]; then
  ditto -c -k --keepParent "$app" "$work/Keytray.zip"
  xcrun notarytool submit "$work/Keytray.zip" --keychain-profile "$KEYTRAY_NOTARY_PROFILE" --wait
  xcrun stapler staple "$app"
  spctl --assess --type execute --verbose=2 "$app"
fi

rm -f "$zip"
ditto -c -k --keepParent "$app" "$zip"
sed -e "s/@SHA256@/$(shasum -a 256 "$zip" | cut -d' ' -f1)/" "$here/keytray-app.rb.in" >"$here/keytray-app.rb"
echo "finish.sh: $app is ready, to be moved to /Applications; $zip and keytray-app.rb are for a release"
