#!/bin/sh
# Builds the runtime in whose folder this is called, and packs it for other hosts as
# /tmp/runtime-deployments/NAME-runtime.zip (DEPLOYMENTS names another folder).
#
# It asks a daemon of this host, by `rnx` or, in a checkout, by `./dev rnx`; nothing is installed on the host
# itself. A tree brings its own distribution along, so it is the same on whatever host it is built: called by a
# name such as setup-rhel-amd64.sh it does nothing else, but refuses a host of another kind.
set -eu

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

folder=$(cd "$(dirname "$0")" && pwd)
specification=$folder/runtime.yaml
[ -e "$specification" ] || die "there is no runtime.yaml beside it; call the script in the folder of a runtime"
name=$(sed -n 's/^name: *"\{0,1\}\([a-z0-9.-]*\).*/\1/p' "$specification")
deployments=${DEPLOYMENTS:-/tmp/runtime-deployments}

# The family of this host, as those names call it.
family() {
  # shellcheck disable=SC1091
  . "${OS_RELEASE:-/etc/os-release}"
  for word in $ID ${ID_LIKE-}; do
    case $word in
      ubuntu | debian) echo ubuntu; return ;;
      amzn) echo amzn; return ;;
      rhel | centos | fedora) echo rhel; return ;;
    esac
  done
  echo "$ID"
}

architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
  esac
}

case ${0##*/} in
  setup-*-*.sh)
    here=$(family)-$(architecture)
    [ "${0##*/}" = "setup-$here.sh" ] || die "this host is $here; call setup-$here.sh, which makes the same runtime"
    ;;
esac

checkout=$(readlink -f "$0")
checkout=${checkout%/runtimes/*}
if command -v rnx >/dev/null; then
  set -- rnx
elif [ -x "$checkout/dev" ]; then
  set -- "$checkout/dev" rnx
else
  die 'there is no rnx on this host; install Joblet, or call this in a checkout of it'
fi

"$@" runtime build --force "$folder"
mkdir -p "$deployments"
"$@" runtime pack --output="$deployments/$name-runtime.zip" "$name"
printf 'Creates: %s\n' "$deployments/$name-runtime.zip"
