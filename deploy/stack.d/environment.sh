# shellcheck shell=bash
# For deploy/run and deploy/test: the programs get the settings of their services from a stack alone.

# Removes the caller's settings of services. Nothing is read from a .env file either.
clear_service_settings() {
  local name
  for name in $(compgen -e); do
    case $name in
      KAFKA_OPTS) ;; # options for the JVM of the brokers, not a setting of the programs
      KAFKA_* | REDIS_* | POSTGRES_* | SUPABASE_* | RDS_* | DATABASE_URL | DB_TYPE | ORDERS_TOPIC | CONSUMER_*)
        unset "$name" ;;
      ORDERFLOW_LISTEN) unset "$name" ;; # the programs of a run can't all listen at one address
    esac
  done
  export ORDERFLOW_ENV_FILE=/dev/null
}

use_stack_settings() { # NAME
  local settings
  settings=$("$DEPLOY/stack" --name "$1" env)
  eval "$settings"
}
