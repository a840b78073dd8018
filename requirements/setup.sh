#!/bin/sh
# setup.sh VENV             makes VENV from the hash-pinned lock files, and VENV/bin/replog
# setup.sh --find 3.12      prints the path of that Python, if it can make a venv
#
# PYTHON chooses the interpreter; otherwise python3 is taken if it is supported, else the newest
# one found that is. A VENV that is there is kept and brought up to date. Installing the project
# itself needs no network and no build: its src/ is put on the path.
set -eu
cd "$(dirname "$0")/.."

usable() { # Python 3.11 or newer, with venv and the pip that it installs
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_version() {
  for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python; do
    path=$(command -v "$candidate" 2>/dev/null) || continue
    if usable "$path" && "$path" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')"; then
      echo "$path"
      return 0
    fi
  done
  return 1
}

find_any() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if usable "$candidate"; then echo "$candidate"; return 0; fi
  done
  return 1
}

explain() {
  if [ -n "${PYTHON:-}" ]; then
    echo "make setup: PYTHON=$PYTHON is no Python 3.11 or newer with its venv module" >&2
    exit 1
  fi
  found=$(python3 --version 2>/dev/null || echo "no python3")
  if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "make setup: $found is here without its venv module. Install it with:" >&2
    echo "    sudo apt-get install -y python3-venv" >&2
  else
    echo "make setup: Python 3.11 or newer is needed, found: $found. On Debian 12 install it with:" >&2
    echo "    sudo apt-get install -y python3 python3-venv" >&2
  fi
  exit 1
}

if [ "$1" = --find ]; then
  find_version "$2"
  exit
fi

venv=$1
# One that is missing, was interrupted while it was made, or lost its Python, is made anew.
if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  python=$(find_any) || explain
  echo "setting up $venv with $("$python" --version) (once: about a minute)"
  "$python" -m venv --clear "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
  -r requirements/dev.txt

# So that the first start is as fast as the others.
"$venv/bin/python" -m compileall -q src

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
(cd src && pwd) >"$site/replog.pth"
# Python by its whole path, which may hold blanks: a first line of Python's own cannot name that.
# It is the path of this file that the command line tells people to type.
bin=$(cd "$venv/bin" && pwd)
cat >"$venv/bin/replog" <<SCRIPT
#!/bin/sh
'''exec' "$bin/python" "\$0" "\$@"
' '''
from replog.__main__ import main

main()
SCRIPT
chmod +x "$venv/bin/replog"
