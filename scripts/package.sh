#!/bin/sh
# Release packages into target/packages: an archive (.tar.gz) with the programs, and a .deb with service and manual.
#
# The programs of the archive are static: by Rust's musl target where it is installed (`rustup target add x86_64-unknown-linux-musl`,
# which takes a network, and Debian's musl-tools), otherwise with glibc linked into them, which scripts/static-check.sh proves in an
# empty root. docs/operations.md says what that means for looking up names. The programs of the .deb need glibc, whose lowest version
# is printed.
set -eu
. "$(dirname "$0")/setup.sh"
need_build

target=${CARGO_TARGET_DIR:-$PWD/target}
out=$PWD/target/packages
musl=x86_64-unknown-linux-musl
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
arch=$(dpkg --print-architecture)
# The same files give the same packages, whenever they are packed.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
rm -rf "$out"
mkdir -p "$out"

programs() { # arguments of cargo, then of rustc
    for program in timemark timemark-verify; do
        cargo rustc --release --locked --package "$program" --bin "$program" "$@"
    done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What stands in the programs, and under which licence each part of it comes.
cargo tree --locked --offline --edges normal --prefix none --format '{p}: {l}' --package timemark --package timemark-verify |
    sed 's/ ([^)]*)//g; s/ v\([0-9]\)/ \1/' | grep ': ' | sort -u > "$work/third-party.txt"

# A manual page is what the program says of itself.
manual() { # program, section, description
    printf '.TH %s %s "" "%s" "User Commands"\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n.nf\n' \
        "$(echo "$1" | tr a-z- A-Z_)" "$2" "Timemark $version" "$1" "$3"
    "$built/$1" --help | sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"
    printf '.fi\n.SH SEE ALSO\n/usr/share/doc/timemark/operations.md\n'
}

# The archive.
if rustup target list --installed 2>/dev/null | grep -qx "$musl" && command -v musl-gcc >/dev/null; then
    programs --target "$musl"
    built=$target/$musl/release
    kind=linux-musl
else
    programs -- -C target-feature=+crt-static
    built=$target/release
    kind=linux-static
fi
if [ "$(id -u)" = 0 ]; then
    scripts/static-check.sh "$built"
else
    echo "not root: the programs were not tried in an empty root"
fi
name=timemark-$version-$(uname -m)-$kind
mkdir "$work/$name"
install -s -m 755 "$built/timemark" "$built/timemark-verify" "$work/$name/"
cp LICENSE README.md CHANGELOG.md packaging/timemark.service "$work/third-party.txt" certificate/fonts/OFL.txt "$work/$name/"
if [ -f target/page/verify.html ]; then cp target/page/verify.html "$work/$name/"; fi
mkdir "$work/$name/completions"
for shell in bash zsh fish; do "$built/timemark" completions $shell > "$work/$name/completions/timemark.$shell"; done
packed() { # everything that would differ from one run to the next left out
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" -cf - "$1" | gzip -9n
}
packed "$name" > "$out/$name.tar.gz"

# The package.
programs
built=$target/release
glibc=$(objdump -T "$built/timemark" "$built/timemark-verify" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -uV | tail -n 1)
echo "lowest glibc: $glibc"
root=$work/deb
doc=$root/usr/share/doc/timemark
install -d "$root/DEBIAN" "$root/etc/default" "$root/usr/bin" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" \
    "$root/usr/share/man/man1" "$root/usr/share/timemark" "$root/usr/share/bash-completion/completions" \
    "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d" "$doc"
install -s -m 755 "$built/timemark" "$built/timemark-verify" "$root/usr/bin/"
install -m 644 "$work/$name/completions/timemark.bash" "$root/usr/share/bash-completion/completions/timemark"
install -m 644 "$work/$name/completions/timemark.zsh" "$root/usr/share/zsh/vendor-completions/_timemark"
install -m 644 "$work/$name/completions/timemark.fish" "$root/usr/share/fish/vendor_completions.d/timemark.fish"
install -m 644 packaging/timemark.service "$root/usr/lib/systemd/system/"
install -m 644 packaging/sysusers.conf "$root/usr/lib/sysusers.d/timemark.conf"
install -m 644 packaging/default "$root/etc/default/timemark"
install -m 644 packaging/copyright docs/operations.md docs/formats.md docs/verification.md docs/api.md certificate/fonts/OFL.txt "$doc/"
gzip -9n < CHANGELOG.md > "$doc/CHANGELOG.md.gz"
maintainer="The authors of Timemark <timemark@timemark.invalid>"
printf 'timemark (%s) unstable; urgency=medium\n\n  * CHANGELOG.md.gz in this folder says what is new.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n > "$doc/changelog.gz"
gzip -9n < "$work/third-party.txt" > "$doc/third-party.txt.gz"
manual timemark 1 "register works in a log that anyone can check, and find their copies" | gzip -9n > "$root/usr/share/man/man1/timemark.1.gz"
manual timemark-verify 1 "what a receipt proves about a file, offline" | gzip -9n > "$root/usr/share/man/man1/timemark-verify.1.gz"
if [ -f target/page/verify.html ]; then install -m 644 target/page/verify.html "$root/usr/share/timemark/"; else rmdir "$root/usr/share/timemark"; fi
chmod 644 "$doc"/* "$root"/usr/share/man/man1/*
printf '/etc/default/timemark\n' > "$root/DEBIAN/conffiles"
install -m 755 packaging/postinst packaging/prerm packaging/postrm "$root/DEBIAN/"
cat > "$root/DEBIAN/control" <<EOF
Package: timemark
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Depends: libc6 (>= $glibc), libgcc-s1, passwd
Section: utils
Priority: optional
Description: copyright timestamps in a log that anyone can check
 Timemark registers works in a transparency log and hands out receipts that
 verify offline, in decades, without whoever runs the log. It compares whole
 collections with what is registered and reports the copies.
 .
 timemark-verify, the program for courts, is part of it, and so is a service.
EOF
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group --build "$root" "$out/timemark_${version}_$arch.deb" >/dev/null
if command -v lintian >/dev/null; then
    lintian --fail-on error,warning "$out/timemark_${version}_$arch.deb"
else
    echo "lintian is not installed: the package was not checked by it"
fi
(cd "$out" && sha256sum -- *.tar.gz *.deb > SHA256SUMS && cat SHA256SUMS)
