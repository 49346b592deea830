# shellcheck shell=bash
# Whether this machine can run the scripts at all. On others, the containers of deploy/compose.yaml need Docker only.

require_linux() { # SCRIPT
  [[ $(uname -s) != Linux || ! -r /proc/self/stat ]] || return 0
  echo "$1: it needs Linux with /proc, and this is $(uname -s). With Docker, the whole pipeline runs here by" \
    "'docker compose -f deploy/compose.yaml up' (docs/containers.md)" >&2
  exit 1
}
