# What the scripts share: installing what is missing, building, and an edge that ends with the script.
# Sourced from the repository's root, by scripts that have `set -euo pipefail`.
# shellcheck shell=bash

step() { printf '\n==> %s\n' "$*"; }

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# apt_install PACKAGE…: by apt-get, where there is one.
apt_install() {
    command -v apt-get >/dev/null || fail "please install: $*"
    step "installing $*"
    local as_root="env"
    [ "$(id -u)" = 0 ] || as_root="sudo"
    "$as_root" apt-get update -qq >/dev/null 2>&1 || true
    "$as_root" apt-get install -y -qq "$@" >/dev/null 2>&1 || fail "apt-get could not install: $*"
}

# need COMMAND…: installs those that are missing; a package is named like its command, but for these few.
need() {
    local command missing=()
    for command in "$@"; do
        command -v "$command" >/dev/null && continue
        case $command in
            h2load) missing+=(nghttp2-client) ;;
            bwrap) missing+=(bubblewrap) ;;
            systemd-analyze) missing+=(systemd) ;;
            *) missing+=("$command") ;;
        esac
    done
    [ "${#missing[@]}" -eq 0 ] || apt_install "${missing[@]}"
}

# Builds both programs; sets `compiler` and `edge` to their paths.
build_programs() {
    step "building both programs: cargo build --release --locked"
    cargo build --release --locked
    # shellcheck disable=SC2034  # for the scripts that source this file
    compiler="${CARGO_TARGET_DIR:-target}/release/agent-releases"
    edge="${CARGO_TARGET_DIR:-target}/release/agent-releases-edge"
}

# serve FOLDER ADDRESS ARGUMENT…: starts the edge, which keeps its output in FOLDER; sets `base` once it answers.
serve() {
    local folder=$1 address=$2
    shift 2
    "$edge" --listen "$address" "$@" >"$folder/edge.out" 2>"$folder/edge.log" &
    edge_pid=$!
    local _
    for _ in {1..100}; do
        base=$(sed -n 's/^listening on //p' "$folder/edge.out")
        [ -z "$base" ] || return 0
        kill -0 "$edge_pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$folder/edge.log" >&2
    fail "the edge did not start on $address"
}

stop_edge() {
    [ -n "$edge_pid" ] || return 0
    kill "$edge_pid" 2>/dev/null || true
    wait "$edge_pid" 2>/dev/null || true
    edge_pid=
}

edge_pid=
trap stop_edge EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
