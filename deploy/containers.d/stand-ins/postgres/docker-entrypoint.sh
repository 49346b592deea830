#!/bin/bash
# Creates the cluster on first use, runs /docker-entrypoint-initdb.d while the server listens at its socket only, then
# starts the server as user postgres.
set -eo pipefail
if [[ $1 != postgres ]]; then exec "$@"; fi
if (( EUID == 0 )); then
  mkdir -p "$PGDATA"
  chown postgres "$PGDATA"
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  : "${POSTGRES_USER:=postgres}"
  if [[ -n ${POSTGRES_PASSWORD_FILE-} ]]; then POSTGRES_PASSWORD=$(< "$POSTGRES_PASSWORD_FILE"); fi
  [[ -n ${POSTGRES_PASSWORD-} ]] || { echo "POSTGRES_PASSWORD is not set" >&2; exit 1; }
  export POSTGRES_USER
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s' "$POSTGRES_PASSWORD") --auth-local=trust
  printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) bash "$file" ;;
      *.sql) psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --file="$file" ;;
    esac
  done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec "$@"
