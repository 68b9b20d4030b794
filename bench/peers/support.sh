# support.sh: what the run scripts of the peers share.
#
# A run script takes ROLE PORT: `echo PORT` sends every message back, `serve PORT` is a feed (POST to
# /topics/NAME publishes the body as one binary message to every WebSocket on /topics/NAME), and
# `build` compiles and looks for what is needed. 77 says that it cannot, its last line why.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

here=$(cd "$(dirname "$0")" && pwd)
built=$here/../build/$(basename "$here")

skip() {
    echo "$(basename "$here"): $*"
    exit 77
}

need() {
    command -v "$1" >/dev/null || skip "$1 is not installed (apt-get install $2)"
}

# compile SOURCE COMMAND...: runs the command unless what it makes is newer than the source.
compile() {
    local source=$1
    shift
    [ "$built" -nt "$source" ] && return
    mkdir -p "$(dirname "$built")"
    "$@" || exit 1
}
