#!/bin/bash
# Builds what people on Linux install, into FOLDER:
#
#   packaging/linux/build.sh VERSION FOLDER
#
#   keytray_VERSION-1_amd64.deb, keytray-VERSION-1.x86_64.rpm,
#   keytray_VERSION-r1_x86_64.apk, keytray-VERSION-linux-amd64.tar.gz,
#   and the same for arm64
#
# packaging/dist.sh calls it. It needs Go and rsvg-convert (packaging/setup.sh).
#
#   SOURCE_DATE_EPOCH     the date of every file; without it, that of the commit
#   KEYTRAY_SHARE         a folder that packaging/share.sh has made
#   KEYTRAY_ARCHES        amd64 arm64, or one of them
#   KEYTRAY_KINDS         deb rpm apk tar.gz, or some of them
#   KEYTRAY_COMPRESSION   of the .deb: xz, or for tests gzip, which is quick
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C TZ=UTC
umask 022
version=${1:?usage: packaging/linux/build.sh VERSION FOLDER}
out=$(mkdir -p "${2:?}" && cd "$2" && pwd)
GO=${GO:-go}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dated() { find "$@" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

kinds=${KEYTRAY_KINDS:-deb rpm apk tar.gz}
[ "$kinds" = tar.gz ] || GOOS='' GOARCH='' "$GO" build -C tools -trimpath -buildvcs=false -o "$work/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
share=$work/share
mkdir "$share"
if [ -n "${KEYTRAY_SHARE:-}" ]; then cp -r "$KEYTRAY_SHARE/." "$share"; else packaging/share.sh "$share"; fi

mkdir "$share/man.gz"
cp "$share/man/"*.1 "$share/man.gz/"
gzip -9n "$share/man.gz/"*.1
for helper in docker git; do ln -s keytray-helper-$helper.1.gz "$share/man.gz/$helper-credential-keytray.1.gz"; done
cp packaging/linux/*.desktop packaging/linux/keytray.service packaging/linux/lintian-overrides packaging/linux/removed.sh LICENSE "$share/"
sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)/" packaging/linux/io.github.keytray.Keytray.metainfo.xml >"$share/io.github.keytray.Keytray.metainfo.xml"
sed -e '/@LICENSE@/{
r /dev/stdin
d
}' packaging/linux/copyright >"$share/copyright" < <(sed -e '1,/^Copyright/d' -e '/./!d' -e 's/^/ /' LICENSE)
gzip -9n >"$share/changelog.Debian.gz" <<CHANGES
keytray (${version/-/\~}-1) unstable; urgency=medium

  * See https://github.com/keytray/keytray/blob/v$version/CHANGELOG.md

 -- The Keytray authors <keytray@users.noreply.github.com>  $(date -R -d "@$SOURCE_DATE_EPOCH")
CHANGES
sed -e "s/@COMPRESSION@/${KEYTRAY_COMPRESSION:-xz}/" packaging/linux/nfpm.yaml >"$work/nfpm.yaml"
synopsis='keeper of logins for AI tools and any OAuth service'
text='Keytray keeps the logins of AI providers, and of any other OAuth service,
in the keychain of the desktop. It signs in through the browser, renews
tokens before they expire, and hands working access tokens to the tools
that need them, so that those no longer sign each other out.

The package has a command, keytray, and an icon for the panel.'

# archive packs what is unpacked over ~/.local, or /usr/local.
archive() { # ARCH
  local name=keytray-$version-linux-$1
  local to=$work/$name
  mkdir -p "$to/bin" "$to/share/"{man,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d,applications,systemd/user,doc/keytray,icons/hicolor}
  cp "$work/$1/"* "$to/bin/"
  ln -s keytray "$to/bin/docker-credential-keytray"
  ln -s keytray "$to/bin/git-credential-keytray"
  cp -rP "$share/man.gz" "$to/share/man/man1"
  cp "$share/completion/keytray.bash" "$to/share/bash-completion/completions/keytray"
  cp "$share/completion/_keytray" "$to/share/zsh/site-functions/"
  cp "$share/completion/keytray.fish" "$to/share/fish/vendor_completions.d/"
  cp "$share/keytray.desktop" "$to/share/applications/"
  sed 's#^ExecStart=/usr/bin/#ExecStart=%h/.local/bin/#' "$share/keytray.service" >"$to/share/systemd/user/keytray.service"
  cp -r "$share/icons/"* "$to/share/icons/hicolor/"
  cp LICENSE "$share/THIRD_PARTY_LICENSES" "$to/share/doc/keytray/"
  dated "$to"
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
}

# nfpm takes the names of scripts as they are: it runs where they lie.
package() { # KIND ARCH
  local description=$synopsis
  case $1 in
    deb) description+=$'\n'$text ;;
    rpm) description=$text ;;
  esac
  (cd "$share" && ARCH=$2 VERSION=$version DESCRIPTION=$description PROGRAMS=$work/$2 "$work/nfpm" package -f "$work/nfpm.yaml" -p "$1" -t "$out") >"$work/nfpm.log" 2>&1 || { cat "$work/nfpm.log" >&2; return 1; }
}

for arch in ${KEYTRAY_ARCHES:-amd64 arm64}; do
  for program in keytray:./cmd/keytray keytray-tray:./cmd/tray; do
    CGO_ENABLED=0 GOOS=linux GOARCH=$arch "$GO" build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$work/$arch/${program%%:*}" "${program#*:}"
  done
  dated "$work/$arch" "$share"
  for kind in $kinds; do
    if [ "$kind" = tar.gz ]; then archive "$arch"; else package "$kind" "$arch"; fi
  done
done
