# shellcheck shell=bash
# For deploy/run and deploy/test: a child that ends when the script is told to stop.
#
# Each child has a session of its own, so that Ctrl-C, and a terminal that goes away, reach the script alone. The script
# then sends one SIGTERM to the child and waits for its end. For most programs a second signal means to exit at once.

# CHILD_INPUT is the stdin of the children: nothing, unless one reads keys.

CHILD='' STOP_STATUS='' CHILD_INPUT=/dev/null

stop_with_signals() {
  trap 'stop_child HUP 129' HUP
  trap 'stop_child INT 130' INT
  trap 'stop_child TERM 143' TERM
}

stop_child() { # SIGNAL STATUS
  # When a terminal goes away, SIGHUP may come from the shell and again from the system.
  [[ $1 != HUP || -z $STOP_STATUS ]] || return 0
  STOP_STATUS=$2
  [[ -n $CHILD ]] || exit "$STOP_STATUS"
  # A child that was just started is not the leader of its group yet.
  kill -TERM -- "-$CHILD" 2> /dev/null || kill -TERM "$CHILD" 2> /dev/null || true
}

# Runs a command and returns its exit status. When the script is told to stop, it exits once the command has ended.
child() { # COMMAND ARGS...
  local status=0 session
  # A background process of a script ignores SIGINT and SIGQUIT, and one of nohup SIGHUP; its programs must not.
  setsid env --default-signal=HUP,INT,QUIT "$@" < "$CHILD_INPUT" &
  CHILD=$! session=$!
  while kill -0 "$CHILD" 2> /dev/null; do # a signal ends `wait` early
    status=0
    wait "$CHILD" || status=$?
  done
  CHILD=''
  [[ -n $STOP_STATUS ]] || return "$status"
  end_session "$session"
  exit "$STOP_STATUS"
}

# Sends SIGTERM to what a child has left, such as the programs that a test was running when it was stopped.
end_session() { # SESSION
  local file line
  local -a fields
  for file in /proc/[0-9]*/stat; do
    { read -r line < "$file"; } 2> /dev/null || continue
    read -ra fields <<< "${line##*) }" # state, parent, process group, session
    [[ ${fields[3]} != "$1" ]] || kill -TERM "${line%% *}" 2> /dev/null || true
  done
}
