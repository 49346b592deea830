# shellcheck shell=bash
# What must be true of the containers while deploy/containers loads and breaks them, and the fault itself.

# The containers of a service that run, in the order of their numbers.
containers_of() { # SERVICE
  docker ps --no-trunc --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$1" \
    --format '{{.Label "com.docker.compose.container-number"}} {{.ID}}' | sort -n | cut -d' ' -f2
}

# Waits until as many containers of the service are healthy.
wait_healthy() { # SERVICE COUNT
  local deadline=$(( SECONDS + 120 )) healthy=0
  while (( SECONDS < deadline )); do
    healthy=$(containers_of "$1" | xargs -r docker inspect --format '{{.State.Health.Status}}' |
      grep -c '^healthy$' || true)
    (( healthy != $2 )) || return 0
    sleep 1
  done
  die "$healthy of $2 containers of $1 are healthy after 120 s"
}

# The producer logs the id of its run when it begins to send.
find_run() {
  local deadline=$(( SECONDS + 60 )) lines
  while (( SECONDS < deadline )); do
    lines=$(compose logs producer 2>&1 | sed -n '/"message":"sending"/s/.*"run":"\([^"]*\)".*/\1/p') || true
    RUN_ID=${lines%%$'\n'*}
    if [[ -n $RUN_ID ]]; then
      say run "$RUN_ID"
      return
    fi
    sleep 1
  done
  die "the producer did not log its run within 60 s"
}

# Each consumer has process id 1 in its container, and all write to one folder.
assert_log_of_each_consumer() {
  local -a consumers
  local logs
  mapfile -t consumers < <(containers_of consumer)
  logs=$(docker exec "${consumers[0]}" find "$STATS" -name '*.hlog' | wc -l)
  (( logs == 9 )) || die "nine consumers write $logs latency logs"
}

# Docker's own `kill` counts as a wish of the user, and such a container is not started again. Each container has its id
# in HOSTNAME: a process that has another one, of another kernel's ids, must not be killed.
kill_process_of() { # CONTAINER
  local pid
  pid=$(docker inspect --format '{{.State.Pid}}' "$1")
  grep -qz "^HOSTNAME=${1:0:12}\$" "/proc/$pid/environ" || die "process $pid is not that of container ${1:0:12}"
  kill -KILL "$pid"
}

assert_restarted() { # CONTAINER
  local count
  count=$(docker inspect --format '{{.RestartCount}}' "$1")
  (( count > 0 )) || die "container ${1:0:12} was not started again after its process was killed"
}

# A container must end within its grace period: after it, Docker sends SIGKILL (137).
assert_exit_codes() { # CODES CONTAINER...
  local codes=$1 container name state code
  shift
  for container in "$@"; do
    read -r name state code < <(docker inspect --format '{{.Name}} {{.State.Status}} {{.State.ExitCode}}' "$container")
    [[ $state == exited && " $codes " == *" $code "* ]] || die "container ${name#/} is $state with exit code $code"
  done
}

assert_ended() { # CODES SERVICE...
  local codes=$1 service
  local -a containers
  shift
  for service in "$@"; do
    mapfile -t containers < <(docker ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT" \
      --filter "label=com.docker.compose.service=$service")
    (( ${#containers[@]} > 0 )) || die "$service has no container"
    assert_exit_codes "$codes" "${containers[@]}"
  done
}

# The consumers may need some time for the last orders.
audit() {
  local deadline=$(( SECONDS + 300 ))
  until compose run --rm -T tools orderdb audit "$RUN_ID" --stats-dir "$STATS" > "$STATE/audit.out" 2>&1; do
    (( SECONDS < deadline )) || { cat "$STATE/audit.out"; die "the audit fails"; }
    sleep 2
  done
  cat "$STATE/audit.out"
}
