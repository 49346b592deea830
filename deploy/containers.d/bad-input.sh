# shellcheck shell=bash
# What a user of deploy/compose.yaml may get wrong: a port that is taken, a volume of another version, too little memory.
# Each must be said clearly, and lose nothing.

check_bad_input() {
  check_taken_port
  check_schema_of_another_version
  check_little_memory
  compose down --volumes > /dev/null 2>&1
}

# Runs a command that must fail, and print all of the words.
expect_failure() { # WHAT WORDS COMMAND...
  local what=$1 words=$2 log=$STATE/bad-input.log
  shift 2
  if "$@" > "$log" 2>&1; then die "$what: '$*' succeeds"; fi
  expect_words "$what" "$words" "$log"
}

expect_words() { # WHAT WORDS LOG
  grep -q -E "$2" "$3" || { tail -n 20 "$3" >&2; die "$1: '$2' is not said"; }
  say says "$1: $(grep -m 1 -o -E ".{0,60}($2).{0,60}" "$3" | head -n 1)"
}

# Another service of this machine has the port. When it is gone, the same command works.
check_taken_port() {
  docker run --detach --name "$PROJECT-other" --publish "127.0.0.1:$REDIS_PORT:6379" "$(compose_image REDIS_IMAGE)" \
    redis-server > /dev/null
  expect_failure "a port is taken" "$REDIS_PORT.*(already allocated|already in use)" compose up -d redis
  remove_other_service
  compose up -d redis
  wait_healthy redis 1
}

# It is not of the project, so that Compose does not remove it.
remove_other_service() { docker rm --force "$PROJECT-other" > /dev/null 2>&1; }

# The volume of an older version gets the migrations that it lacks, and keeps its rows. That of a newer one is refused
# by an older image.
check_schema_of_another_version() {
  compose up -d postgres
  wait_healthy postgres 1
  compose run --rm -T migrate orderdb migrate up > /dev/null
  in_database "INSERT INTO users (user_id) VALUES ('U-kept')"
  compose run --rm -T migrate orderdb migrate down > /dev/null
  compose run --rm -T migrate > "$STATE/bad-input.log" 2>&1 || die "a volume of an older version is not migrated"
  expect_words "an older schema is migrated" 'applied [0-9]+' "$STATE/bad-input.log"
  [[ $(in_database "SELECT count(*) FROM users WHERE user_id = 'U-kept'") == 1 ]] || die "the migration lost a row"
  in_database "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')"
  expect_failure "a newer schema" 'newer than this orderdb' compose run --rm -T migrate
}

in_database() { # STATEMENT
  docker exec "$(containers_of postgres)" psql -qAtX -U postgres -c "$1" orderflow
}

# /proc/meminfo of a machine that has little.
check_little_memory() {
  local volumes=$STATE/little-memory
  mkdir -p "$volumes"
  printf 'MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n' > "$volumes/meminfo"
  docker run --rm --entrypoint /bin/bash --volume "$volumes/meminfo:/proc/meminfo:ro" \
    --volume "$DEPLOY/compose.d/prepare:/prepare:ro" --tmpfs /secrets/superuser --tmpfs /secrets/postgres \
    --tmpfs /secrets/redis --tmpfs /secrets/grafana "$(compose_image POSTGRES_IMAGE)" /prepare \
    > "$STATE/bad-input.log" 2>&1 || die "the passwords are not made: see $STATE/bad-input.log"
  expect_words "little memory" 'WARNING: 1024 MiB of memory are available' "$STATE/bad-input.log"
}
