#!/bin/sh
# Says, when the package goes for good, what stays: dpkg calls it with "remove",
# rpm with the number of versions that are left, apk with a version.
case "${1:-}" in
  purge | upgrade | failed-upgrade | abort-* | disappear | [1-9] | [1-9][0-9]) exit 0 ;;
esac
cat <<'TEXT'
Keytray is removed. Logins stay where they are: secrets in each person's keychain,
what describes them in ~/.local/state/keytray (or ~/.openclaw). To remove those
too, install Keytray again and run: keytray logout PROFILE
Or delete the items of the service "keytray" with your desktop's keyring program.
TEXT
