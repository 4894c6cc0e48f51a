#!/bin/sh
# Finishes Keytray.app on a Mac: the icon of the menu bar needs Cocoa, so its
# program can be built there alone. In the folder of the unpacked archive:
#
#   ./finish.sh [SOURCE]      SOURCE is a checkout of the same version (default: it is
#                             fetched by Go's module proxy)
#
# Then it signs, and has Apple notarize, if these are set:
#
#   KEYTRAY_SIGN_IDENTITY     as in "Developer ID Application: Name (TEAM)"; without it the
#                             signature is ad hoc and good for this Mac
#   KEYTRAY_NOTARY_PROFILE    made by `xcrun notarytool store-credentials`
#
# It was never run on a Mac by its authors: see docs/install.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
app=$here/Keytray.app
version=@VERSION@
[ "$(uname -s)" = Darwin ] || { echo "finish.sh: this is no Mac" >&2; exit 1; }

if [ -n "${1:-}" ]; then
  (cd "$1" && CGO_ENABLED=1 go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$app/Contents/MacOS/keytray-tray" ./cmd/tray)
else
  GOBIN=$here CGO_ENABLED=1 go install -trimpath -ldflags "-s -w -X main.version=$version" "github.com/keytray/keytray/cmd/tray@v$version"
  mv "$here/tray" "$app/Contents/MacOS/keytray-tray"
fi

# The parts first, the bundle last.
identity=${KEYTRAY_SIGN_IDENTITY:--}
for part in "$app/Contents/MacOS/keytray" "$app/Contents/MacOS/keytray-tray" "$app"; do
  if [ "$identity" = - ]; then
    codesign --force --sign - "$part"
  else
    codesign --force --options runtime --timestamp --entitlements "$here/entitlements.plist" --sign "$identity" "$part"
  fi
done
codesign --verify --strict --verbose=2 "$app"

if [ -n "${KEYTRAY_NOTARY_PROFILE:-}" ]; then
  ditto -c -k --keepParent "$app" "$here/Keytray.zip"
  xcrun notarytool submit "$here/Keytray.zip" --keychain-profile "$KEYTRAY_NOTARY_PROFILE" --wait
  xcrun stapler staple "$app"
  rm "$here/Keytray.zip"
  spctl --assess --type execute --verbose=2 "$app"
fi
echo "finish.sh: $app is ready; move it to /Applications"
