# shellcheck shell=bash
# Images with the names of the public ones, made of Debian packages, the jars of Maven Central and the toolchain of this
# machine. For a machine that reaches no registry: they have the same entry points and variables, so that compose.yaml
# and the Dockerfile are tested as they are. They contain the CA certificates of this machine: never publish them.

readonly DEBIAN=bookworm DEBIAN_MIRROR=http://deb.debian.org/debian

has_image() { docker image inspect "$1" > /dev/null 2>&1; }

# Makes each image that is missing.
make_stand_ins() {
  local rust postgres kafka redis
  rust=$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' "$DEPLOY/Dockerfile")
  postgres=$(compose_image POSTGRES_IMAGE) kafka=$(compose_image KAFKA_IMAGE) redis=$(compose_image REDIS_IMAGE)
  has_image "debian:$DEBIAN-slim" || stand_in_debian
  has_image "$redis" || stand_in "$redis" redis
  has_image "$postgres" || stand_in "$postgres" postgres
  has_image "$kafka" || stand_in_kafka "$kafka"
  has_image "$rust" || stand_in_rust "$rust"
}

# The default of a variable in compose.yaml.
compose_image() { # VARIABLE
  sed -n "s/.*image: \${$1:-\(.*\)}\$/\1/p" "$DEPLOY/compose.yaml" | head -n 1
}

stand_in() { # IMAGE FOLDER [CONTEXT]
  local start=${EPOCHREALTIME/./} context=${3:-$DEPLOY/containers.d/stand-ins/$2}
  DOCKER_BUILDKIT=1 docker build --network host --quiet --tag "$1" "$context" > /dev/null
  say image "$1 ($(seconds_since "$start") s)"
}

stand_in_debian() {
  local start=${EPOCHREALTIME/./} root=$STATE/debian
  rm -rf "$root"
  debootstrap --variant=minbase "$DEBIAN" "$root" "$DEBIAN_MIRROR" > "$STATE/debootstrap.log" 2>&1 ||
    die "debootstrap failed: see $STATE/debootstrap.log"
  printf 'deb %s %s main\ndeb %s %s-updates main\ndeb %s-security %s-security main\n' "$DEBIAN_MIRROR" "$DEBIAN" \
    "$DEBIAN_MIRROR" "$DEBIAN" "$DEBIAN_MIRROR" "$DEBIAN" > "$root/etc/apt/sources.list"
  # A build may reach the registries of packages through a proxy that has a CA of its own.
  mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2> /dev/null || true
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "debian:$DEBIAN-slim" > /dev/null
  rm -rf "$root"
  say image "debian:$DEBIAN-slim ($(seconds_since "$start") s)"
}

stand_in_kafka() { # IMAGE
  local context=$STATE/kafka-context
  find_jars || fetch_jars
  rm -rf "$context"
  cp -r "$DEPLOY/containers.d/stand-ins/kafka" "$context"
  cp -r "$JARS" "$context/jars"
  kafka_image_files "$context/docker"
  stand_in "$1" kafka "$context"
  rm -rf "$context"
}

stand_in_rust() { # IMAGE
  local context=$STATE/rust-context sysroot
  sysroot=$(cd "$ROOT" && rustc --print sysroot)
  rm -rf "$context"
  cp -r "$DEPLOY/containers.d/stand-ins/rust" "$context"
  mkdir "$context/toolchain"
  cp -r "$sysroot/bin" "$sysroot/lib" "$context/toolchain/"
  stand_in "$1" rust "$context"
  rm -rf "$context"
}

# The files of the public image that the variables are merged into. The tools of Kafka are not part of the stand-in.
kafka_image_files() { # FOLDER
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
