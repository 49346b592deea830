# shellcheck shell=bash
# Paths of the installed sinks, and helpers of the scripts here. The folders are in the stack's cache; the name of each
# ends with a checksum of its requirements, so that changed requirements lead to a new installation.
# shellcheck disable=SC2034 # used by the scripts that source this file

PEERS=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
DEPLOY=$PEERS/../../deploy
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/orderflow
PLUGINS=$CACHE/peers/debezium-$(sha256sum < "$PEERS/pom.xml" | cut -c1-12)
PYTHON_FOLDER=$CACHE/peers/python-$(sha256sum < "$PEERS/requirements.txt" | cut -c1-12)
PYTHON=$PYTHON_FOLDER/bin/python
readonly PEERS DEPLOY CACHE PLUGINS PYTHON_FOLDER PYTHON

# find_java, find_jars and install_packages of the stack
# shellcheck source=../../deploy/stack.d/install.sh
source "$DEPLOY/stack.d/install.sh"

say() { printf '  %-9s %s\n' "$1" "$2"; }

die() {
  echo "benches/peers: $*" >&2
  exit 1
}
