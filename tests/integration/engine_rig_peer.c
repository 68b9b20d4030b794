/* engine_rig_peer.c: the rig's peers, plain sockets, and what both sides of a rig use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/engine_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t rig_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

unsigned rig_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    MUST(folder != NULL, "%s", strerror(errno));
    unsigned count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 3; /* ".", ".." and the folder's own */
}

uint8_t rig_octet(uint32_t tag, bool upwards, uint64_t position)
{
    uint64_t seed = (uint64_t)tag * 2 + upwards;
    return (uint8_t)(seed * 37 + position * 7 + (position >> 8) * 13 + (position >> 16) * 29);
}

struct rig_peer rig_connect(struct rig *rig, int receive_buffer_bytes)
{
    struct rig_peer peer = {.echoes = rig->workers[0].echo};
    peer.fd = socket(rig->address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(peer.fd >= 0, "socket: %s", strerror(errno));
    if (receive_buffer_bytes > 0)
        MUST(setsockopt(peer.fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                        sizeof receive_buffer_bytes) == 0,
             "SO_RCVBUF: %s", strerror(errno));
    MUST(connect(peer.fd, &rig->address.at.any, rig->address.bytes) == 0, "connect: %s",
         strerror(errno));
    MUST(fcntl(peer.fd, F_SETFL, O_NONBLOCK) == 0, "fcntl: %s", strerror(errno));
    struct fw_sock_address own;
    if (!rig->options.local && fw_sock_address_bound(peer.fd, &own) == 0)
        peer.tag = ntohs(own.at.in4.sin_port);
    return peer;
}

struct rig_peer rig_open(struct rig *rig, uint32_t *slot_out)
{
    struct rig_peer peer = rig_connect(rig, 0);
    struct rig_worker *worker;
    UNTIL(rig, rig_find(rig, peer.tag, &worker, slot_out) != NULL);
    return peer;
}

size_t rig_write(struct rig_peer *peer, size_t bytes_max)
{
    uint8_t bytes[16384];
    size_t written = 0;
    while (written < bytes_max) {
        size_t count = bytes_max - written < sizeof bytes ? bytes_max - written : sizeof bytes;
        for (size_t i = 0; i < count; i++)
            bytes[i] = rig_octet(peer->tag, true, peer->written_bytes + i);
        ssize_t result = send(peer->fd, bytes, count, MSG_NOSIGNAL);
        if (result < 0) {
            if (errno != EAGAIN)
                peer->saw_error = errno;
            break;
        }
        peer->written_bytes += (uint64_t)result;
        written += (size_t)result;
    }
    return written;
}

size_t rig_read(struct rig_peer *peer, size_t bytes_max)
{
    uint8_t bytes[16384];
    size_t total = 0;
    while (total < bytes_max) {
        size_t count = bytes_max - total < sizeof bytes ? bytes_max - total : sizeof bytes;
        ssize_t result = recv(peer->fd, bytes, count, 0);
        if (result <= 0) {
            peer->saw_end = peer->saw_end || result == 0;
            if (result < 0 && errno != EAGAIN)
                peer->saw_error = errno;
            break;
        }
        for (size_t i = 0; i < (size_t)result; i++) {
            uint8_t wanted = rig_octet(peer->tag, peer->echoes, peer->read_bytes + i);
            MUST(bytes[i] == wanted, "peer %u read octet %llu as %02x, not %02x", peer->tag,
                 (unsigned long long)(peer->read_bytes + i), bytes[i], wanted);
        }
        peer->read_bytes += (uint64_t)result;
        total += (size_t)result;
    }
    return total;
}

bool rig_has_read(struct rig_peer *peer, uint64_t bytes)
{
    rig_read(peer, SIZE_MAX);
    return peer->read_bytes >= bytes;
}

bool rig_is_over(struct rig_peer *peer)
{
    rig_read(peer, SIZE_MAX);
    return peer->saw_end || peer->saw_error != 0;
}

void rig_finish(struct rig_peer *peer)
{
    MUST(shutdown(peer->fd, SHUT_WR) == 0 || errno == ENOTCONN, "shutdown: %s", strerror(errno));
}

void rig_reset(struct rig_peer *peer)
{
    const struct linger abort = {.l_onoff = 1, .l_linger = 0};
    MUST(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0, "SO_LINGER: %s",
         strerror(errno));
    rig_hang_up(peer);
}

void rig_hang_up(struct rig_peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
}
