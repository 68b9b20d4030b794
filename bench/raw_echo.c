/* raw_echo.c: the bare TCP echo's command line. Its engines: raw_echo_epoll.c, raw_echo_uring.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_echo.h"

#include <string.h>

int main(int argc, char **argv)
{
    const char *engine = "epoll";
    struct raw_echo_options echo = {.port = 8080,
                                    .in_bytes = 1,
                                    .out_bytes = 1,
                                    .receive_bytes = RAW_ECHO_RECEIVE_BYTES,
                                    .ring = RAW_RING_DEFAULTS};
    const struct bench_option options[] = {
        BENCH_TEXT("engine", &engine, "epoll or uring"),
        BENCH_NUMBER("port", &echo.port, 1, 65535, "where to listen on 127.0.0.1"),
        BENCH_NUMBER("in", &echo.in_bytes, 1, 1u << 30, "bytes of a message as it comes"),
        BENCH_NUMBER("out", &echo.out_bytes, 1, 1u << 30, "bytes of its reply, no more than --in"),
        BENCH_NUMBER("receive", &echo.receive_bytes, 1, 1u << 30, "epoll: bytes of a recv at most"),
        BENCH_FLAG("edge", &echo.edge, "epoll: edge-triggered"),
        BENCH_FLAG("whole", &echo.whole,
                   "epoll: answers a message once it is whole, not its parts"),
        RAW_RING_OPTIONS(&echo.ring),
        BENCH_OPTIONS_END,
    };
    bench_options_read(argc, argv, options, "a bare TCP echo, the ceiling of echo servers");
    if (echo.out_bytes > echo.in_bytes)
        bench_die("--out must not be more than --in");
    if (echo.whole && (strcmp(engine, "epoll") != 0 || echo.edge))
        bench_die("--whole is for --engine epoll without --edge");
    if (strcmp(engine, "epoll") == 0)
        raw_echo_epoll(&echo);
    else if (strcmp(engine, "uring") == 0)
        raw_echo_uring(&echo);
    else
        bench_die("--engine is epoll or uring");
    return 0;
}
