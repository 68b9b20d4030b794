"""suite: the parts of the conformance runner (../run).

    cases       reads the case files, expands payloads and tables
    wire        frames and handshakes, octet by octet, both roles; a reader that forgives nothing
    link        one TCP connection, plain or TLS
    deflate     permessage-deflate: parameters, compressing, inflating, data to compress
    play        performs one case on one connection and notes what came back
    grades      judges what came back
    handshakes  the opening handshake, well and badly done
    peer        the program under test: started, watched, stopped
    report      the table

Nothing here uses the project's own code, so that a mistake is not made twice.

SPDX-License-Identifier: Apache-2.0
"""
