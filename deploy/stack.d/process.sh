# shellcheck shell=bash
# Processes, and nothing about what they serve: starting one so that it outlives us, knowing for certain which process is ours,
# signals, waiting. A service's state is worked out from /proc each time and never remembered.

# /proc/PID/stat names the program in brackets, which may itself hold spaces and brackets; what follows the last one is regular.
stat_fields() { # PID → array STAT, of which [0] is the state and [19] the start time
  local line
  { read -r line < "/proc/$1/stat"; } 2> /dev/null || return 1 # not $(< …), whose failure ends the whole script
  read -ra STAT <<< "${line##*) }"
}

# Is there still a process PID which started at that time of that boot? A number alone gets reused.
is_alive() { # PID STARTED BOOT
  [[ -n ${3:-} && $3 == "$BOOT_ID" ]] && stat_fields "$1" && [[ ${STAT[19]} == "$2" && ${STAT[0]} != [ZX] ]]
}

# Sets STATE_NOW to running, paused, stopped (never started, or stopped by us) or dead (it ended without us), and PID.
look_at() { # SERVICE
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
  look_at "$service"
  [[ " $* " == *" $STATE_NOW "* ]]
}

# The process notes its own number and start time and only then becomes the service: there is no moment in which it runs unknown to us.
# It gets a session of its own (a terminal's Ctrl-C passes by), no input, none of our descriptors (locks, the pipe of `up | tee`),
# and the usual signals even if we were started with some ignored, which is inherited and would make it deaf to our own.
daemon() { # SERVICE FOLDER COMMAND...
  local service=$1 folder=$2 pidfile=$STATE/run/$1.pid out
  shift 2
  out=$(output_of "$service")
  shorten "$out"
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
  within 10 test -s "$pidfile" || die "$service could not be launched; see $out"
}

output_of() { # SERVICE → the file that takes its stdout and stderr
  case $1 in
    kafka-*) echo "$STATE/logs/$1.out" ;; # its log proper is written, and kept small, by log4j
    *) echo "$STATE/logs/$1.log" ;;
  esac
}

shorten() { # FILE: at a start, a log past 10 MB is set aside
  if [[ -f $1 ]] && (( $(stat -c %s "$1") > 10000000 )); then mv -f "$1" "$1.1"; fi
}

show_log() { # SERVICE: what someone needs to see when it failed
  local file
  for file in "$(output_of "$1")" "$STATE/logs/$1.log"; do
    [[ -s $file ]] || continue
    echo "--- the last lines of $file" >&2
    tail -n 15 "$file" >&2
    [[ $file != *.log ]] || break
  done
}

# Every process of a service. PostgreSQL's are several, and outlive their postmaster when that is killed.
pids_of() { # SERVICE
  if [[ $1 == postgres ]]; then postgres_pids; else look_at "$1" && echo "${PID:-}"; fi
}

signal_all() { # SIGNAL SERVICE
  local pids
  mapfile -t pids < <(pids_of "$2")
  (( ${#pids[@]} == 0 )) || [[ -z ${pids[0]} ]] || kill "-$1" "${pids[@]}" 2> /dev/null || true
}

# Calls COMMAND every 50 ms until it succeeds.
within() { # SECONDS COMMAND...
  local deadline=$(( ${EPOCHREALTIME/./} + $1 * 1000000 ))
  shift
  until "$@"; do
    (( ${EPOCHREALTIME/./} < deadline )) || return 1
    sleep 0.05
  done
}

seconds_since() { # a start, in microseconds → "3.4"
  local tenths=$(( (${EPOCHREALTIME/./} - $1 + 50000) / 100000 ))
  echo "$(( tenths / 10 )).$(( tenths % 10 ))"
}

# Ends services together: gracefully, and what hasn't gone after its bound by SIGKILL. Only then is the note of the process removed.
end_services() { # SERVICE...
  local service deadline
  local -a waiting=()
  for service in "$@"; do
    look_at "$service"
    if [[ $STATE_NOW == stopped ]]; then
      say "$service" "not running"
    else
      ask_to_stop "$service"
      waiting+=("$service")
    fi
  done
  deadline=$(( ${EPOCHREALTIME/./} + STOP_SECONDS * 1000000 ))
  for service in ${waiting[@]+"${waiting[@]}"}; do
    if within $(( (deadline - ${EPOCHREALTIME/./}) / 1000000 )) is_gone "$service"; then
      say "$service" "stopped"
    else
      signal_all KILL "$service"
      within 10 is_gone "$service" || die "$service does not end, not even by SIGKILL (processes $(pids_of "$service" | tr '\n' ' '))"
      say "$service" "killed, since it had not stopped within $STOP_SECONDS s"
    fi
    rm -f "$STATE/run/$service.pid"
  done
}

ask_to_stop() { # SERVICE. A paused process gets the signal first and acts on it as soon as it runs on
  local signal=TERM
  [[ $1 != postgres ]] || signal=INT # TERM would wait for every client to leave by itself
  look_at "$1"
  [[ -z $PID ]] || kill "-$signal" "$PID" 2> /dev/null || true
  signal_all CONT "$1"
}

is_gone() { # SERVICE
  is_state "$1" dead stopped && [[ -z $(pids_of "$1") ]]
}

memory_of() { # SERVICE → MB, pages shared among its processes counted once
  local pid line total=0
  for pid in $(pids_of "$1"); do
    while read -r line; do
      if [[ $line == Pss:* ]]; then
        line=${line#Pss:}
        total=$(( total + ${line%kB} ))
      fi
    done 2> /dev/null < "/proc/$pid/smaps_rollup" || true
  done
  if (( total > 0 )); then echo "$(( total / 1024 )) MB"; else echo -; fi
}

# A connection tells more than a list of sockets does: it is what the clash would be about.
port_is_taken() { # PORT
  (exec {fd}<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

holder_of() { # PORT → " by PID (NAME)" if that can be known
  local line=''
  if command -v ss > /dev/null; then line=$(ss -Hltnp "sport = :$1" 2> /dev/null || true); fi
  if [[ $line =~ \(\(\"([^\"]*)\",pid=([0-9]+) ]]; then echo " by process ${BASH_REMATCH[2]} (${BASH_REMATCH[1]})"; fi
}
