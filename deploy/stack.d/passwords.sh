# shellcheck shell=bash
# The passwords of a stack. They are made at random when it is created, in a file that only its user can read. No
# command line has one: other users of the machine can read the command line of a process.

make_passwords() {
  local name
  (
    umask 077
    for name in postgres superuser redis kafka; do
      echo "$name=$(head -c 20 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
    done > "$STATE/passwords"
  )
}

# A stack of an earlier version has no file of passwords. It keeps the fixed ones that it was created with, a Redis
# without a password, and a role of its programs that is the superuser of PostgreSQL.
load_passwords() {
  local name value
  POSTGRES_SUPERUSER=orderflow SUPERUSER_PASSWORD=orderflow POSTGRES_PASSWORD=orderflow
  KAFKA_PASSWORD=orderflow-secret REDIS_PASSWORD=''
  [[ -r $STATE/passwords ]] || return 0
  POSTGRES_SUPERUSER=postgres
  while IFS='=' read -r name value; do
    case $name in
      postgres) POSTGRES_PASSWORD=$value ;;
      superuser) SUPERUSER_PASSWORD=$value ;;
      redis) REDIS_PASSWORD=$value ;;
      kafka) KAFKA_PASSWORD=$value ;;
    esac
  done < "$STATE/passwords"
}

require_passwords() {
  [[ ! -e $STATE/passwords || -r $STATE/passwords ]] ||
    die "only user $(stat -c %U "$STATE/passwords") can read the passwords of stack '$NAME': run this as that user"
}
