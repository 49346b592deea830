# shellcheck shell=bash
# PgBouncer: a pooler in transaction mode in front of PostgreSQL, in the style of Supabase. It has two connections to
# the server, so that even a few programs share them, and the certificate of PostgreSQL. It runs as the user of
# PostgreSQL, since it refuses to run as root.

readonly PGBOUNCER_CONNECTIONS=2

pgbouncer_prepare() {
  local folder=$POSTGRES_FOLDER/pgbouncer user
  user=$(postgres_user)
  mkdir -p "$POSTGRES_FOLDER"
  postgres_certificates "$user" "$folder/tls" >> "$(output_of pgbouncer)" 2>&1
  (
    umask 077
    echo "\"$POSTGRES_USER\" \"$POSTGRES_PASSWORD\"" > "$folder/users"
    pgbouncer_settings > "$folder/pgbouncer.ini"
  )
  chown -R "$user" "$folder"
}

# A connection to PostgreSQL that is lost is opened again after a second instead of fifteen. Later versions keep track of
# prepared statements by default; a pooler that does not is harder for the programs.
pgbouncer_settings() {
  cat << END
[databases]
* = host=127.0.0.1 port=$POSTGRES_PORT
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $PGBOUNCER_PORT
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $POSTGRES_FOLDER/pgbouncer/users
pool_mode = transaction
default_pool_size = $PGBOUNCER_CONNECTIONS
max_client_conn = 1000
server_login_retry = 1
client_tls_sslmode = allow
client_tls_cert_file = $POSTGRES_FOLDER/pgbouncer/tls/broker.pem
client_tls_key_file = $POSTGRES_FOLDER/pgbouncer/tls/broker.pem
server_tls_sslmode = verify-full
server_tls_ca_file = $POSTGRES_FOLDER/pgbouncer/tls/ca.pem
log_connections = 0
log_disconnections = 0
END
  if (( $(pgbouncer_minor) >= 21 )); then echo 'max_prepared_statements = 0'; fi
}

pgbouncer_minor() { # → 18 for version 1.18.0
  if [[ $(pgbouncer --version) =~ PgBouncer\ 1\.([0-9]+) ]]; then echo "${BASH_REMATCH[1]}"; else echo 0; fi
}

pgbouncer_launch() {
  as_postgres
  daemon pgbouncer "$POSTGRES_FOLDER" ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} \
    "$(command -v pgbouncer)" "$POSTGRES_FOLDER/pgbouncer/pgbouncer.ini"
}

pgbouncer_ready() {
  "$(postgres_programs)/pg_isready" -q -t 1 -h 127.0.0.1 -p "$PGBOUNCER_PORT" -U "$POSTGRES_USER" -d "$POSTGRES_DB"
}

# Supabase shows a direct URL and one of its pooler, both with a placeholder for the password.
supabase_env() {
  local certificate place="postgresql://$POSTGRES_USER:[YOUR-PASSWORD]@127.0.0.1"
  printf -v certificate %q "$STATE/tls/ca.pem"
  cat << END
export DB_TYPE=supabase
export SUPABASE_DIRECT_URL='$place:$POSTGRES_PORT/$POSTGRES_DB'
export SUPABASE_POOLER_URL='$place:$PGBOUNCER_PORT/$POSTGRES_DB'
export SUPABASE_PASSWORD=$POSTGRES_PASSWORD
export SUPABASE_CA_CERT=$certificate
END
}
