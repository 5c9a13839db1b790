#!/bin/sh
# Sets Joinlog up in .venv with nothing but a Python and a package index: `make` calls this.
#
#   sh bootstrap.sh          .venv, with a Python of 3.11 to 3.14: $PYTHON if it is one, else one that uv finds or fetches
#   sh bootstrap.sh matrix   the tests on every such Python that is found here, each in a folder of its own
#
# uv installs exactly what uv.lock names, and compiles it, or each start might have to. It comes from the package index
# into .bootstrap, as bootstrap.txt has it.
set -eu
PYTHON=${PYTHON:-python3}
UV=.bootstrap/bin/uv
VERSIONS='3.14 3.13 3.12 3.11' # what pyproject.toml admits and CI tests

end() {
    echo "joinlog: $*" >&2
    exit 1
}

# pyenv's own commands answer for the chosen version only: the others are looked up where it keeps them.
for folder in "${PYENV_ROOT:-${HOME:-/}/.pyenv}"/versions/3.1[1-4]*/bin; do
    if [ -d "$folder" ]; then PATH="$PATH:$folder"; fi
done
export PATH

# Whether a Python is one that Joinlog runs on.
suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

# uv, into .bootstrap; with any Python that pip's package of it can be installed with.
fetch_uv() {
    if [ -x "$UV" ] && [ "$UV" -nt bootstrap.txt ]; then return; fi
    command -v "$PYTHON" >/dev/null || end "there is no $PYTHON on PATH. Install one of Python 3.11 to 3.14, or name it:" \
        "make PYTHON=/usr/bin/python3.12 ${GOAL:-run}"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null ||
        end "$PYTHON is $("$PYTHON" --version 2>&1), too old to fetch a newer one with. Install one of Python 3.11 to 3.14," \
            "or name it: make PYTHON=/usr/bin/python3.12 ${GOAL:-run}"
    "$PYTHON" -m venv --clear .bootstrap >.bootstrap.log 2>&1 ||
        end "$PYTHON cannot make a virtual environment: $(tail -n 1 .bootstrap.log). On Debian and Ubuntu this brings" \
            "what it lacks: apt-get install python3-venv"
    rm -f .bootstrap.log
    .bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
        -r bootstrap.txt ||
        end "uv, which sets Joinlog up, could not be fetched from the package index; pip says why above. Behind a proxy" \
            "set HTTPS_PROXY, for another index PIP_INDEX_URL, and try again: make ${GOAL:-run}"
    touch "$UV"
}

# First with the certificates of this machine, which know a company's proxy, then with those that uv brings along.
uv() {
    UV_SYSTEM_CERTS=1 "$UV" "$@" || "$UV" "$@"
}

install() {
    fetch_uv
    if suits "$PYTHON"; then
        python=$("$PYTHON" -c 'import sys; print(sys.executable)')
    else
        echo "$PYTHON is $("$PYTHON" --version 2>&1), and Joinlog needs 3.11 to 3.14: looking for another one ..." >&2
        python=$(find_python) ||
            end "$PYTHON is $("$PYTHON" --version 2>&1), Joinlog needs Python 3.11 to 3.14, and none could be found here or" \
                "downloaded. Install one (apt-get install python3, brew install python@3.13), or name it:" \
                "make PYTHON=/usr/bin/python3.12 ${GOAL:-run}"
    fi
    uv sync --quiet --frozen --compile-bytecode --python "$python" ||
        end "what uv.lock names could not be installed; uv says why above. Then try again: make ${GOAL:-run}"
    touch .venv/.ready
}

# A Python that suits: found on PATH, by pyenv or by uv, else downloaded by uv.
find_python() {
    "$UV" python find --no-python-downloads '>=3.11,<3.15' 2>/dev/null && return
    "$UV" python install --quiet 3.13 >&2 && "$UV" python find --no-python-downloads 3.13
}

matrix() {
    fetch_uv
    tested='' failed=''
    for version in $VERSIONS; do
        python=$("$UV" python find --no-python-downloads --no-project "$version" 2>/dev/null) || continue
        suits "$python" || continue
        echo "== Python $version ($python)"
        export UV_PROJECT_ENVIRONMENT=".venv-matrix/$version"
        uv sync --quiet --frozen --compile-bytecode --python "$python" || { failed="$failed $version"; continue; }
        # shellcheck disable=SC2086 - PYTEST is a list of words
        "$UV_PROJECT_ENVIRONMENT/bin/pytest" ${PYTEST:--n 3 --dist loadgroup} && tested="$tested $version" ||
            failed="$failed $version"
    done
    missing=''
    for version in $VERSIONS; do
        case " $tested $failed " in *" $version "*) ;; *) missing="$missing $version" ;; esac
    done
    echo "passed:${tested:- none}; failed:${failed:- none}; not found here:${missing:- none}${missing:+ (uv python install$missing)}"
    if [ -n "$failed" ] || [ -z "$tested" ]; then exit 1; fi
}

case ${1:-install} in
install) install ;;
matrix) matrix ;;
*) end "bootstrap.sh: install or matrix, not $1" ;;
esac
