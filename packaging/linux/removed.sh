#!/bin/sh
# Says, when the package goes for good, what stays. Dpkg calls it with "remove",
# rpm with the number of versions that are left, apk with a version.
set -e
case "${1:-}" in
  purge | upgrade | failed-upgrade | abort-* | disappear | [1-9] | [1-9][0-9]) exit 0 ;;
esac
cat <<'TEXT'
Keytray is removed. The logins stay where they are: secrets in each person's
keychain, what describes them in ~/.local/state/keytray (or ~/.openclaw). To have
those removed too, install Keytray again and run: keytray logout PROFILE
An OpenClaw that was connected goes on with its copy in ~/.local/share/keytray.
TEXT
