# shellcheck shell=bash
# A Docker engine and Compose for the tests of the containers: the engine that runs, or one that is started for the time
# of the test. Starting one changes the network of the machine; what it changed is put back.

# Sets COMPOSE. Starts an engine if none answers, sets DOCKER_HOST to it and ENGINE_PID to its process.
engine_up() {
  local -a packages=()
  if ! docker info > /dev/null 2>&1; then
    command -v dockerd > /dev/null || packages+=(docker.io)
    command -v iptables > /dev/null || packages+=(iptables)
  fi
  find_compose || packages+=(docker-compose)
  if (( ${#packages[@]} > 0 )); then install_packages "${packages[@]}"; fi
  command -v docker > /dev/null || install_packages docker-cli # from Debian 13 on, docker.io does not have it
  find_compose || die "Docker Compose is missing: install the plugin of docker, or docker-compose"
  docker info > /dev/null 2>&1 || engine_start
}

find_compose() { # → COMPOSE, the start of a command line
  if docker compose version > /dev/null 2>&1; then
    COMPOSE=(docker compose)
  elif command -v docker-compose > /dev/null; then
    COMPOSE=(docker-compose)
  else
    return 1
  fi
}

# The engine gets a session of its own: Ctrl-C, and the SIGTERM for this script, must not reach it before the clean-up.
engine_start() {
  local run=$STATE/run try
  mkdir -p "$run"
  ENGINE_FORWARD=$(iptables -S FORWARD 2> /dev/null | awk 'NR == 1 { print $3 }') || true
  ENGINE_IP_FORWARD=$(< /proc/sys/net/ipv4/ip_forward)
  export DOCKER_HOST=unix://$run/docker.sock
  setsid dockerd --data-root "$STATE/data" --exec-root "$run/exec" --pidfile "$run/docker.pid" --host "$DOCKER_HOST" \
    > "$STATE/dockerd.log" 2>&1 &
  ENGINE_PID=$!
  for (( try = 0; try < 100; try++ )); do
    if docker info > /dev/null 2>&1; then return; fi
    kill -0 "$ENGINE_PID" 2> /dev/null || break
    sleep 0.2
  done
  tail -n 5 "$STATE/dockerd.log" >&2
  die "the Docker engine does not start: see $STATE/dockerd.log"
}

# Ends the engine that engine_up started, with all of its containers.
engine_down() {
  [[ -n $ENGINE_PID ]] || return 0
  kill "$ENGINE_PID" 2> /dev/null || true
  wait "$ENGINE_PID" 2> /dev/null || true
  ENGINE_PID=''
  ip link delete docker0 2> /dev/null || true
  iptables-save 2> /dev/null | grep -v -i docker | iptables-restore 2> /dev/null || true
  [[ -z $ENGINE_FORWARD ]] || iptables -P FORWARD "$ENGINE_FORWARD" 2> /dev/null || true
  echo "$ENGINE_IP_FORWARD" > /proc/sys/net/ipv4/ip_forward
}

# The faults are SIGKILLs for processes of containers, by the ids that the kernel of this machine has for them.
require_engine_of_this_kernel() {
  [[ $(docker info --format '{{.KernelVersion}}') == "$(uname -r)" ]] ||
    die "the Docker engine runs in a virtual machine or on another machine: run this where it runs, since the faults" \
      "kill processes of containers"
}

# BuildKit is the quicker builder. Docker has it built in before version 23, then in the plugin buildx. Without the
# plugin, the older builder is used, and asking for BuildKit is an error.
choose_builder() {
  local version
  version=$(docker version --format '{{.Client.Version}}')
  DOCKER_BUILDKIT=0
  if docker buildx version > /dev/null 2>&1 || (( ${version%%.*} < 23 )); then DOCKER_BUILDKIT=1; fi
  export DOCKER_BUILDKIT
}

# docker-compose 1.29 refuses /dev/null as a file of settings.
compose() { # ARGUMENTS...
  "${COMPOSE[@]}" --project-name "$PROJECT" --env-file "$STATE/no-settings" --file "$DEPLOY/compose.yaml" "$@"
}
