# shellcheck shell=sh
# What tests/run and examples/quickstart need before anything can run. To be sourced by a POSIX shell
# whose working directory is the checkout:
#
#     need_packages NAME...         Debian packages, installed if this is root
#     make_venv DIR REQUIREMENT...  a virtual environment with these requirements, worked on only when
#                                   they, pyproject.toml or the Python have changed

# Debian's own, because python3-gdbm is made for it.
PYTHON=/usr/bin/python3

# What the filter itself needs; tests/run adds to it.
# shellcheck disable=SC2034  # for those that source this
FILTER_PACKAGES="python3 python3-venv python3-gdbm ca-certificates"

need_packages() {
    missing=
    for name in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
            installed) ;;
            *) missing="$missing $name" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "Some packages are missing. Run this first, as root:" >&2
        echo "    apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    echo "installing$missing"
    # shellcheck disable=SC2086  # the names are to be split
    if ! said=$(install_packages $missing 2>&1 </dev/null); then
        printf '%s\n' "$said" >&2
        echo "could not be installed:$missing" >&2
        exit 1
    fi
}

# In a subshell, for the sake of its trap.
install_packages() (
    # Packages must not start the daemons they bring. An administrator's own policy is left alone.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    export DEBIAN_FRONTEND=noninteractive
    # --no-remove: rather stop than take away the syslog daemon that rsyslog conflicts with.
    apt-get -q -o DPkg::Lock::Timeout=600 update &&
        apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends --no-remove install "$@"
)

make_venv() {
    venv=$1
    shift
    wanted=$({ cat pyproject.toml; echo "$PWD" "$@"; "$PYTHON" -VV; } | sha256sum)
    if [ "$wanted" = "$(cat "$venv/prepared" 2>/dev/null)" ]; then
        return 0
    fi
    echo "making $venv"
    "$PYTHON" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --no-input --disable-pip-version-check "$@" </dev/null
    printf '%s\n' "$wanted" >"$venv/prepared"
}
