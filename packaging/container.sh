#!/bin/sh
# Makes the archive on the first start, and hands over to the program.
set -eu
test -e "$TIMEMARK_ARCHIVE/timemark-archive" || timemark init
exec timemark "$@"
