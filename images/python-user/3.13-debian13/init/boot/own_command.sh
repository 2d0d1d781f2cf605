#!/bin/sh
# A command of the image's Python, run in the environment that a user has upon it (own_python.py), where this is linked as it.
exec "${0%/*}/python" "/opt/python/bin/${0##*/}" "$@"
