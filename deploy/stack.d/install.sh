# shellcheck shell=bash
# The parts: Debian's packages for what is a program, Maven Central for Kafka's jars. Nothing is fetched that is already there,
# and nothing that the packages would start by themselves gets started.

# Sets JAVA to a virtual machine of at least version 17.
find_java() {
  local candidate
  local -a candidates
  mapfile -t candidates < <(
    echo "${JAVA_HOME:-/none}/bin/java"
    command -v java || true
    printf '%s\n' /usr/lib/jvm/*/bin/java | sort -rV
  )
  for candidate in "${candidates[@]}"; do
    if [[ -x $candidate ]] && (( $(java_version "$candidate") >= 17 )); then
      JAVA=$candidate
      return
    fi
  done
  return 1
}

java_version() { # JAVA → 17
  local text
  text=$("$1" -version 2>&1) || true
  if [[ $text =~ version\ \"([0-9]+) ]]; then echo "${BASH_REMATCH[1]}"; else echo 0; fi
}

# Kafka's jars are kept per user, in a folder named for the versions in pom.xml, and shared by all stacks.
find_jars() {
  JARS=$CACHE/kafka-$(sha256sum < "$DEPLOY/pom.xml" | cut -c1-12)
  [[ -d $JARS ]]
}

# What the programs are built with beside Rust itself: librdkafka is C and C++, built by CMake against OpenSSL.
install_tools() { # [--build | --check]
  local -a packages=()
  [[ -n ${1-} ]] || return 0
  command -v cc > /dev/null || packages+=(gcc libc6-dev)
  command -v c++ > /dev/null || packages+=(g++)
  command -v cmake > /dev/null || packages+=(cmake)
  command -v make > /dev/null || packages+=(make)
  command -v pkg-config > /dev/null || packages+=(pkg-config)
  pkg-config --exists openssl 2> /dev/null || packages+=(libssl-dev)
  [[ $1 != --check ]] || command -v shellcheck > /dev/null || packages+=(shellcheck)
  if (( ${#packages[@]} > 0 )); then install_packages "${packages[@]}"; fi
}

install_parts() {
  local -a packages=()
  command -v redis-server > /dev/null && command -v redis-cli > /dev/null || packages+=(redis-server)
  postgres_programs > /dev/null || packages+=(postgresql)
  command -v openssl > /dev/null || packages+=(openssl)
  find_java || packages+=("$(java_package)")
  find_jars || command -v mvn > /dev/null || packages+=(maven)
  if (( ${#packages[@]} > 0 )); then install_packages "${packages[@]}"; fi
  find_java || die "there is still no Java of version 17 or later; install one and point JAVA_HOME to it"
  find_jars || fetch_jars
}

# Debian's default was 11 for a while, which Kafka 4 doesn't run on.
java_package() {
  local version=''
  if command -v apt-cache > /dev/null; then
    version=$(apt-cache policy default-jre-headless 2> /dev/null | sed -n 's/.*Candidate: .*1\.\([0-9]*\)-.*/\1/p')
  fi
  if [[ -n $version ]] && (( version < 17 )); then echo openjdk-17-jre-headless; else echo default-jre-headless; fi
}

install_packages() { # PACKAGE...
  local -a sudo=()
  command -v apt-get > /dev/null || die "missing on this machine, which has no apt-get: $*. Install what these Debian packages hold, then run this again."
  if (( EUID != 0 )); then
    sudo=(sudo -n)
    if ! "${sudo[@]}" true 2> /dev/null; then
      die "missing on this machine. Install it once, then run this again:
  sudo apt-get update && sudo apt-get install --no-install-recommends $*"
    fi
  fi
  say install "$* (Debian's packages)"
  mkdir -p "$CACHE"
  (
    exec {lock}> "$CACHE/install.lock"
    flock "$lock"
    # One shell as root, so that what it puts in place is removed whatever happens.
    ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l bash -c "$(declare -f as_root_install); as_root_install \"\$@\"" \
      bash "$@" > "$CACHE/install.log" 2>&1
  ) || {
    tail -n 20 "$CACHE/install.log" >&2
    die "the packages could not be installed: $* (all of what apt-get said: $CACHE/install.log)"
  }
}

# Debian starts what it installs and has it started at each boot: Redis on 6379, PostgreSQL with a cluster on 5432. We want the programs only.
as_root_install() { # PACKAGE...; runs in a shell of its own
  set -eu
  policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/orderflow.conf
  made=()
  trap 'rm -f ${made[@]+"${made[@]}"}' EXIT
  if [ ! -e "$policy" ]; then
    made+=("$policy")
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
  fi
  mkdir -p "${cluster%/*}"
  made+=("$cluster")
  echo 'create_main_cluster = false' > "$cluster"
  before=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2> /dev/null || true)
  options=(-y --no-install-recommends -o DPkg::Lock::Timeout=300)
  apt-get install "${options[@]}" "$@" || { apt-get update && apt-get install "${options[@]}" "$@"; }
  case $before in
    *'redis-server installed'*) ;;
    *) case " $* " in
      *' redis-server '*) if [ -d /run/systemd/system ]; then systemctl disable redis-server || true; fi ;;
    esac ;;
  esac
}

# Into another folder first: an interrupted download is never taken for whole. Of two stacks that want them, one waits.
fetch_jars() {
  local start=${EPOCHREALTIME/./}
  mkdir -p "$CACHE"
  (
    exec {lock}> "$CACHE/jars.lock"
    flock "$lock"
    if find_jars; then exit; fi
    say kafka "fetching its jars, once (some 55 MB, from Maven Central)"
    rm -rf "$CACHE"/*.part
    mvn -q -B -f "$DEPLOY/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$JARS.part" \
      < /dev/null > "$CACHE/jars.log" 2>&1
    mv "$JARS.part" "$JARS"
    say kafka "jars in $JARS ($(seconds_since "$start") s)"
  ) || {
    grep -a ERROR "$CACHE/jars.log" | head -n 5 >&2
    die "Kafka's jars could not be fetched (all of what Maven said: $CACHE/jars.log)"
  }
}
