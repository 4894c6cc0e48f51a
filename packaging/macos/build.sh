#!/bin/bash
# Builds what people on macOS install, on Linux, into FOLDER:
#
#   packaging/macos/build.sh VERSION FOLDER
#
#   keytray-VERSION-darwin-arm64.tar.gz   the command, and the same for amd64
#   Keytray-VERSION-unfinished.tar.gz     the app without its program, which can be
#                                         built on a Mac only: finish.sh in it does
#   homebrew/keytray.rb                   the formula of the command. That of the app is
#                                         written by finish.sh, which makes what it names
#
# packaging/dist.sh calls it. It needs Go, rsvg-convert and png2icns
# (packaging/setup.sh).
#
#   SOURCE_DATE_EPOCH     the date of every file; without it, that of the commit
#   KEYTRAY_SHARE         a folder that packaging/share.sh has made
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C TZ=UTC
umask 022
version=${1:?usage: packaging/macos/build.sh VERSION FOLDER}
out=$(mkdir -p "${2:?}" && cd "$2" && pwd)
GO=${GO:-go}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
share=${KEYTRAY_SHARE:-$work/share}
[ -d "$share" ] || packaging/share.sh "$share"

fill() { sed -e "s/@VERSION@/$version/g" -e "s/@NUMBER@/${version%%-*}/g" "packaging/macos/$1"; }

pack() { # FOLDER of $work
  find "$work/$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$1" | gzip -9n >"$out/$1.tar.gz"
}

# The command's archives are unpacked over /usr/local, as those of Linux.
for arch in arm64 amd64; do
  name=keytray-$version-darwin-$arch
  to=$work/$name
  mkdir -p "$to/bin" "$to/share/"{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d,doc/keytray}
  CGO_ENABLED=0 GOOS=darwin GOARCH=$arch "$GO" build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$to/bin/keytray" ./cmd/keytray
  for helper in docker git; do
    ln -s keytray "$to/bin/$helper-credential-keytray"
    ln -s keytray-helper-$helper.1 "$to/share/man/man1/$helper-credential-keytray.1"
  done
  cp "$share/man/"*.1 "$to/share/man/man1/"
  rm "$to/share/man/man1/keytray-tray.1"
  cp "$share/completion/keytray.bash" "$to/share/bash-completion/completions/keytray"
  cp "$share/completion/_keytray" "$to/share/zsh/site-functions/"
  cp "$share/completion/keytray.fish" "$to/share/fish/vendor_completions.d/"
  cp LICENSE README.md "$share/THIRD_PARTY_LICENSES" "$to/share/doc/keytray/"
  pack "$name"
done

name=Keytray-$version-unfinished
contents=$work/$name/Keytray.app/Contents
mkdir -p "$contents/MacOS" "$contents/Resources"
fill Info.plist >"$contents/Info.plist"
printf 'APPL????' >"$contents/PkgInfo"
for size in 16 32 48 128 256 512 1024; do
  rsvg-convert -w $size -h $size -o "$work/$size.png" packaging/icons/keytray.svg
done
png2icns "$contents/Resources/keytray.icns" "$work/"{16,32,48,128,256,512,1024}.png >"$work/icns.log" || { cat "$work/icns.log" >&2; exit 1; }
cp LICENSE "$share/THIRD_PARTY_LICENSES" "$contents/Resources/"
fill finish.sh >"$work/$name/finish.sh"
chmod 755 "$work/$name/finish.sh"
fill homebrew/keytray-app.rb >"$work/$name/keytray-app.rb.in"
cp packaging/macos/entitlements.plist packaging/macos/io.github.keytray.tray.plist "$work/$name/"
pack "$name"

mkdir -p "$out/homebrew"
formula=$(fill homebrew/keytray.rb)
for system in darwin-arm64 darwin-amd64 linux-arm64 linux-amd64; do
  archive=$out/keytray-$version-$system.tar.gz
  [ -f "$archive" ] || { echo "packaging/macos/build.sh: the formula names $archive, which is not there" >&2; continue; }
  formula=${formula//@SHA256:$system@/$(sha256sum <"$archive" | cut -d' ' -f1)}
done
printf '%s\n' "$formula" >"$out/homebrew/keytray.rb"
