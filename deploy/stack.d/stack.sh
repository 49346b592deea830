# shellcheck shell=bash
# What a stack is: a name, a folder with a file of settings, a block of ports, and the locks that keep two commands apart.

load_stack() { # → false if it was never made
  STATE=$STATE_ROOT/$NAME
  set_ports 19092
  POSTGRES_FOLDER=$STATE/postgres CLUSTER_ID=''
  [[ -r $STATE/settings ]] || return 1
  local key value
  while IFS='=' read -r key value; do
    case $key in
      base_port) set_ports "$value" ;;
      postgres_folder) POSTGRES_FOLDER=$value ;;
      cluster_id) CLUSTER_ID=$value ;;
    esac
  done < "$STATE/settings"
}

# main keeps ports that a person can guess; any other stack has a block of twenty.
set_ports() { # BASE
  if (( $1 == 19092 )); then
    KAFKA_PORTS=(19092 19093 19094) CONTROLLER_PORTS=(19192 19193 19194) REDIS_PORT=16379 POSTGRES_PORT=15432
    SECURE_PORTS=(19292 19293 19294) TLS_PORTS=(19392 19393 19394)
  else
    KAFKA_PORTS=($(( $1 + 1 )) $(( $1 + 2 )) $(( $1 + 3 ))) CONTROLLER_PORTS=($(( $1 + 4 )) $(( $1 + 5 )) $(( $1 + 6 )))
    REDIS_PORT=$(( $1 + 7 )) POSTGRES_PORT=$(( $1 + 8 ))
    SECURE_PORTS=($(( $1 + 9 )) $(( $1 + 10 )) $(( $1 + 11 ))) TLS_PORTS=($(( $1 + 12 )) $(( $1 + 13 )) $(( $1 + 14 )))
  fi
}

ports_of() { # SERVICE → the ports it listens on, that of its clients first
  local n=${1#kafka-}
  case $1 in
    kafka-*) echo "${KAFKA_PORTS[n - 1]} ${SECURE_PORTS[n - 1]} ${TLS_PORTS[n - 1]} ${CONTROLLER_PORTS[n - 1]}" ;;
    redis) echo "$REDIS_PORT" ;;
    postgres) echo "$POSTGRES_PORT" ;;
  esac
}

make_stack() {
  [[ $STATE_ROOT != *[,\\]* && $STATE_ROOT != *$'\n'* ]] || die "a path with a comma, backslash or line break can't hold Kafka's data: $STATE_ROOT (set ORDERFLOW_STATE)"
  mkdir -p "$STATE/run" "$STATE/logs" 2> /dev/null || die "can't write to $STATE_ROOT (set ORDERFLOW_STATE to another folder)"
  check_owner
  [[ ! -e $STATE/settings ]] || return 0
  local base=19092 id=-
  exec {lock}> "$STATE_ROOT/.ports.lock"
  flock "$lock"
  [[ $NAME == main ]] || base=$(free_block)
  while [[ $id == -* ]]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22); done
  printf '%s=%s\n' base_port "$base" postgres_folder "$(postgres_choose_folder)" cluster_id "$id" > "$STATE/settings.new"
  mv "$STATE/settings.new" "$STATE/settings"
  exec {lock}>&-
}

check_owner() {
  [[ -O $STATE ]] || die "$STATE belongs to $(stat -c %U "$STATE"); run this as that user, or use another --name"
}

# Below the ports that Linux gives to outgoing connections; the first try depends on the path, so that checkouts seldom meet.
# Blocks were of ten once, so a stack that is older may begin in the middle of one of ours.
free_block() {
  local taken other base port tries first
  taken=$(cat "$STATE_ROOT"/*/settings 2> /dev/null | sed -n 's/^base_port=//p')
  first=$(( 16#$(sha256sum <<< "$STATE" | cut -c1-7) % 500 ))
  for (( tries = 0; tries < 500; tries++ )); do
    base=$(( 20000 + (first + tries) % 500 * 20 ))
    for other in $taken; do
      if (( other < base + 20 && base < other + 20 )); then continue 2; fi
    done
    for (( port = base + 1; port <= base + 14; port++ )); do
      if port_is_taken "$port"; then continue 2; fi
    done
    echo "$base"
    return
  done
  die "no free block of ports between 20000 and 30000"
}

# up and down have the stack to themselves; start and stop share it, and have their service to themselves.
lock_stack() { # --shared | --exclusive
  mkdir -p "$STATE_ROOT" 2> /dev/null || die "can't write to $STATE_ROOT (set ORDERFLOW_STATE to another folder)"
  { exec {stack_lock}> "$STATE_ROOT/.$NAME.lock"; } 2> /dev/null || die "can't write to $STATE_ROOT as $(id -un)"
  flock "$1" -w 300 "$stack_lock" || die "another command on stack '$NAME' has not ended for 5 minutes"
}

lock_services() { # SERVICE...
  local service lock
  lock_stack --shared
  for service in $(printf '%s\n' "$@" | sort -u); do # always in the same order, so that two never wait for each other
    exec {lock}> "$STATE/run/$service.lock"
    flock -w 300 "$lock" || die "another command on $service has not ended for 5 minutes"
  done
}
