# shellcheck shell=bash
# Where the peers' parts are. They are kept beside the stack's jars, in folders named for what is asked of them.
# shellcheck disable=SC2034 # they are for those who source this

PEERS=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
DEPLOY=$PEERS/../../deploy
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/orderflow
PLUGINS=$CACHE/peers/debezium-$(sha256sum < "$PEERS/pom.xml" | cut -c1-12)
PYTHON_FOLDER=$CACHE/peers/python-$(sha256sum < "$PEERS/requirements.txt" | cut -c1-12)
PYTHON=$PYTHON_FOLDER/bin/python
readonly PEERS DEPLOY CACHE PLUGINS PYTHON_FOLDER PYTHON

# find_java, find_jars and install_packages, as the stack has them
# shellcheck source=../../deploy/stack.d/install.sh
source "$DEPLOY/stack.d/install.sh"

say() { printf '  %-9s %s\n' "$1" "$2"; }

die() {
  echo "peers: $*" >&2
  exit 1
}
