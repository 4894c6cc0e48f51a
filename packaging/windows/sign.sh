#!/bin/sh
# Signs a Windows program in place (Authenticode), when there is a certificate:
#
#   KEYTRAY_SIGN_CERTS   PEM file of the certificate and its chain
#   KEYTRAY_SIGN_KEY     PEM file of its key, or, with KEYTRAY_SIGN_PKCS11 (the module
#                        of a token), the key's URI
#   KEYTRAY_SIGN_PASS    file with the password of that key, if it has one
#   KEYTRAY_SIGN_TIME    URL of a time stamp server (RFC 3161); without it the signature
#                        ends with the certificate
#
# Without KEYTRAY_SIGN_CERTS the file stays as it is. Needs osslsigncode.
set -eu
[ -n "${KEYTRAY_SIGN_CERTS:-}" ] || exit 0
file=$1
osslsigncode sign -h sha256 -n Keytray -i https://github.com/keytray/keytray \
  -certs "$KEYTRAY_SIGN_CERTS" ${KEYTRAY_SIGN_PKCS11:+-pkcs11module "$KEYTRAY_SIGN_PKCS11"} -key "$KEYTRAY_SIGN_KEY" \
  ${KEYTRAY_SIGN_PASS:+-readpass "$KEYTRAY_SIGN_PASS"} ${KEYTRAY_SIGN_TIME:+-ts "$KEYTRAY_SIGN_TIME"} -in "$file" -out "$file.signed" >&2
mv "$file.signed" "$file"
