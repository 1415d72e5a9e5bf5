# shellcheck shell=bash
# Debian releases in folders, made by debootstrap, to build and test in. Sourced.
#
#   make_debian RELEASE FOLDER     makes that release, with apt, make and nothing more; a folder that has it already is used as it is.
#                                  "experimental" is not a whole release: it is sid, with additional packages from experimental
#   in_debian FOLDER COMMAND…      runs the command there, as root. It has its own mounts and processes, which end with it:
#                                  so a folder may be removed at any time, and nothing keeps running.
#
# The packages come from where apt on this machine gets them. Nothing outside the folder is changed.

# Says why it cannot run, and ends the script as skipped.
skip_debian() {
    printf 'SKIPPED: %s\n' "$@"
    exit 77
}

need_debian() {
    ((EUID == 0)) || skip_debian "only root can make a Debian in a folder."
    command -v apt-get >/dev/null || skip_debian "this is no Debian, so there is no debootstrap."
    scripts/install-packages debootstrap || skip_debian "debootstrap could not be installed."
    unshare --mount --pid --ipc --fork true 2>/dev/null || skip_debian "no mounts of one's own are allowed here."
}

# The addresses of Debian's packages, as "CODENAME ADDRESS", one per line: the release, and its updates.
debian_addresses() {
    # shellcheck disable=SC2016 # apt-get replaces them
    apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u
}

make_debian() {
    local release=${1/experimental/sid} root=$2 here addresses mirror log=$2.log script=()
    [[ ! -e $root/etc/complete ]] || return 0
    addresses=$(debian_addresses)
    if [[ ! $addresses ]]; then
        apt-get update >/dev/null 2>&1 || skip_debian "apt-get update does not work."
        addresses=$(debian_addresses)
    fi
    here=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(sed -n "s/^$here //p" <<<"$addresses" | head -1)
    [[ $mirror ]] || skip_debian "apt knows no packages of Debian $here."

    # An older debootstrap does not know the names of newer releases, but all are made the same way.
    [[ -e /usr/share/debootstrap/scripts/$release ]] || script=(/usr/share/debootstrap/scripts/sid)
    echo "Making a Debian $release in $root …"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=make "$release" "$root" "$mirror" "${script[@]}" >"$log" 2>&1 || {
        tail -n 5 "$log"
        rm -rf "$root"
        skip_debian "debootstrap has failed; see $log"
    }
    if [[ $release == sid ]]; then # which has no updates
        echo "deb $mirror sid main" >"$root/etc/apt/sources.list"
    else
        sed -n "s/^$here\(\S*\) \(\S*\)$/deb \2 $release\1 main/p" <<<"$addresses" >"$root/etc/apt/sources.list"
    fi
    if [[ $1 == experimental ]]; then # apt takes from there only the packages it is told to, and not their dependencies
        echo "deb $mirror experimental main" >>"$root/etc/apt/sources.list"
        printf '%s\n' 'Package: postgresql-* libpq* libecpg* libpgtypes*' 'Pin: release a=experimental' 'Pin-Priority: 500' \
            >"$root/etc/apt/preferences.d/experimental"
    fi
    apt-config dump | grep -E '^Acquire::(http|https|Check-[A-Za-z-]*)(::Proxy)? ' >"$root/etc/apt/apt.conf.d/90host" || true
    touch "$root/etc/complete"
}

in_debian() {
    local root=$1 name environment=()
    shift
    # What a package registry's client needs to reach the network from here.
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
        [[ -z ${!name:-} ]] || environment+=("$name=${!name}")
    done
    if [[ -r ${NODE_EXTRA_CA_CERTS:-} ]]; then
        cp -L "$NODE_EXTRA_CA_CERTS" "$root/etc/host-ca.crt"
        environment+=(NODE_EXTRA_CA_CERTS=/etc/host-ca.crt)
    fi
    # Only SIGKILL ends unshare, which gets it when the caller is gone.
    # shellcheck disable=SC2016 # for the inner shell
    setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --kill-child --propagation private bash -c '
        set -e
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
        exec chroot "$root" env -i "$@"' in_debian "$root" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" \
        "${environment[@]}" "$@" </dev/null
}
