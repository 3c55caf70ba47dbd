#!/usr/bin/env bash
# Run the tests on both ends of what memoalg supports, each in its own fresh environment:
#   old   Python 3.11, jax 0.10.2, gymnax
#   new   the newest Python from 3.12 on, the newest jax, no gymnax (gymnax 1.0 holds jax below 0.12)
#
# usage: tests/matrix.sh [old|new] [pytest arguments]      e.g.  tests/matrix.sh new tests/scans -x
# uv is used where it is on the path; otherwise python3.N from the path or from pyenv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

columns="old new"
case "${1:-}" in old | new) columns=$1; shift ;; esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The first of the given minor versions that is there and can make an environment.
find_python() {
    local version candidate
    for version in "$@"; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python; do
            if "$candidate" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
                printf '%s\n' "$candidate"
                return
            fi
        done
    done
    return 1
}

make_environment() { # folder, minor versions...
    local folder=$1 python
    shift
    if command -v uv >/dev/null; then
        local version
        for version in "$@"; do
            uv venv --quiet --seed --python "$version" "$folder" && return
        done
    fi
    python=$(find_python "$@") || { echo "no Python of $* was found: install one, or uv" >&2; return 1; }
    "$python" -m venv "$folder"
}

run_column() { # name
    local environment=$scratch/$1
    case $1 in
    old)
        make_environment "$environment" 3.11
        "$environment/bin/python" -m pip install -q -e '.[test,gymnax]' 'jax==0.10.2' 'jaxlib==0.10.2'
        ;;
    new)
        make_environment "$environment" 3.14 3.13 3.12
        "$environment/bin/python" -m pip install -q -e '.[test]' 'jax>=0.12'
        ;;
    esac
    shift
    "$environment/bin/python" - <<'EOF'
import importlib.metadata as metadata, sys
names = ["jax", "jaxlib", "equinox", "optax", "jaxtyping", "beartype", "numpy"]
print("Python", sys.version.split()[0], *(f"{name} {metadata.version(name)}" for name in names))
EOF
    "$environment/bin/python" -m pytest -n 2 --dist worksteal "$@"
}

failed=""
for column in $columns; do
    echo "== $column"
    # The column runs in its own shell: there, as everywhere, the first failing command ends it.
    (set -e; run_column "$column" "$@") &
    wait $! || failed="$failed $column"
done
[ -z "$failed" ] || { echo "FAILED:$failed" >&2; exit 1; }
echo "PASSED: $columns"
