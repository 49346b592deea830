# shellcheck shell=bash
# The Cargo tools that deploy/package needs, each built once.

readonly CARGO_DEB_VERSION=3.8.0 CARGO_DENY_VERSION=0.20.2

# Builds a tool in a temporary folder that is renamed at the end, so that an interrupted build is never used.
install_cargo_tool() { # NAME VERSION
  local folder=$CACHE/$1-$2 log=$CACHE/$1.log start=${EPOCHREALTIME/./}
  [[ ! -x $folder/bin/$1 ]] || return 0
  mkdir -p "$CACHE"
  (
    exec {lock}> "$CACHE/$1.lock"
    flock "$lock"
    if [[ -x $folder/bin/$1 ]]; then exit; fi
    say "$1" "building it with Cargo, once (some minutes)"
    rm -rf "$folder.part"
    cd "$ROOT" # rust-toolchain.toml selects the version of Rust
    # Not in the folder of the build, whose profile and features would be others.
    CARGO_TARGET_DIR=$folder.part/target cargo install --quiet --locked --version "$2" --root "$folder.part" "$1" \
      > "$log" 2>&1
    rm -rf "$folder.part/target"
    mv "$folder.part" "$folder"
    say "$1" "built in $folder ($(seconds_since "$start") s)"
  ) || {
    tail -n 5 "$log" >&2
    die "$1 can't be built: see $log"
  }
}
