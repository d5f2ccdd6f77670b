#!/bin/sh
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make_repository.sh VERSION [broken]: has apt know a package lab-payload of that version, and no other
# source. The first time the version before it, 1.0, is installed. A broken one fails to be configured.
set -eu
repository=/opt/lab-repository
package=$(mktemp -d)
trap 'rm -rf "$package"' EXIT

build() {
    rm -f "$repository"/*
    mkdir -p "$package/DEBIAN" "$package/usr/share/lab-payload"
    chmod 0755 "$package"
    echo "$1" >"$package/usr/share/lab-payload/version"
    cat >"$package/DEBIAN/control" <<CONTROL
Package: lab-payload
Version: $1
Architecture: all
Maintainer: Alice <alice@example.com>
Description: what an update of the lab brings
CONTROL
    rm -f "$package/DEBIAN/postinst"
    if [ "${2:-}" = broken ]; then
        printf '#!/bin/sh\nexit 1\n' >"$package/DEBIAN/postinst"
        chmod 0755 "$package/DEBIAN/postinst"
    fi
    file=$repository/lab-payload_$1_all.deb
    dpkg-deb --build "$package" "$file" >/dev/null
    {
        cat "$package/DEBIAN/control"
        echo "Filename: ./${file##*/}"
        echo "Size: $(stat -c %s "$file")"
        echo "SHA256: $(sha256sum "$file" | cut -d ' ' -f 1)"
    } | gzip >"$repository/Packages.gz" # of a plain one apt would keep no copy
}

mkdir -p "$repository"
if [ ! -e /etc/apt/sources.list.lab-off ]; then
    mv /etc/apt/sources.list /etc/apt/sources.list.lab-off
    echo "deb [trusted=yes] file:$repository ./" >/etc/apt/sources.list
    build 1.0
    dpkg --install "$file" >/dev/null
fi
build "$@"
