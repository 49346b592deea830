# shellcheck shell=bash
# A stack in containers of deploy/compose.yaml. This file is read for such a stack only, after all others: its functions
# replace those that run the services as processes. How a service is found ready, and the commands, stay the same.

readonly COMPOSE_FILES=(-f "$DEPLOY/compose.yaml" -f "$DEPLOY/compose.d/stack.yaml")

# Docker knows projects by their names only: those of two checkouts must differ.
PROJECT=orderflow-$NAME-$(sha256sum <<< "$STATE" | cut -c1-8)
readonly PROJECT

# Sets COMPOSE. Commands that do not need Compose fail at their first use of Docker, with Docker's own message.
docker_required() {
  command -v docker > /dev/null || die "Docker is not installed: install it, or use a stack without --with docker"
  docker version > /dev/null 2>&1 || die "no Docker engine answers: start it, or set DOCKER_HOST"
  if docker compose version > /dev/null 2>&1; then
    COMPOSE=(docker compose)
  elif command -v docker-compose > /dev/null; then
    COMPOSE=(docker-compose)
  else
    die "Docker Compose is not installed: install the plugin of docker, or docker-compose"
  fi
}

# Runs Compose with the ports of this stack. Its messages go to a log.
compose() { # ARGS...
  local log=$STATE/logs/compose.log n
  local -a ports=()
  for n in 1 2 3; do
    ports+=("KAFKA_${n}_PORT=${KAFKA_PORTS[n - 1]}" "KAFKA_${n}_PROXIED_PORT=${PROXIED_PORTS[n - 1]}"
      "KAFKA_${n}_PROXY_PORT=${PROXY_PORTS[n - 1]}")
  done
  env "${ports[@]}" REDIS_PORT="$REDIS_PORT" POSTGRES_PORT="$POSTGRES_PORT" \
    "${COMPOSE[@]}" --project-name "$PROJECT" "${COMPOSE_FILES[@]}" "$@" >> "$log" 2>&1 || {
    tail -n 15 "$log" >&2
    die "'docker compose $1' failed: see $log"
  }
}

container_of() { # SERVICE → its id, or nothing
  docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$1" | head -n 1
}

running_container_of() { # SERVICE
  local container
  container=$(container_of "$1") || exit 1 # in the subshell of its caller, a failure would not end it
  [[ -n $container ]] || die "$1 has no container: '$ME up' creates it"
  echo "$container"
}

install_parts() { docker_required; }

# The containers have no TLS listeners, and their controllers listen on a network of their own.
ports_of() { # SERVICE → the ports that are published; the first one is for clients
  local n=${1#kafka-}
  case $1 in
    kafka-*) echo "${KAFKA_PORTS[n - 1]} ${PROXIED_PORTS[n - 1]}" ;;
    redis) echo "$REDIS_PORT" ;;
    postgres) echo "$POSTGRES_PORT" ;;
  esac
}

# ---- the state of a service

# The file RUN/SERVICE.stopped tells a service that this script stopped from one that ended otherwise.
read_state() { # SERVICE
  local container status=''
  PID='' STATE_NOW=stopped
  container=$(container_of "$1")
  [[ -n $container ]] || return 0
  read -r status PID < <(docker inspect --format '{{.State.Status}} {{.State.Pid}}' "$container") || true
  case $status in
    running | restarting) STATE_NOW=running ;;
    paused) STATE_NOW=paused ;;
    *)
      PID=''
      [[ $status == created || -e $STATE/run/$1.stopped ]] || STATE_NOW=dead
      ;;
  esac
}

# The ids that the host's kernel has for them.
pids_of() { # SERVICE
  local container
  container=$(container_of "$1")
  [[ -z $container ]] || docker top "$container" -eo pid 2> /dev/null | tail -n +2
}

# `loadtest` measures the processes that these files name. They are of use where the kernel of the engine is the host's.
note_process() { # SERVICE
  rm -f "$STATE/run/$1.pid"
  read_state "$1"
  [[ -z $PID || ! -r /proc/$PID/stat ]] || ! stat_fields "$PID" ||
    echo "$PID ${STAT[19]} $BOOT_ID" > "$STATE/run/$1.pid"
}

postgres_ready() {
  local container
  container=$(running_container_of postgres)
  docker exec "$container" pg_isready -q -t 1 -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" 2> /dev/null
}

# ---- start and stop

start_services() { # SERVICE...
  local service start
  local -a missing=()
  for service in "$@"; do
    read_state "$service"
    case $STATE_NOW in
      running) ;;
      paused) fault resume "$service" ;;
      *)
        check_ports "$service"
        missing+=("$service")
        ;;
    esac
  done
  if (( ${#missing[@]} > 0 )); then
    compose up -d "${missing[@]}"
    show_warnings
  fi
  start=${EPOCHREALTIME/./} # images may have been pulled until now
  for service in ${missing[@]+"${missing[@]}"}; do
    rm -f "$STATE/run/$service.stopped"
    note_process "$service"
  done
  copy_passwords
  wait_until_ready "$start" "$@"
  if [[ " $* " == *" postgres "* ]]; then grant_test_rights; fi
}

# On first use, of little memory.
show_warnings() {
  local container
  container=$(container_of prepare)
  docker logs "$container" 2>&1 | grep WARNING >&2 || true
}

# The passwords are made in volumes. The programs of this machine need them, too. When Redis or PostgreSQL does not run,
# its log has the reason, and is printed later.
copy_passwords() {
  local redis_password postgres_password superuser_password
  [[ ! -s $STATE/passwords ]] || return 0
  is_state redis running && is_state postgres running || return 0
  redis_password=$(secret_in redis redis)
  postgres_password=$(secret_in postgres postgres)
  superuser_password=$(secret_in postgres superuser)
  (
    umask 077
    printf '%s=%s\n' redis "$redis_password" postgres "$postgres_password" superuser "$superuser_password" \
      > "$STATE/passwords.new"
  )
  mv "$STATE/passwords.new" "$STATE/passwords"
  load_passwords
}

secret_in() { # SERVICE SECRET
  local container
  container=$(running_container_of "$1")
  docker exec "$container" cat "/run/orderflow/$2/password" || die "the password '$2' in the container of $1 is missing"
}

# Once: what the role and the databases have on a stack of processes (stack.d/postgres.sh). Tests and benches create
# databases, each a copy of template1, which must have no other connection then.
grant_test_rights() {
  local extension='CREATE EXTENSION IF NOT EXISTS pg_stat_statements'
  [[ ! -e $STATE/rights-granted ]] || return 0
  psql_as_superuser -qXd template1 -c "$extension" > /dev/null
  psql_as_superuser -qXv ON_ERROR_STOP=1 -c "$extension" -c "ALTER ROLE $POSTGRES_USER CREATEDB" \
    -c "GRANT pg_signal_backend, pg_read_all_settings TO $POSTGRES_USER" \
    -c "GRANT SET ON PARAMETER deadlock_timeout TO $POSTGRES_USER" > /dev/null
  touch "$STATE/rights-granted"
}

# Stops services at the same time: gracefully, and by SIGKILL after STOP_SECONDS.
end_services() { # SERVICE...
  local service container
  local -A stops=()
  for service in "$@"; do
    read_state "$service"
    case $STATE_NOW in
      stopped) say "$service" "not running" ;;
      dead)
        touch "$STATE/run/$service.stopped"
        say "$service" "stopped"
        ;;
      *)
        container=$(container_of "$service")
        touch "$STATE/run/$service.stopped"
        # A paused process would get the signal only when it is resumed.
        [[ $STATE_NOW != paused ]] || docker unpause "$container" > /dev/null
        docker stop -t "$STOP_SECONDS" "$container" > /dev/null &
        stops[$service]=$!
        ;;
    esac
  done
  for service in "$@"; do
    if [[ -n ${stops[$service]-} ]]; then await_stop "$service" "${stops[$service]}"; fi
  done
}

await_stop() { # SERVICE PID-OF-DOCKER-STOP
  local container code
  wait "$2" || die "Docker could not stop $1"
  container=$(container_of "$1")
  code=$(docker inspect --format '{{.State.ExitCode}}' "$container")
  if (( code == 137 )); then # 128 + SIGKILL
    say "$1" "killed: it did not stop within $STOP_SECONDS s"
  else
    say "$1" "stopped"
  fi
}

remove_data() {
  docker_required
  compose down --volumes --remove-orphans
  rm -rf "$STATE"
}

# ---- faults

fault() { # kill|pause|resume SERVICE...
  local command=$1 service container pid
  shift
  for service in "$@"; do
    read_state "$service"
    [[ $STATE_NOW == @(running|paused) ]] || die "$service is not running ($STATE_NOW)"
    container=$(container_of "$service") pid=$PID
    case $command in
      kill)
        docker kill "$container" > /dev/null
        within 5 is_state "$service" dead || die "$service (process $pid) does not exit after SIGKILL"
        say "$service" "killed (process $pid)"
        ;;
      pause)
        [[ $STATE_NOW == paused ]] || docker pause "$container" > /dev/null
        say "$service" "paused"
        ;;
      resume)
        [[ $STATE_NOW == running ]] || docker unpause "$container" > /dev/null
        say "$service" "resumed"
        ;;
    esac
  done
}

# The process ids of pg_stat_activity are those inside the container.
postgres_kill_backend() {
  local container pid
  container=$(running_container_of postgres)
  pid=$(psql_as_superuser -qXAtc "SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    ORDER BY state = 'active' DESC, state_change DESC LIMIT 1")
  [[ -n $pid ]] || die "there is no backend to kill: no client is connected to PostgreSQL"
  docker exec "$container" bash -c "kill -KILL $pid"
  say postgres "backend $pid killed; PostgreSQL recovers by itself"
}

# ---- logs and tools

show_log() { # SERVICE
  local container
  container=$(container_of "$1")
  [[ -n $container ]] || return 0
  echo "--- the last lines of the log of $1" >&2
  docker logs --tail 15 "$container" >&2
}

# Most services log to stderr.
logs() { # SERVICE [-f | -n N]
  local container
  container=$(running_container_of "$1")
  shift
  (( $# > 0 )) || set -- -n 100
  exec docker logs "$@" "$container" 2>&1
}

# The options of `docker exec` for a tool that the user of this script runs: with its stdin, and with its terminal if it
# has one. What the script itself runs has neither.
TERMINAL=()

use_terminal() {
  TERMINAL=(-i)
  if [[ -t 0 && -t 1 ]]; then TERMINAL+=(-t); fi
}

# A tool does not get the options of the broker's JVM, in whose container it runs.
run_kafka_tool() { # NAME ARGS...
  local n name=${1-} container heap=-Xmx256m
  [[ $KAFKA_TOOLS == *[[:space:]]"$name"[[:space:]]* && -n $name ]] ||
    usage_error "kafka-tool requires one of: $(awk 'NF { printf "%s ", $1 }' <<< "$KAFKA_TOOLS")"
  shift
  if [[ " $* " != *" --bootstrap-server"[\ =]* ]]; then
    set -- --bootstrap-server kafka-1:9092,kafka-2:9092,kafka-3:9092 "$@"
  fi
  [[ $name != *-perf-test ]] || heap=-Xmx512m
  use_terminal
  for n in "${BROKERS[@]}"; do
    is_state "kafka-$n" running || continue
    container=$(container_of "kafka-$n")
    exec docker exec "${TERMINAL[@]}" -e "KAFKA_HEAP_OPTS=$heap" -e KAFKA_OPTS= "$container" \
      "/opt/kafka/bin/$name.sh" "$@"
  done
  die "no broker is running"
}

psql_in_container() { # USER PASSWORD ARGS...
  local user=$1 password=$2 container
  shift 2
  container=$(running_container_of postgres)
  # Docker reads the password from its own environment: other users of the machine can read a command line.
  PGPASSWORD=$password docker exec ${TERMINAL[@]+"${TERMINAL[@]}"} -e PGPASSWORD -e PGHOST=127.0.0.1 \
    -e "PGUSER=$user" -e "PGDATABASE=$POSTGRES_DB" "$container" psql "$@"
}

psql_as_superuser() { psql_in_container "$POSTGRES_SUPERUSER" "$SUPERUSER_PASSWORD" "$@"; } # ARGS...

run_psql() { # [--superuser] ARGS...
  require_passwords
  use_terminal
  if [[ ${1-} == --superuser ]]; then
    shift
    psql_as_superuser "$@"
  else
    psql_in_container "$POSTGRES_USER" "$POSTGRES_PASSWORD" "$@"
  fi
}

run_redis_cli() { # ARGS...
  local container
  require_passwords
  use_terminal
  container=$(running_container_of redis)
  REDISCLI_AUTH=$REDIS_PASSWORD exec docker exec "${TERMINAL[@]}" -e REDISCLI_AUTH "$container" redis-cli "$@"
}
