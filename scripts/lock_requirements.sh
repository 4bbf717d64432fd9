#!/bin/bash
# Makes requirements/*.txt, exact and with hashes for Python 3.10 to 3.13, from the *.in beside them.
# Needs uv; run by hand after an *.in has changed.
set -eu
cd "$(dirname "$0")/../requirements"
held=$(mktemp)
trap 'rm "$held"' EXIT
cp constraints.txt "$held"
for set in ros build demo test audit; do
  uv pip compile -q --universal --python-version 3.10 --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links -c "$held" "$set.in" -o "$set.txt"
  # What one set has chosen holds for the next.
  sed 's/ *\\$//; /--hash/d' "$set.txt" >> "$held"
done
