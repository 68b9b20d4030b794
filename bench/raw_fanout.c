/* raw_fanout.c: the bare fan-out's command line and its datagrams. Its engines:
 * raw_fanout_epoll.c, raw_fanout_uring.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_fanout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int raw_fanout_control(const struct raw_fanout_options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        bench_die("the control socket: %s", strerror(errno));
    return fd;
}

static void cut(struct raw_fanout_burst *burst, size_t piece_bytes)
{
    size_t cut_bytes = 0;
    burst->pieces_count = 0;
    while (piece_bytes > 0 && cut_bytes < burst->bytes_count) {
        size_t left = burst->bytes_count - cut_bytes;
        size_t count = left < piece_bytes ? left : piece_bytes;
        if (burst->pieces_count == RAW_FANOUT_PIECES_MAX)
            bench_die("a datagram has more than %d pieces", RAW_FANOUT_PIECES_MAX);
        burst->pieces[burst->pieces_count++] = (struct iovec){burst->bytes + cut_bytes, count};
        cut_bytes += count;
    }
}

bool raw_fanout_next(int control, const struct raw_fanout_options *options,
                     struct raw_fanout_burst *burst_out)
{
    ssize_t received = recv(control, burst_out->bytes, sizeof(burst_out->bytes), MSG_DONTWAIT);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (received < 0)
        bench_die("the control socket: %s", strerror(errno));
    burst_out->bytes_count = (size_t)received;
    cut(burst_out, options->piece_bytes);
    return true;
}

int main(int argc, char **argv)
{
    const char *engine = "epoll";
    struct raw_fanout_options fanout = {.port = 8080, .ring = RAW_RING_DEFAULTS};
    const struct bench_option options[] = {
        BENCH_TEXT("engine", &engine, "epoll or uring"),
        BENCH_NUMBER("port", &fanout.port, 1, 65535, "TCP and UDP port on 127.0.0.1"),
        BENCH_NUMBER("pieces", &fanout.piece_bytes, 0, RAW_FANOUT_BYTES_MAX,
                     "sendmsg of pieces of so many bytes; 0: one send"),
        RAW_RING_OPTIONS(&fanout.ring),
        BENCH_OPTIONS_END,
    };
    bench_options_read(argc, argv, options, "a bare fan-out, the ceiling of feed servers");
    if (strcmp(engine, "epoll") == 0)
        raw_fanout_epoll(&fanout);
    else if (strcmp(engine, "uring") == 0)
        raw_fanout_uring(&fanout);
    else
        bench_die("--engine is epoll or uring");
    return 0;
}
