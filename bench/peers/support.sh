# support.sh: what the run scripts of the peers share.
#
# A run script takes ROLE PORT OVER: `echo` sends every message back, `serve` is a feed (POST to
# /topics/NAME publishes the body as one binary message to every WebSocket on /topics/NAME), and
# `build` compiles and looks for what is needed. OVER is plain, tls, plain+deflate or tls+deflate.
# 77 says that it cannot, its last line why.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

here=$(cd "$(dirname "$0")" && pwd)
built=$here/../build/$(basename "$here")
over=${3:-plain}
certificate=
key=

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

# can WORD...: skips when OVER asks for more than plain and these words (tls, deflate).
can() {
    local word
    for word in ${over//+/ }; do
        [[ " plain $* " == *" $word "* ]] || skip "not written for $word"
    done
}

# Makes a throw-away certificate as our own server has it (ECDSA P-256): $certificate and $key.
certificate() {
    need openssl openssl
    certificate=$here/../build/certificate.pem
    key=$here/../build/key.pem
    [ -s "$certificate" ] && [ -s "$key" ] && return
    mkdir -p "$here/../build"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
        -keyout "$key" -out "$certificate" 2>/dev/null
}
