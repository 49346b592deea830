# shellcheck shell=bash
# Processes of services: start, identify, signal, wait. A started process keeps running after the script ends. The state
# of a service is read from /proc each time.

# /proc/PID/stat has the name of the program in brackets. The name may contain spaces and brackets; the fields after the
# last bracket do not.
stat_fields() { # PID → array STAT, of which [0] is the state and [19] the start time
  local line
  { read -r line < "/proc/$1/stat"; } 2> /dev/null || return 1 # the failure of a $(< …) would end the whole script
  read -ra STAT <<< "${line##*) }"
}

# Whether process PID still runs, started at this time of this boot. The system reuses process ids.
is_alive() { # PID STARTED BOOT
  [[ -n ${3:-} && $3 == "$BOOT_ID" ]] && stat_fields "$1" && [[ ${STAT[19]} == "$2" && ${STAT[0]} != [ZX] ]]
}

# Sets STATE_NOW to running, paused, stopped (never started, or stopped by this script) or dead (ended otherwise), and
# PID.
read_state() { # SERVICE
  local started boot
  PID='' STATE_NOW=stopped
  [[ -s $STATE/run/$1.pid ]] || return 0
  read -r PID started boot < "$STATE/run/$1.pid"
  if ! is_alive "$PID" "$started" "$boot"; then
    PID='' STATE_NOW=dead
  elif [[ ${STAT[0]} == [Tt] ]]; then
    STATE_NOW=paused
  else
    STATE_NOW=running
  fi
}

is_state() { # SERVICE STATE...
  local service=$1
  shift
  read_state "$service"
  [[ " $* " == *" $STATE_NOW "* ]]
}

# Starts a service. The process first writes its id and start time to a file and then executes the service, so that a
# running service always has that file. It gets a session of its own (Ctrl-C at the terminal does not reach it), no
# input, and no open file of this script (locks, the pipe of `up | tee`). Signals that this script ignores are not
# ignored by the service.
daemon() { # SERVICE FOLDER COMMAND...
  local service=$1 folder=$2 pidfile=$STATE/run/$1.pid out
  shift 2
  out=$(output_of "$service")
  rotate_log "$out"
  rm -f "$pidfile"
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid --fork env --default-signal bash -c '
    pidfile=$1 boot=$2 folder=$3
    shift 3
    read -r line < /proc/$$/stat
    read -ra stat <<< "${line##*) }"
    echo "$$ ${stat[19]} $boot" > "$pidfile.new" && mv "$pidfile.new" "$pidfile"
    cd "$folder" || exit 1
    for fd in /proc/$$/fd/*; do
      if (( ${fd##*/} > 2 )); then eval "exec ${fd##*/}>&-"; fi
    done
    exec "$@"' "$service" "$pidfile" "$BOOT_ID" "$folder" "$@" < /dev/null >> "$out" 2>&1
  within 10 test -s "$pidfile" || die "$service could not be started: see $out"
}

output_of() { # SERVICE → the file for its stdout and stderr
  case $1 in
    kafka-*) echo "$STATE/logs/$1.out" ;; # log4j writes and rotates the log of a broker
    *) echo "$STATE/logs/$1.log" ;;
  esac
}

rotate_log() { # FILE: renames a log above 10 MB
  if [[ -f $1 ]] && (( $(stat -c %s "$1") > 10000000 )); then mv -f "$1" "$1.1"; fi
}

show_log() { # SERVICE: prints the end of its log after a failure
  local file
  for file in "$(output_of "$1")" "$STATE/logs/$1.log"; do
    [[ -s $file ]] || continue
    echo "--- the last lines of $file" >&2
    tail -n 15 "$file" >&2
    [[ $file != *.log ]] || break
  done
}

# All processes of a service. PostgreSQL has several, which keep running for a while when the postmaster is killed.
pids_of() { # SERVICE
  if [[ $1 == postgres ]]; then postgres_pids; else read_state "$1" && echo "${PID:-}"; fi
}

signal_all() { # SIGNAL SERVICE
  local pids
  mapfile -t pids < <(pids_of "$2")
  (( ${#pids[@]} == 0 )) || [[ -z ${pids[0]} ]] || kill "-$1" "${pids[@]}" 2> /dev/null || true
}

# Runs COMMAND every 50 ms until it succeeds. Fails after SECONDS.
within() { # SECONDS COMMAND...
  local deadline=$(( ${EPOCHREALTIME/./} + $1 * 1000000 ))
  shift
  until "$@"; do
    (( ${EPOCHREALTIME/./} < deadline )) || return 1
    sleep 0.05
  done
}

seconds_since() { # START, in microseconds → "3.4"
  local tenths=$(( (${EPOCHREALTIME/./} - $1 + 50000) / 100000 ))
  echo "$(( tenths / 10 )).$(( tenths % 10 ))"
}

# Stops services at the same time: gracefully, and by SIGKILL after STOP_SECONDS. The file with the process id is
# removed last.
end_services() { # SERVICE...
  local service deadline
  local -a waiting=()
  for service in "$@"; do
    read_state "$service"
    if [[ $STATE_NOW == stopped ]]; then
      say "$service" "not running"
    else
      request_stop "$service"
      waiting+=("$service")
    fi
  done
  deadline=$(( ${EPOCHREALTIME/./} + STOP_SECONDS * 1000000 ))
  for service in ${waiting[@]+"${waiting[@]}"}; do
    if within $(( (deadline - ${EPOCHREALTIME/./}) / 1000000 )) is_gone "$service"; then
      say "$service" "stopped"
    else
      signal_all KILL "$service"
      within 10 is_gone "$service" ||
        die "$service does not exit after SIGKILL (processes $(pids_of "$service" | tr '\n' ' '))"
      say "$service" "killed: it did not stop within $STOP_SECONDS s"
    fi
    rm -f "$STATE/run/$service.pid"
  done
}

request_stop() { # SERVICE. A paused process gets the signal first, then is resumed and handles it
  local signal=TERM
  [[ $1 != postgres ]] || signal=INT # on TERM, PostgreSQL waits until all clients have disconnected
  [[ $1 != pgbouncer ]] || (( $(pgbouncer_minor) < 23 )) || signal=QUIT # so does PgBouncer from this version on
  read_state "$1"
  [[ -z $PID ]] || kill "-$signal" "$PID" 2> /dev/null || true
  signal_all CONT "$1"
}

is_gone() { # SERVICE
  is_state "$1" dead stopped && [[ -z $(pids_of "$1") ]]
}

# The kernel walks all pages of the process for each `read` of a line, so the file is read at once.
memory_of() { # SERVICE → MB; a page that its processes share is counted once
  local pid text total=0
  for pid in $(pids_of "$1"); do
    { text=$(< "/proc/$pid/smaps_rollup"); } 2> /dev/null || continue
    if [[ $text =~ Pss:\ +([0-9]+) ]]; then total=$(( total + BASH_REMATCH[1] )); fi
  done
  if (( total > 0 )); then echo "$(( total / 1024 )) MB"; else echo -; fi
}

# Connects to the port. This needs no further tool.
port_is_in_use() { # PORT
  (exec {fd}<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

process_at_port() { # PORT → " by process PID (NAME)", or nothing when it can't be found out
  local line=''
  if command -v ss > /dev/null; then line=$(ss -Hltnp "sport = :$1" 2> /dev/null || true); fi
  if [[ $line =~ \(\(\"([^\"]*)\",pid=([0-9]+) ]]; then echo " by process ${BASH_REMATCH[2]} (${BASH_REMATCH[1]})"; fi
}
