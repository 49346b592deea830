# shellcheck shell=bash
# PostgreSQL: a cluster of the stack's own, never that of the system. It listens at its port only, not at a socket file,
# whose path would be limited to 107 bytes.

# The role of the programs is no superuser. It owns the database and may create others, as tests and benches do.
readonly POSTGRES_USER=orderflow POSTGRES_DB=orderflow

# PostgreSQL refuses to run as root. For root it runs as the user that its package creates.
postgres_user() {
  if (( EUID != 0 )); then
    id -un
  elif id -u postgres > /dev/null 2>&1; then
    echo postgres
  else
    echo nobody
  fi
}

as_postgres() { # → array AS_POSTGRES, the prefix of a command that runs as the user of PostgreSQL
  AS_POSTGRES=()
  if (( EUID == 0 )); then
    local user
    user=$(postgres_user)
    AS_POSTGRES=(setpriv "--reuid=$user" "--regid=$(id -gn "$user")" --init-groups)
  fi
}

# Selected once, when the stack is created: in the state folder, unless the user of PostgreSQL can't access it (a
# checkout in /root).
postgres_choose_folder() {
  as_postgres
  if ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} test -x "$STATE"; then
    echo "$STATE/postgres"
  else
    echo "/var/lib/orderflow/$NAME-$(sha256sum <<< "$STATE" | cut -c1-12)"
  fi
}

# Prints the folder of the programs: of the version that created the data if there is data, else the latest version.
postgres_programs() {
  local wanted='' folder
  local -a folders
  if [[ -n ${POSTGRES_FOLDER:-} && -r $POSTGRES_FOLDER/data/PG_VERSION ]]; then
    wanted=$(< "$POSTGRES_FOLDER/data/PG_VERSION")
  fi
  mapfile -t folders < <(
    printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
    dirname "$(command -v initdb || echo /none)"
  )
  for folder in "${folders[@]}"; do
    [[ -x $folder/postgres && -x $folder/initdb ]] || continue
    if [[ -z $wanted || $("$folder/postgres" -V) =~ \)\ $wanted[^0-9] ]]; then
      echo "$folder"
      return
    fi
  done
  [[ -z $wanted ]] || die "the data in $POSTGRES_FOLDER is of PostgreSQL $wanted, which is not installed:
  install postgresql-$wanted, or delete the data with '$ME down --purge'"
  return 1
}

# Creates the cluster under another name and renames it, so that an incomplete cluster is never used.
postgres_prepare() {
  local data=$POSTGRES_FOLDER/data log=$STATE/logs/postgres.log password=$POSTGRES_FOLDER/password programs user
  programs=$(postgres_programs)
  postgres_end_leftovers
  user=$(postgres_user)
  mkdir -p "$POSTGRES_FOLDER"
  postgres_certificates "$user" "$POSTGRES_FOLDER/tls" >> "$log" 2>&1
  [[ ! -d $data ]] || return 0
  as_postgres
  rm -rf "$data.new"
  (umask 077 && printf '%s' "$SUPERUSER_PASSWORD" > "$password")
  chown "$user" "$POSTGRES_FOLDER" "$password"
  cd "$POSTGRES_FOLDER"
  ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$programs/initdb" --pgdata="$data.new" --username="$POSTGRES_SUPERUSER" \
    --pwfile="$password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >> "$log" 2>&1
  rm "$password"
  # No failed statement is logged: one of them has a password.
  postgres_first_statements "$programs" |
    ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$programs/postgres" --single -j -D "$data.new" -c exit_on_error=on \
      -c log_min_error_statement=panic template1 >> "$log" 2>&1
  mv "$data.new" "$data"
}

# PostgreSQL has the certificate of the brokers, and its key in the same file. It refuses a key that others can read.
postgres_certificates() { # USER FOLDER
  tls_prepare
  mkdir -p "$2"
  install -m 600 "$STATE/tls/broker.pem" "$STATE/tls/ca.pem" "$2"
  chown -R "$1" "$2"
}

# Each statement ends with a semicolon and an empty line. A superuser must create the extension; in template1, each new
# database gets it. With pg_signal_backend, DROP DATABASE … (FORCE) also ends an autovacuum that runs there. `loadtest
# bench cache` reads which libraries are loaded. A test sets deadlock_timeout, a right that exists since version 15.
postgres_first_statements() { # PROGRAMS
  if has_pg_stat_statements "$1"; then printf 'CREATE EXTENSION pg_stat_statements;\n\n'; fi
  if [[ $POSTGRES_USER != "$POSTGRES_SUPERUSER" ]]; then
    printf "CREATE ROLE %s LOGIN CREATEDB PASSWORD '%s';\n\n" "$POSTGRES_USER" "$POSTGRES_PASSWORD"
    printf 'GRANT pg_signal_backend, pg_read_all_settings TO %s;\n\n' "$POSTGRES_USER"
    if [[ $("$1/postgres" -V) =~ \)\ ([0-9]+) ]] && (( BASH_REMATCH[1] >= 15 )); then
      printf 'GRANT SET ON PARAMETER deadlock_timeout TO %s;\n\n' "$POSTGRES_USER"
    fi
  fi
  printf 'CREATE DATABASE %s OWNER %s;\n\n' "$POSTGRES_DB" "$POSTGRES_USER"
}

has_pg_stat_statements() { # PROGRAMS
  [[ -e $1/../lib/pg_stat_statements.so || -e $1/../lib/postgresql/pg_stat_statements.so ]]
}

postgres_launch() {
  local programs
  local -a settings=(
    -c listen_addresses=127.0.0.1 -c port="$POSTGRES_PORT" -c unix_socket_directories=
    -c cluster_name="orderflow-$NAME"
    -c max_connections=300 # each test opens connections of its own for each of its programs
    -c shared_buffers=256MB
    -c wal_keep_size=1GB # for standbys of tests, which have no replication slot
    -c max_wal_size=2GB # fewer checkpoints in a load test; fsync is on
    -c ssl=on # for clients that ask for it
    -c ssl_cert_file="$POSTGRES_FOLDER/tls/broker.pem" -c ssl_key_file="$POSTGRES_FOLDER/tls/broker.pem"
    -c ssl_ca_file="$POSTGRES_FOLDER/tls/ca.pem"
    -c track_commit_timestamp=on # loadtest bench latency reads when a row was committed
  )
  programs=$(postgres_programs)
  if has_pg_stat_statements "$programs"; then settings+=(-c shared_preload_libraries=pg_stat_statements); fi
  as_postgres
  daemon postgres "$POSTGRES_FOLDER" ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} \
    "$programs/postgres" -D "$POSTGRES_FOLDER/data" "${settings[@]}"
}

postgres_ready() {
  "$(postgres_programs)/pg_isready" -q -t 1 -h 127.0.0.1 -p "$POSTGRES_PORT"
}

# Prints the ids of all processes of this cluster, also of those whose postmaster has ended. The working directory of
# each is the data folder.
postgres_pids() {
  local process name
  for process in /proc/[0-9]*; do
    [[ $process/cwd -ef $POSTGRES_FOLDER/data ]] || continue
    { read -r name < "$process/comm"; } 2> /dev/null || continue
    [[ $name != postgres ]] || echo "${process##*/}"
  done
}

# After the postmaster was killed, its backends exit some time later. PostgreSQL does not start as long as one of them
# runs.
postgres_end_leftovers() {
  signal_all CONT postgres # a paused process can't exit
  if ! within 5 postgres_none_left; then
    signal_all KILL postgres
    within 5 postgres_none_left ||
      die "processes of an earlier PostgreSQL do not exit after SIGKILL: $(postgres_pids | tr '\n' ' ')"
  fi
  rm -f "$POSTGRES_FOLDER/data/postmaster.pid" # no process of this cluster runs any more
}

postgres_none_left() { [[ -z $(postgres_pids) ]]; }

# Kills the backend of one client, preferably a busy one. PostgreSQL then ends all other backends and recovers by
# itself.
postgres_kill_backend() {
  local pid title idle='' busy=''
  for pid in $(postgres_pids); do
    { title=$(tr '\0' ' ' < "/proc/$pid/cmdline"); } 2> /dev/null || continue
    [[ $title =~ 127\.0\.0\.1\([0-9]+\)\ (.*) ]] || continue
    if [[ ${BASH_REMATCH[1]} == idle* ]]; then idle=$pid; else busy=$pid; fi
  done
  pid=${busy:-$idle}
  [[ -n $pid ]] || die "there is no backend to kill: no client is connected to PostgreSQL"
  kill -KILL "$pid"
  say postgres "backend $pid killed; PostgreSQL recovers by itself"
}

run_psql() { # [--superuser] ARGS...
  local programs user=$POSTGRES_USER password=$POSTGRES_PASSWORD
  require_passwords
  programs=$(postgres_programs) || die "PostgreSQL is not installed: '$ME install' installs it"
  if [[ ${1-} == --superuser ]]; then
    user=$POSTGRES_SUPERUSER password=$SUPERUSER_PASSWORD
    shift
  fi
  PGHOST=127.0.0.1 PGPORT=$POSTGRES_PORT PGUSER=$user PGPASSWORD=$password PGDATABASE=$POSTGRES_DB \
    exec "$programs/psql" "$@"
}
