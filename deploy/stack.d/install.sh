# shellcheck shell=bash
# Installs what is missing: Debian packages, the jars of Kafka from Maven Central, and toxiproxy. Services that a Debian
# package starts after its installation are not started.

# Sets JAVA to the path of a Java of version 17 or later.
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

# The jars of Kafka are in a folder per user and content of pom.xml. All stacks share it.
find_jars() {
  JARS=$CACHE/kafka-$(sha256sum < "$DEPLOY/pom.xml" | cut -c1-12)
  [[ -d $JARS ]]
}

# The build tools besides Rust: librdkafka is in C and C++, built by CMake with OpenSSL. The checks also need
# the linter of shell scripts, a browser for the report of a load test, and Prometheus for the alerts and dashboards.
install_tools() { # [--build | --check | --faults]
  local -a packages=()
  [[ -n ${1-} ]] || return 0
  if [[ $1 == --@(check|faults) ]]; then install_fault_tools; fi
  [[ $1 != --faults ]] || return 0
  command -v cc > /dev/null || packages+=(gcc libc6-dev)
  command -v c++ > /dev/null || packages+=(g++)
  command -v cmake > /dev/null || packages+=(cmake)
  command -v make > /dev/null || packages+=(make)
  command -v pkg-config > /dev/null || packages+=(pkg-config)
  pkg-config --exists openssl 2> /dev/null || packages+=(libssl-dev)
  [[ $1 != --check ]] || command -v shellcheck > /dev/null || packages+=(shellcheck)
  [[ $1 != --check ]] || command -v curl > /dev/null || packages+=(curl)
  [[ $1 != --check ]] || command -v promtool > /dev/null || packages+=(prometheus)
  [[ $1 != --check ]] || command -v chromium-headless-shell chromium google-chrome chrome > /dev/null ||
    packages+=(chromium-headless-shell)
  if (( ${#packages[@]} > 0 )); then install_packages "${packages[@]}"; fi
}

install_parts() {
  local -a packages=()
  command -v redis-server > /dev/null && command -v redis-cli > /dev/null || packages+=(redis-server)
  postgres_programs > /dev/null || packages+=(postgresql)
  [[ ${SERVICES[*]} != *pgbouncer* ]] || command -v pgbouncer > /dev/null || packages+=(pgbouncer)
  command -v openssl > /dev/null || packages+=(openssl)
  find_java || packages+=("$(java_package)")
  find_jars || command -v mvn > /dev/null || packages+=(maven)
  if (( ${#packages[@]} > 0 )); then install_packages "${packages[@]}"; fi
  find_java || die "Java 17 or later is not installed: install it and set JAVA_HOME"
  find_jars || fetch_jars
}

# The default of older Debian releases is Java 11, but Kafka 4 requires 17.
java_package() {
  local version=''
  if command -v apt-cache > /dev/null; then
    version=$(apt-cache policy default-jre-headless 2> /dev/null | sed -n 's/.*Candidate: .*1\.\([0-9]*\)-.*/\1/p')
  fi
  if [[ -n $version ]] && (( version < 17 )); then echo openjdk-17-jre-headless; else echo default-jre-headless; fi
}

# What a script offers where there is no apt-get. deploy/stack replaces it.
other_way() { :; }

install_packages() { # PACKAGE...
  local -a sudo=()
  command -v apt-get > /dev/null ||
    die "not installed: $*.
  There is no apt-get here: install the content of these Debian packages, then run this again$(other_way)"
  if (( EUID != 0 )); then
    sudo=(sudo -n)
    if ! "${sudo[@]}" true 2> /dev/null; then
      die "packages are not installed. Install them, then run this again:
  sudo apt-get update && sudo apt-get install --no-install-recommends $*"
    fi
  fi
  say install "Debian packages: $*"
  mkdir -p "$CACHE"
  (
    exec {lock}> "$CACHE/install.lock"
    flock "$lock"
    # A single shell as root, whose exit trap removes its temporary files in any case.
    ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
      bash -c "$(declare -f as_root_install); as_root_install \"\$@\"" bash "$@" > "$CACHE/install.log" 2>&1
  ) || {
    tail -n 20 "$CACHE/install.log" >&2
    die "apt-get could not install $*: see $CACHE/install.log"
  }
}

# Debian packages start their services after installation and at each boot: Redis on 6379, PostgreSQL with a cluster on
# 5432, PgBouncer on 6432, Prometheus on 9090. This prevents it.
as_root_install() { # PACKAGE...; runs in its own shell
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
  for service in redis-server prometheus pgbouncer; do
    case $before in
      *"$service installed"*) ;;
      *) case " $* " in
        *" $service "*) if [ -d /run/systemd/system ]; then systemctl disable "$service" || true; fi ;;
      esac ;;
    esac
  done
}

# Downloads to a temporary folder and renames it, so that an interrupted download is never used. A lock lets the second
# of two stacks wait for the first one.
fetch_jars() {
  local start=${EPOCHREALTIME/./}
  mkdir -p "$CACHE"
  (
    exec {lock}> "$CACHE/jars.lock"
    flock "$lock"
    if find_jars; then exit; fi
    say kafka "downloading its jars, once (about 55 MB, from Maven Central)"
    rm -rf "$CACHE"/*.part
    mvn -q -B -f "$DEPLOY/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$JARS.part" \
      < /dev/null > "$CACHE/jars.log" 2>&1
    mv "$JARS.part" "$JARS"
    say kafka "jars in $JARS ($(seconds_since "$start") s)"
  ) || {
    grep -a ERROR "$CACHE/jars.log" | head -n 5 >&2
    die "Maven could not download the jars of Kafka: see $CACHE/jars.log"
  }
}
