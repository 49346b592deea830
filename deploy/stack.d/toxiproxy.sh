# shellcheck shell=bash
# What `loadtest` needs for faults of the network and of a clock: toxiproxy, a TCP proxy that delays, cuts and stalls
# connections, and libfaketime. No Debian release has a package of toxiproxy: it is built with Go, once for all stacks.

readonly TOXIPROXY_VERSION=2.12.0
readonly TOXIPROXY=$CACHE/toxiproxy-$TOXIPROXY_VERSION/toxiproxy-server

install_fault_tools() {
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' > /dev/null || install_packages libfaketime
  [[ -x $TOXIPROXY ]] || build_toxiproxy
}

# Sets GO to the path of a Go toolchain.
find_go() {
  local candidate
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go; do
    if [[ -x $candidate ]]; then
      GO=$candidate
      return
    fi
  done
  return 1
}

# Builds in a temporary folder that is renamed at the end, so that an interrupted build is never used.
build_toxiproxy() {
  local folder=${TOXIPROXY%/*} log=$CACHE/toxiproxy.log start=${EPOCHREALTIME/./}
  find_go || die "Go is not installed: toxiproxy, the proxy for faults of the network, is built with Go 1.23 or later.
  Install Go from https://go.dev/dl into /usr/local/go or a folder in PATH, then run '$ME install --faults'"
  mkdir -p "$CACHE"
  (
    exec {lock}> "$CACHE/toxiproxy.lock"
    flock "$lock"
    if [[ -x $TOXIPROXY ]]; then exit; fi
    say toxiproxy "building it with Go, once (a minute or two)"
    rm -rf "$folder.part"
    GOBIN=$folder.part GOFLAGS=-mod=mod "$GO" install -trimpath -ldflags '-s -w' \
      "github.com/Shopify/toxiproxy/v2/cmd/server@v$TOXIPROXY_VERSION" < /dev/null > "$log" 2>&1
    mv "$folder.part/server" "$folder.part/toxiproxy-server"
    mv "$folder.part" "$folder"
    say toxiproxy "built in $folder ($(seconds_since "$start") s)"
  ) >&2 || {
    tail -n 5 "$log" >&2
    die "toxiproxy can't be built: see $log"
  }
}

run_toxiproxy() { # ARGS...
  [[ -x $TOXIPROXY ]] || build_toxiproxy
  exec "$TOXIPROXY" "$@"
}
