# shellcheck shell=bash
# Login shells: the settings the container was started with, and what it has to offer.
# shellcheck source=common/init/profile/environment.sh
. /init/profile/environment.sh
case $- in
    *i*) if [ -t 1 ] && [ -z "${BANNER_SHOWN:-}" ]; then BANNER_SHOWN=1 /init/boot/banner.sh; fi ;;
esac
