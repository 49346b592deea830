# shellcheck shell=bash
# The image of all programs, and the images that it and compose.yaml are based on.

# Images of public names are made unasked only in an engine that this script has started.
choose_base_images() {
  if [[ -z $STAND_INS ]] && ! timeout 120 docker pull --quiet "$(compose_image REDIS_IMAGE)" > /dev/null 2>&1; then
    [[ -n $ENGINE_PID ]] || die "no registry of images answers. With --stand-ins, the base images that are missing" \
      "are made here, and stay in your Docker engine under their public names"
    say image "no registry answers: the base images are made here"
    STAND_INS=yes
  fi
  [[ -n $STAND_INS ]] || return 0
  step "stand-ins of the base images"
  make_stand_ins
}

# Builds the image, and once more with a change in one crate: its dependencies must not be built again.
build_twice() {
  local changed=$STATE/changed first second
  first=$(build_image "$ROOT" "$IMAGE")
  say image "$IMAGE: $(( $(docker image inspect --format '{{.Size}}' "$IMAGE") / 1000000 )) MB, built in $first s"
  rm -rf "$changed"
  mkdir "$changed"
  # With the modes of the files: they are part of what a builder compares.
  git -C "$ROOT" ls-files -z --cached --others --exclude-standard |
    (cd "$ROOT" && xargs -0 cp --parents --preserve=mode -t "$changed")
  echo '// changed' >> "$changed/producer/src/lib.rs"
  second=$(build_image "$changed" "$IMAGE-changed")
  rm -rf "$changed"
  docker image rm "$IMAGE-changed" > /dev/null
  say image "built in $second s after a change in one crate"
  awk -v first="$first" -v second="$second" 'BEGIN { exit !(second * 3 < first) }' ||
    echo "$ME: the second build took more than a third of the first. If that one used the cache of an earlier build," \
      "this says nothing" >&2
}

build_image() { # FOLDER TAG → seconds
  local start=${EPOCHREALTIME/./}
  docker build ${STAND_INS:+--network host} --file "$1/deploy/Dockerfile" --tag "$2" "$1" > "$STATE/build.log" 2>&1 ||
    { tail -n 30 "$STATE/build.log" >&2; die "the build failed: see $STATE/build.log"; }
  seconds_since "$start"
}
