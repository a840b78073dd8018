#!/bin/sh
# Resolves requirements/*.in into hash-pinned *.txt for Python 3.11, the oldest supported;
# the same files install on 3.12 and 3.13, on Linux and macOS. UPGRADE=1 takes newer releases.
set -eu
cd "$(dirname "$0")"
venv=../.venv-lock
[ -x $venv/bin/pip-compile ] || {
  python3.11 -m venv $venv
  $venv/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
}
for name in runtime dev fuzzing; do
  CUSTOM_COMPILE_COMMAND="make lock" $venv/bin/pip-compile --quiet ${UPGRADE:+--upgrade} \
    --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
    --no-emit-trusted-host --no-emit-find-links -o $name.txt $name.in
done
