# shellcheck shell=bash
# Login shells: the settings the container was started with, and what it has to offer.
for _run in /run/image "/tmp/image-$(id -u)"; do
    # shellcheck disable=SC1091  # written by boot.sh
    if [ -r "$_run/profile.sh" ]; then . "$_run/profile.sh"; fi
done
unset _run
case $- in
    *i*) if [ -t 1 ] && [ -z "${BANNER_SHOWN:-}" ]; then BANNER_SHOWN=1 /init/boot/banner.sh; fi ;;
esac
