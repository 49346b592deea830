# shellcheck shell=bash
# The environment of the programs. All settings of their services come from one stack. A variable of the caller, or a
# .env file, could lead to another database, which would then be migrated, seeded and filled.

# Whether a program, psql or redis-cli learns from this variable which services it uses.
is_service_setting() { # NAME
  case $1 in
    KAFKA_OPTS) return 1 ;; # options for the JVM of the brokers
    DATABASE_* | DB_* | OAUTH_* | POSTGRES_* | SUPABASE_* | RDS_* | PG[A-Z]* | CREDENTIALS_DIRECTORY) ;;
    ORDERDB_*) ;; # a folder of migrations is that of one database
    KAFKA_* | ORDERS_* | CONSUMER_* | REDIS_* | REDISCLI_*) ;;
    ORDERFLOW_DATABASE | ORDERFLOW_STACK | ORDERFLOW_TEST_STACK) ;;
    *) return 1 ;;
  esac
}

# Removes the caller's settings of services, and prints in one line which of them have no effect. The programs log as
# text: people read it, also where it goes to a file.
clear_service_settings() {
  local name file
  local -a ignored=()
  for name in $(compgen -e); do
    # Many programs can't listen at one address, and a collector of traces is a service, too.
    if is_service_setting "$name" || [[ $name == @(ORDERFLOW_LISTEN|OTEL_*) ]]; then
      [[ -z ${!name} ]] || ignored+=("$name")
      unset "$name"
    fi
  done
  file=$(env_file)
  [[ -z $file ]] || ignored+=("$file")
  export ORDERFLOW_ENV_FILE=/dev/null ORDERFLOW_LOG_FORMAT=${ORDERFLOW_LOG_FORMAT:-text}
  (( ${#ignored[@]} == 0 )) ||
    echo "deploy/${0##*/}: no effect, since all settings of services come from the stack: ${ignored[*]}" >&2
}

env_file() { # → the path of the file that the programs would read
  local folder=$ROOT
  if [[ -n ${ORDERFLOW_ENV_FILE-} ]]; then
    [[ $ORDERFLOW_ENV_FILE == /dev/null ]] || echo "$ORDERFLOW_ENV_FILE"
    return
  fi
  while [[ ! -f $folder/.env && -n $folder ]]; do folder=${folder%/*}; done
  [[ ! -f $folder/.env ]] || echo "$folder/.env"
}

use_stack_settings() { # NAME [OPTION of env]
  local settings
  settings=$("$DEPLOY/stack" --name "$1" env "${@:2}")
  eval "$settings"
}

# ---- deploy/stack env

print_env() { # [--secure | --tls | --supabase | --proxied]
  local settings name
  load_stack || die "stack '$NAME' does not exist: '$ME up' creates it"
  require_passwords
  [[ -z $WITH || ${1-} != --@(secure|tls|supabase) ]] ||
    die "stack '$NAME' is in containers, which have no TLS listeners"
  [[ ${1-} != --@(secure|tls|supabase) || -e $STATE/tls/ca.pem ]] ||
    die "stack '$NAME' has no certificates: they are created at the first start of a broker, by '$ME up'"
  [[ ${1-} != --@(secure|tls|supabase) || -e $POSTGRES_FOLDER/tls/ca.pem ]] ||
    die "PostgreSQL of stack '$NAME' was started without TLS: '$ME stop postgres', then '$ME start postgres'"
  [[ ${1-} != --supabase || ${SERVICES[*]} == *pgbouncer* ]] ||
    die "stack '$NAME' has no pooler: '$ME up --with pgbouncer' adds it"
  settings=$(stack_settings "${1-}")
  for name in $CALLER_VARIABLES; do
    if is_service_setting "$name" && [[ $settings != *"export $name="* ]]; then echo "unset $name"; fi
  done
  echo "$settings"
}

stack_settings() { # [--secure | --tls | --supabase | --proxied]
  local -a ports
  case $1 in
    --secure) ports=("${SECURE_PORTS[@]}") ;;
    --tls) ports=("${TLS_PORTS[@]}") ;;
    --proxied) ports=("${PROXY_PORTS[@]}") ;;
    *) ports=("${KAFKA_PORTS[@]}") ;;
  esac
  cat << END
export ORDERFLOW_ENV_FILE=/dev/null
export ORDERFLOW_STACK=$NAME
export KAFKA_BROKERS=$(kafka_bootstrap "${ports[@]}")
export REDIS_URL=redis://${REDIS_PASSWORD:+:$REDIS_PASSWORD@}127.0.0.1:$REDIS_PORT
export DATABASE_URL=
export DB_TYPE=local
export POSTGRES_USER=$POSTGRES_USER
export POSTGRES_PASSWORD=$POSTGRES_PASSWORD
export POSTGRES_HOST=127.0.0.1
export POSTGRES_PORT=$POSTGRES_PORT
export POSTGRES_DB=$POSTGRES_DB
END
  case $1 in
    --secure | --tls) tls_env "$1" ;;
    --supabase) supabase_env ;;
    --proxied) echo "export KAFKA_PROXIED_LISTENERS=$(kafka_bootstrap "${PROXIED_PORTS[@]}")" ;;
  esac
}
