# Sourced by the other scripts, from the root of the repository: fills .venv with the packages of
# requirements/*.lock, hash by hash, and installs the project itself as an editable package.
#
#     set_up run    what the program needs
#     set_up dev    and what its tests and checks need
#
# Nothing happens while .venv/set-up says that this was done. It is removed before anything changes, so an
# interrupted setup starts anew. Two scripts at once take turns.

say() { printf '%s\n' "$*" >&2; }

set_up() {
    _is_set_up "$1" && return
    _python=$(find_python) || exit 2
    exec 9<requirements/run.lock
    "$_python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' # the shell keeps it, its end releases it
    if ! _is_set_up "$1"; then
        say "setting up .venv (once, about a minute)"
        case $(_note) in
            "run $(_state)") rm .venv/set-up ;; # the same packages, and some more
            *)
                rm -f .venv/set-up
                "$_python" -m venv --clear .venv
                ;;
        esac
        _pip --only-binary :all: --require-hashes -r "requirements/$1.lock"
        say "  packages installed"
        _pip --no-deps --no-build-isolation -e .
        printf '%s %s\n' "$1" "$(_state)" >.venv/set-up
        say "  ready"
    fi
    exec 9<&-
}

_pip() { .venv/bin/python -m pip install -qq --no-input --disable-pip-version-check "$@"; }

_note() { cat .venv/set-up 2>/dev/null || true; }

_is_set_up() {
    case $(_note) in
        "$1 $(_state)" | "dev $(_state)") return 0 ;;
        *) return 1 ;;
    esac
}

# Where the environment is, its Python, and what the locks say: if one of them changes, it is made anew.
_state() {
    printf '%s %s %s' "$PWD" "$(.venv/bin/python -V 2>&1)" "$(cat requirements/*.lock | cksum)"
}

find_python() {
    _without_venv=
    for _candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        "$_candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$_candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$_candidate"
            return
        fi
        _without_venv=${_without_venv:-${_candidate##*/}}
    done
    if [ -n "$_without_venv" ]; then
        say "$_without_venv cannot make virtual environments: install the package $_without_venv-venv" \
            "(Debian, Ubuntu: apt-get install $_without_venv-venv)."
    else
        say "Python 3.11 or newer is needed; found $(python3 -V 2>/dev/null || echo none)." \
            "Install it (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: PYTHON=/path/to/python3"
    fi
    return 1
}
