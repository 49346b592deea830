# shellcheck shell=bash
# Redis: a cache without persistence. It is empty after each start.

redis_prepare() { :; }

redis_launch() {
  daemon redis "$STATE" redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$STATE" \
    --save '' --appendonly no --daemonize no --set-proc-title no
}

redis_ready() {
  local fd answer=''
  { exec {fd}<> "/dev/tcp/127.0.0.1/$REDIS_PORT"; } 2> /dev/null || return 1
  printf 'PING\r\n' >&"$fd"
  read -rt 1 answer <&"$fd" || true
  exec {fd}>&-
  [[ $answer == +PONG* ]]
}
