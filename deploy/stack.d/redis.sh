# shellcheck shell=bash
# Redis: a cache without persistence. It is empty after each start.

redis_prepare() {
  (
    umask 077
    echo "${REDIS_PASSWORD:+requirepass $REDIS_PASSWORD}" > "$STATE/redis.conf"
  )
}

redis_launch() {
  daemon redis "$STATE" redis-server "$STATE/redis.conf" --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$STATE" \
    --save '' --appendonly no --daemonize no --set-proc-title no
}

redis_ready() {
  local fd line answer=''
  { exec {fd}<> "/dev/tcp/127.0.0.1/$REDIS_PORT"; } 2> /dev/null || return 1
  [[ -z $REDIS_PASSWORD ]] || printf 'AUTH %s\r\n' "$REDIS_PASSWORD" >&"$fd"
  printf 'PING\r\nQUIT\r\n' >&"$fd"
  while read -rt 1 line <&"$fd"; do answer+=$line; done
  exec {fd}>&-
  [[ $answer == *+PONG* ]]
}

run_redis_cli() { # ARGS...
  require_passwords
  [[ -z $REDIS_PASSWORD ]] || export REDISCLI_AUTH=$REDIS_PASSWORD
  exec redis-cli -h 127.0.0.1 -p "$REDIS_PORT" "$@"
}
