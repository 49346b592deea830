# shellcheck shell=bash
# PostgreSQL: one cluster of our own, never the system's. It has no socket file (their paths are limited to 107 bytes), only its port.

readonly POSTGRES_USER=orderflow POSTGRES_PASSWORD=orderflow POSTGRES_DB=orderflow

# PostgreSQL refuses to run as root; then it runs as the user that its package made for it.
postgres_user() {
  if (( EUID != 0 )); then
    id -un
  elif id -u postgres > /dev/null 2>&1; then
    echo postgres
  else
    echo nobody
  fi
}

as_postgres() { # → array AS_POSTGRES, to put in front of a command
  AS_POSTGRES=()
  if (( EUID == 0 )); then
    local user
    user=$(postgres_user)
    AS_POSTGRES=(setpriv "--reuid=$user" "--regid=$(id -gn "$user")" --init-groups)
  fi
}

# Chosen once, when the stack is made: under the state folder unless PostgreSQL's user can't reach it (a checkout under /root).
postgres_choose_folder() {
  as_postgres
  if ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} test -x "$STATE"; then
    echo "$STATE/postgres"
  else
    echo "/var/lib/orderflow/$NAME-$(sha256sum <<< "$STATE" | cut -c1-12)"
  fi
}

# The programs in one folder: of the version that made the data, if there are data, and else the newest.
postgres_programs() {
  local wanted='' folder
  local -a folders
  if [[ -n ${POSTGRES_FOLDER:-} && -r $POSTGRES_FOLDER/data/PG_VERSION ]]; then wanted=$(< "$POSTGRES_FOLDER/data/PG_VERSION"); fi
  mapfile -t folders < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV; dirname "$(command -v initdb || echo /none)")
  for folder in "${folders[@]}"; do
    [[ -x $folder/postgres && -x $folder/initdb ]] || continue
    if [[ -z $wanted || $("$folder/postgres" -V) =~ \)\ $wanted[^0-9] ]]; then
      echo "$folder"
      return
    fi
  done
  [[ -z $wanted ]] || die "the data in $POSTGRES_FOLDER are PostgreSQL $wanted's, which is not installed: install postgresql-$wanted, or begin anew with '$ME down --purge'"
  return 1
}

# A cluster is made under another name and then renamed: one that was interrupted is never taken for whole.
postgres_prepare() {
  local data=$POSTGRES_FOLDER/data programs user
  programs=$(postgres_programs)
  postgres_clear_away
  [[ ! -d $data ]] || return 0
  user=$(postgres_user)
  as_postgres
  mkdir -p "$POSTGRES_FOLDER"
  rm -rf "$data.new"
  printf '%s' "$POSTGRES_PASSWORD" > "$POSTGRES_FOLDER/password"
  chown "$user" "$POSTGRES_FOLDER" "$POSTGRES_FOLDER/password"
  cd "$POSTGRES_FOLDER"
  ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$programs/initdb" --pgdata="$data.new" --username="$POSTGRES_USER" --pwfile="$POSTGRES_FOLDER/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >> "$STATE/logs/postgres.log" 2>&1
  echo "CREATE DATABASE $POSTGRES_DB;" |
    ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$programs/postgres" --single -j -D "$data.new" postgres >> "$STATE/logs/postgres.log" 2>&1
  if has_pg_stat_statements "$programs"; then
    echo "CREATE EXTENSION pg_stat_statements;" |
      ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$programs/postgres" --single -j -D "$data.new" postgres >> "$STATE/logs/postgres.log" 2>&1
  fi
  rm "$POSTGRES_FOLDER/password"
  mv "$data.new" "$data"
}

has_pg_stat_statements() { # PROGRAMS
  [[ -e $1/../lib/pg_stat_statements.so || -e $1/../lib/postgresql/pg_stat_statements.so ]]
}

postgres_launch() {
  local programs
  local -a settings=(
    -c listen_addresses=127.0.0.1 -c port="$POSTGRES_PORT" -c unix_socket_directories=
    -c cluster_name="orderflow-$NAME"
    -c max_connections=300 # a test has a pool of its own for each program in it
    -c shared_buffers=256MB
    -c max_wal_size=2GB # fewer checkpoints in a load test; fsync stays on
  )
  programs=$(postgres_programs)
  if has_pg_stat_statements "$programs"; then settings+=(-c shared_preload_libraries=pg_stat_statements); fi
  as_postgres
  daemon postgres "$POSTGRES_FOLDER" ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$programs/postgres" -D "$POSTGRES_FOLDER/data" "${settings[@]}"
}

postgres_ready() {
  "$(postgres_programs)/pg_isready" -q -t 1 -h 127.0.0.1 -p "$POSTGRES_PORT"
}

# All of this cluster's processes, also those whose postmaster is gone: each has the data folder as its working directory.
postgres_pids() {
  local process name
  for process in /proc/[0-9]*; do
    [[ $process/cwd -ef $POSTGRES_FOLDER/data ]] || continue
    { read -r name < "$process/comm"; } 2> /dev/null || continue
    [[ $name != postgres ]] || echo "${process##*/}"
  done
}

# Backends whose postmaster was killed leave by themselves, but only when they next look; PostgreSQL doesn't start beside them.
postgres_clear_away() {
  signal_all CONT postgres # a paused one can't leave
  if ! within 5 postgres_none_left; then
    signal_all KILL postgres
    within 5 postgres_none_left || die "processes of a former PostgreSQL do not end: $(postgres_pids | tr '\n' ' ')"
  fi
  rm -f "$POSTGRES_FOLDER/data/postmaster.pid" # nobody is left whom it could mean
}

postgres_none_left() { [[ -z $(postgres_pids) ]]; }

# One client's backend, rather one that is at work. PostgreSQL then ends all the others and recovers by itself.
postgres_kill_backend() {
  local pid title idle='' busy=''
  for pid in $(postgres_pids); do
    { title=$(tr '\0' ' ' < "/proc/$pid/cmdline"); } 2> /dev/null || continue
    [[ $title =~ 127\.0\.0\.1\([0-9]+\)\ (.*) ]] || continue
    if [[ ${BASH_REMATCH[1]} == idle* ]]; then idle=$pid; else busy=$pid; fi
  done
  pid=${busy:-$idle}
  [[ -n $pid ]] || die "no client is connected to PostgreSQL, so there is no backend to kill"
  kill -KILL "$pid"
  say postgres "backend $pid killed; PostgreSQL recovers by itself"
}
