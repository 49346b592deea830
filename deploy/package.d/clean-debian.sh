# shellcheck shell=bash
# Checks the package in a clean Debian, in a folder. No systemd runs there: programs are started by hand, and units are
# only verified.

readonly DEBIAN_MIRROR=http://deb.debian.org/debian

check_in_clean_debian() {
  DEBIAN=$WORK/debian
  step "clean Debian"
  command -v debootstrap > /dev/null || install_packages debootstrap
  create_debian
  step "installation"
  cp "$PACKAGE" "$DEBIAN/orderflow.deb"
  in_debian apt-get -qq update
  expect "the package is installed" apt-get -qq install -y --no-install-recommends /orderflow.deb
  check_installation
  step "programs"
  check_programs
  step "upgrade, removal, purge"
  check_end
}

# The release of this machine: the package needs its libraries.
create_debian() {
  local release
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  debootstrap --variant=minbase "$release" "$DEBIAN" "$DEBIAN_MIRROR" > "$WORK/log" 2>&1 || failed "it is created"
  # A package must not start a service.
  printf '#!/bin/sh\nexit 101\n' > "$DEBIAN/usr/sbin/policy-rc.d"
  chmod 755 "$DEBIAN/usr/sbin/policy-rc.d"
}

# Runs a command in the clean Debian, with namespaces of its own: what it mounts or leaves running ends with it.
in_debian() { # COMMAND ARGS...
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy+"http_proxy=$http_proxy"} unshare --mount --pid --fork --kill-child bash -euc '
      mount -t proc proc "$0/proc"
      for folder in dev sys; do mount --rbind "/$folder" "$0/$folder"; done
      mount -t tmpfs tmpfs "$0/run"
      exec chroot "$0" "$@"
    ' "$DEBIAN" "$@" < /dev/null
}

# Fails with a message if the command fails in the clean Debian.
expect() { # WHAT COMMAND ARGS...
  in_debian "${@:2}" > "$WORK/log" 2>&1 || failed "$1"
}

failed() { # WHAT
  tail -n 20 "$WORK/log" >&2
  die "not so in the clean Debian: $1"
}

check_installation() {
  local unit
  expect "the user exists" getent passwd orderflow
  for unit in orderflow-cache-worker.service orderflow-consumer@1.service orderflow-producer@1.service; do
    expect "$unit is valid" systemd-analyze verify --man=no --recursive-errors=no "$unit"
  done
  expect "no service is enabled" bash -c '[[ $(systemctl is-enabled orderflow-cache-worker.service) == disabled ]]'
  expect "only root reads the settings" \
    bash -c '[[ $(stat --format=%a-%U:%G /etc/orderflow/*.env | sort -u) == 640-root:root ]]'
}

check_programs() {
  local program
  for program in cache-worker consumer loadtest orderdb producer; do
    expect "orderflow-$program starts" "orderflow-$program" --version
    expect "orderflow-$program has a manual page" gzip -t "/usr/share/man/man1/orderflow-$program.1.gz"
    expect "orderflow-$program has completions" bash -c \
      ". /usr/share/bash-completion/completions/orderflow-$program.bash && complete -p orderflow-$program"
  done
  expect "the user of the services can run a program" \
    setpriv --reuid orderflow --regid orderflow --clear-groups orderflow-producer catalog --output jsonl --users 3
  expect "loadtest finds its scenarios" orderflow-loadtest list
  # The settings of the package are read: the program fails as no service is there, not as they are wrong.
  expect "the consumer names the missing database" bash -c '
    echo POSTGRES_PORT=9 >> /etc/orderflow/orderflow.env
    ORDERFLOW_ENV_FILE=/etc/orderflow/orderflow.env orderflow-consumer 2>&1 | grep -q "127.0.0.1:9"
  '
}

check_end() {
  expect "it is installed again" dpkg --install /orderflow.deb
  expect "changed settings are kept" grep -q POSTGRES_PORT=9 /etc/orderflow/orderflow.env
  expect "a ledger is written" install -D --owner orderflow /dev/null /var/lib/orderflow/runs/r/run.json
  expect "a password is written" install -D --mode 600 /dev/null /etc/credstore/orderflow.POSTGRES_PASSWORD
  # This needs no running systemd.
  expect "services are enabled" systemctl enable orderflow-cache-worker.service orderflow-consumer@1.service
  expect "their links are there" bash -c '
    cd /etc/systemd/system/multi-user.target.wants
    [[ -L orderflow-cache-worker.service && -L orderflow-consumer@1.service ]]
  '
  expect "it is removed" dpkg --remove orderflow
  expect "no program and no unit is left" bash -c '
    ! compgen -G "/usr/lib/orderflow" && ! compgen -G "/usr/bin/orderflow-*" &&
      ! compgen -G "/usr/lib/systemd/system/orderflow-*"
  '
  expect "settings, passwords and ledgers are kept" bash -c '
    [[ -e /etc/orderflow/orderflow.env && -e /etc/credstore/orderflow.POSTGRES_PASSWORD ]] &&
      [[ -e /var/lib/orderflow/runs/r/run.json ]]
  '
  expect "it is purged" dpkg --purge orderflow
  expect "nothing is left" bash -c '! find /etc /var/lib -name "*orderflow*" -not -path "/var/lib/dpkg/*" | grep .'
}
