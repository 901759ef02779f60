#!/usr/bin/env bash
# Downloads the Debian 12 packages that hold the public-domain texts and unpacks them into a folder. Nothing is
# installed. snappy's texts lie in its source package only, so apt needs a deb-src line for Debian 12.
set -euo pipefail

target=$(realpath -m "${1:?usage: fetch_sources.sh FOLDER}")
mkdir -p "$target/download" "$target/root"
cd "$target/download"

apt-get download bible-kjv bible-kjv-text golang-1.19-src jargon-text miscfiles r-cran-janeaustenr
for package in *.deb; do
  dpkg-deb --extract "$package" "$target/root"
done

apt-get source --download-only snappy
tar --extract --gzip --file snappy_1.1.9.orig.tar.gz --directory "$target/root"
