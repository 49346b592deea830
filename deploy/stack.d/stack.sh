# shellcheck shell=bash
# A stack has a name, a folder with a file of settings and one of passwords, a block of ports, and locks against
# concurrent commands.

load_stack() { # fails when the stack does not exist
  STATE=$STATE_ROOT/$NAME
  set_ports 19092
  POSTGRES_FOLDER=$STATE/postgres CLUSTER_ID='' WITH='' SERVICES=(kafka-1 kafka-2 kafka-3 redis postgres)
  [[ -r $STATE/settings ]] || return 1
  local key value
  while IFS='=' read -r key value; do
    case $key in
      base_port) set_ports "$value" ;;
      postgres_folder) POSTGRES_FOLDER=$value ;;
      cluster_id) CLUSTER_ID=$value ;;
      with) WITH=$value ;;
      pooler) SERVICES+=("$value") ;;
    esac
  done < "$STATE/settings"
  load_passwords
  [[ $WITH != docker ]] || use_docker
}

use_docker() {
  # shellcheck source=stack.d/docker.sh
  [[ -n ${COMPOSE_FILES-} ]] || source "$DEPLOY/stack.d/docker.sh"
}

# main has fixed ports that are easy to remember. Each other stack has a block of twenty ports. A broker listens at its
# PROXIED port and advertises another one, at which a proxy listens while `loadtest` injects faults of the network.
set_ports() { # BASE
  if (( $1 == 19092 )); then
    KAFKA_PORTS=(19092 19093 19094) CONTROLLER_PORTS=(19192 19193 19194) REDIS_PORT=16379 POSTGRES_PORT=15432
    SECURE_PORTS=(19292 19293 19294) TLS_PORTS=(19392 19393 19394)
    PROXIED_PORTS=(19492 19493 19494) PROXY_PORTS=(19592 19593 19594) PGBOUNCER_PORT=16432
  else
    KAFKA_PORTS=($(( $1 + 1 )) $(( $1 + 2 )) $(( $1 + 3 )))
    CONTROLLER_PORTS=($(( $1 + 4 )) $(( $1 + 5 )) $(( $1 + 6 )))
    REDIS_PORT=$(( $1 + 7 )) POSTGRES_PORT=$(( $1 + 8 ))
    SECURE_PORTS=($(( $1 + 9 )) $(( $1 + 10 )) $(( $1 + 11 )))
    TLS_PORTS=($(( $1 + 12 )) $(( $1 + 13 )) $(( $1 + 14 )))
    PROXIED_PORTS=($(( $1 + 15 )) $(( $1 + 16 )) $(( $1 + 17 )))
    PROXY_PORTS=($(( $1 + 18 )) $(( $1 + 19 )) "$1")
    PGBOUNCER_PORT=$(( $1 - 10000 )) # a multiple of twenty, as no port of main is
  fi
}

ports_of() { # SERVICE → the ports that it listens on; the first one is for clients
  local n=${1#kafka-}
  case $1 in
    kafka-*)
      echo "${KAFKA_PORTS[n - 1]} ${SECURE_PORTS[n - 1]} ${TLS_PORTS[n - 1]} ${PROXIED_PORTS[n - 1]}" \
        "${CONTROLLER_PORTS[n - 1]}"
      ;;
    redis) echo "$REDIS_PORT" ;;
    postgres) echo "$POSTGRES_PORT" ;;
    pgbouncer) echo "$PGBOUNCER_PORT" ;;
  esac
}

make_stack() {
  [[ $STATE_ROOT != *[,\\]* && $STATE_ROOT != *$'\n'* ]] ||
    die "Kafka accepts no path with a comma, backslash or line break: $STATE_ROOT (set ORDERFLOW_STATE)"
  mkdir -p "$STATE/run" "$STATE/logs" 2> /dev/null ||
    die "can't write to $STATE_ROOT (set ORDERFLOW_STATE to another folder)"
  check_owner
  if [[ -e $STATE/settings ]]; then
    [[ $WITH_ASKED != docker || $WITH == docker ]] ||
      die "stack '$NAME' runs as processes: use another --name, or delete its data with '$ME down --purge'"
    add_pooler
    return
  fi
  local base=19092 id=-
  exec {lock}> "$STATE_ROOT/.ports.lock"
  flock "$lock"
  [[ $NAME == main ]] || base=$(free_block)
  while [[ $id == -* ]]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22); done
  if [[ $WITH_ASKED == docker ]]; then
    use_docker
    docker_required
    printf '%s=%s\n' base_port "$base" with docker > "$STATE/settings.new"
  else
    make_passwords
    printf '%s=%s\n' base_port "$base" postgres_folder "$(postgres_choose_folder)" cluster_id "$id" \
      > "$STATE/settings.new"
  fi
  mv "$STATE/settings.new" "$STATE/settings"
  exec {lock}>&-
  add_pooler
}

# PgBouncer can be added to a stack at any time. The stack keeps it.
add_pooler() {
  [[ $WITH_ASKED == pgbouncer ]] || return 0
  [[ $WITH != docker ]] || die "stack '$NAME' is in containers, where there is no PgBouncer"
  grep -qx pooler=pgbouncer "$STATE/settings" || echo pooler=pgbouncer >> "$STATE/settings"
}

check_owner() {
  [[ -O $STATE ]] || die "$STATE belongs to user $(stat -c %U "$STATE"): run this as that user, or use another --name"
}

# Selects ports below those that Linux uses for outgoing connections. The first block that is tried depends on the path,
# so that two checkouts rarely select the same one. Earlier versions used blocks of ten, so a block in use may start at
# any multiple of ten.
free_block() {
  local taken other base port tries first
  taken=$(cat "$STATE_ROOT"/*/settings 2> /dev/null | sed -n 's/^base_port=//p')
  first=$(( 16#$(sha256sum <<< "$STATE" | cut -c1-7) % 500 ))
  for (( tries = 0; tries < 500; tries++ )); do
    base=$(( 20000 + (first + tries) % 500 * 20 ))
    for other in $taken; do
      if (( other < base + 20 && base < other + 20 )); then continue 2; fi
    done
    for (( port = base; port < base + 20; port++ )); do
      if port_is_in_use "$port"; then continue 2; fi
    done
    echo "$base"
    return
  done
  die "there is no free block of 20 ports between 20000 and 30000"
}

# up and down lock the stack exclusively. start and stop lock it shared, and lock their services exclusively.
lock_stack() { # --shared | --exclusive
  mkdir -p "$STATE_ROOT" 2> /dev/null || die "can't write to $STATE_ROOT (set ORDERFLOW_STATE to another folder)"
  { exec {stack_lock}> "$STATE_ROOT/.$NAME.lock"; } 2> /dev/null || die "can't write to $STATE_ROOT as $(id -un)"
  flock "$1" -w 300 "$stack_lock" || die "another command has locked stack '$NAME' for 5 minutes"
}

lock_services() { # SERVICE...
  local service lock
  lock_stack --shared
  for service in $(printf '%s\n' "$@" | sort -u); do # in a fixed order, against deadlocks
    exec {lock}> "$STATE/run/$service.lock"
    flock -w 300 "$lock" || die "another command has locked $service for 5 minutes"
  done
}
