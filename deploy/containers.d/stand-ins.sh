# shellcheck shell=bash
# Images with the names of the public ones, made of Debian packages, the jars of Maven Central and the toolchain of this
# machine. For a machine that reaches no registry: they have the same entry points and variables, so that compose.yaml
# and the Dockerfile are tested as they are. They contain the CA certificates of this machine: never publish them.

readonly DEBIAN=bookworm DEBIAN_MIRROR=http://deb.debian.org/debian
# The label of a stand-in has the hash of what it was made of.
readonly STAND_IN_LABEL=orderflow.stand-in

# Makes each image that is missing, or that is a stand-in made of other files. A public image stays.
make_stand_ins() {
  stand_in_debian
  stand_in_folder "$(compose_image REDIS_IMAGE)" redis
  stand_in_folder "$(compose_image POSTGRES_IMAGE)" postgres
  stand_in_kafka "$(compose_image KAFKA_IMAGE)"
  stand_in_rust "$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' "$DEPLOY/Dockerfile")"
}

# The default of a variable in compose.yaml.
compose_image() { # VARIABLE
  sed -n "s/.*image: \${$1:-\(.*\)}\$/\1/p" "$DEPLOY/compose.yaml" | head -n 1
}

# The hash of a folder of stand-ins, of the Debian that all are based on, and of what else the image is made of.
content_hash() { # FOLDER TEXT...
  local folder=$DEPLOY/containers.d/stand-ins
  {
    find "$folder/$1" "$folder/debian" -type f -print0 | sort -z | xargs -0 cat
    declare -f stand_in_debian
    printf '%s\n' "${@:2}"
  } | sha256sum | cut -c1-12
}

is_current() { # IMAGE HASH
  local label
  label=$(docker image inspect --format "{{index .Config.Labels \"$STAND_IN_LABEL\"}}" "$1" 2> /dev/null) || return 1
  [[ -z $label || $label == "$2" ]]
}

build_stand_in() { # IMAGE HASH CONTEXT
  local start=${EPOCHREALTIME/./}
  docker build --network host --quiet --label "$STAND_IN_LABEL=$2" --tag "$1" "$3" > /dev/null
  say image "$1 ($(seconds_since "$start") s)"
}

stand_in_folder() { # IMAGE FOLDER
  local hash
  hash=$(content_hash "$2")
  is_current "$1" "$hash" || build_stand_in "$1" "$hash" "$DEPLOY/containers.d/stand-ins/$2"
}

stand_in_debian() {
  local start=${EPOCHREALTIME/./} root=$STATE/debian hash
  hash=$(content_hash debian)
  if is_current "debian:$DEBIAN-slim" "$hash"; then return; fi
  command -v debootstrap > /dev/null || install_packages debootstrap
  rm -rf "$root"
  debootstrap --variant=minbase "$DEBIAN" "$root" "$DEBIAN_MIRROR" > "$STATE/debootstrap.log" 2>&1 ||
    die "debootstrap failed: see $STATE/debootstrap.log"
  printf 'deb %s %s main\ndeb %s %s-updates main\ndeb %s-security %s-security main\n' "$DEBIAN_MIRROR" "$DEBIAN" \
    "$DEBIAN_MIRROR" "$DEBIAN" "$DEBIAN_MIRROR" "$DEBIAN" > "$root/etc/apt/sources.list"
  # A build may reach the registries of packages through a proxy that has a CA of its own.
  mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2> /dev/null || true
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
  cp "$DEPLOY/containers.d/stand-ins/debian/docker-clean" "$root/etc/apt/apt.conf.d/"
  tar -C "$root" -c . |
    docker import --change 'CMD ["bash"]' --change "LABEL $STAND_IN_LABEL=$hash" - "debian:$DEBIAN-slim" > /dev/null
  rm -rf "$root"
  say image "debian:$DEBIAN-slim ($(seconds_since "$start") s)"
}

stand_in_kafka() { # IMAGE
  local context=$STATE/kafka-context hash
  if ! find_jars; then
    command -v mvn > /dev/null || install_packages maven
    fetch_jars
  fi
  hash=$(content_hash kafka "${JARS##*/}" "$KAFKA_TOOLS" "$(declare -f kafka_image_files)")
  if is_current "$1" "$hash"; then return; fi
  rm -rf "$context"
  cp -r "$DEPLOY/containers.d/stand-ins/kafka" "$context"
  cp -r "$JARS" "$context/jars"
  kafka_image_files "$context/docker"
  build_stand_in "$1" "$hash" "$context"
  rm -rf "$context"
}

stand_in_rust() { # IMAGE
  local context=$STATE/rust-context sysroot hash
  command -v rustc > /dev/null ||
    die "$1 is made of the Rust toolchain of this machine, which is missing: install it (https://rustup.rs)"
  hash=$(cd "$ROOT" && content_hash rust "$(rustc --version --verbose)")
  if is_current "$1" "$hash"; then return; fi
  sysroot=$(cd "$ROOT" && rustc --print sysroot)
  rm -rf "$context"
  cp -r "$DEPLOY/containers.d/stand-ins/rust" "$context"
  mkdir "$context/toolchain"
  cp -r "$sysroot/bin" "$sysroot/lib" "$context/toolchain/"
  build_stand_in "$1" "$hash" "$context"
  rm -rf "$context"
}

# The files of the public image that the variables are merged into, and its tools.
kafka_image_files() { # FOLDER
  local tool class
  mkdir "$1/bin"
  while read -r tool class; do
    [[ -n $tool ]] || continue
    # shellcheck disable=SC2016 # expanded in the container
    printf '#!/bin/bash\nexec java ${KAFKA_HEAP_OPTS:--Xmx256m} %s -cp "/opt/kafka/libs/*" %s "$@"\n' \
      "-XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=/etc/kafka/docker/tools-log4j2.yaml" "$class" \
      > "$1/bin/$tool.sh"
  done <<< "$KAFKA_TOOLS"
  chmod 755 "$1"/bin/*.sh
  printf 'log.dirs=/var/lib/kafka/data\n' > "$1/server.properties"
  cat > "$1/log4j2.yaml" << 'END'
Configuration:
  Properties:
    Property: []
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "[%d] %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: STDOUT
    Logger: []
END
  cp "$1/log4j2.yaml" "$1/tools-log4j2.yaml"
}
