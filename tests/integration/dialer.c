/* dialer.c: see dialer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/dialer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int dialer_dial(struct dialer *dialer, uint32_t tag, uint32_t timeout_ms)
{
    dialer->in_call = true;
    int slot = fw_engine_connect(dialer->engine, &dialer->server.at.any, dialer->server.bytes, tag,
                                 timeout_ms);
    dialer->in_call = false;
    if (slot >= 0) {
        dialer->attempts[tag].slot = (uint32_t)slot + 1;
        dialer->tag_of[slot] = tag;
    }
    return slot;
}

static void told(const struct dialer *dialer)
{
    MUST(dialer->in_turn && !dialer->in_call, "told from inside a call, or outside of a turn");
}

static void on_adopted(void *owner, uint32_t slot, uint32_t tag)
{
    struct dialer *dialer = owner;
    told(dialer);
    struct attempt *attempt = &dialer->attempts[tag];
    MUST(attempt->slot == slot + 1, "tag %u lives at slot %u, connected as %u", tag, slot,
         attempt->slot - 1);
    attempt->adopted++;
    dialer->adopted_count++;
    if (dialer->deed == PAUSE)
        fw_engine_pause(dialer->engine, slot);
    if (dialer->deed == CLOSE_AT_ONCE)
        fw_engine_close(dialer->engine, slot, false);
}

static void on_connect_failed(void *owner, uint32_t tag, int status)
{
    struct dialer *dialer = owner;
    told(dialer);
    struct attempt *attempt = &dialer->attempts[tag];
    MUST(status < 0, "status %d", status);
    attempt->failed++;
    attempt->status = status;
    dialer->failed_count++;
    if (dialer->deed == RETRY && dialer->retries > 0) {
        dialer->retries--;
        MUST(dialer_dial(dialer, tag, 0) >= 0, "the slot of what failed is free again");
    }
}

static void on_received(void *owner, uint32_t slot, uint8_t *bytes, size_t bytes_count)
{
    struct dialer *dialer = owner;
    struct attempt *attempt = &dialer->attempts[dialer->tag_of[slot]];
    told(dialer);
    MUST(attempt->adopted == 1 && attempt->failed == 0, "bytes before the adoption");
    memset(bytes, 0xdd, bytes_count);
    attempt->received_bytes += bytes_count;
}

static void on_ended(void *owner, uint32_t slot, int status)
{
    struct dialer *dialer = owner;
    struct attempt *attempt = &dialer->attempts[dialer->tag_of[slot]];
    told(dialer);
    attempt->ended++;
    attempt->end_status = status;
}

static void on_closed(void *owner, uint32_t slot)
{
    struct dialer *dialer = owner;
    told(dialer);
    MUST(dialer->attempts[dialer->tag_of[slot]].failed == 0, "closed, and failed");
    dialer->closed_count++;
}

static void on_unsent(void *owner, uint32_t slot, size_t sent_bytes, int status)
{
    (void)owner;
    MUST(false, "slot %u: %zu sent, status %d", slot, sent_bytes, status);
}

static void on_slot(void *owner, uint32_t slot)
{
    told(owner);
    (void)slot;
}

static void on_nothing(void *owner)
{
    told(owner);
}

const struct fw_engine_events dialer_events = {
    .on_adopted = on_adopted,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_unsent = on_unsent,
    .on_settled = on_nothing,
    .on_writable = on_slot,
    .on_closed = on_closed,
    .on_connect_failed = on_connect_failed,
    .on_turn_end = on_nothing,
};

void dialer_listen(struct dialer *dialer, const char *address, int backlog)
{
    const struct fw_sock_listen_options options = {.backlog = backlog};
    int status = fw_sock_address_parse(address, &dialer->server);
    if (status == 0)
        status = fw_sock_listen(&dialer->server, &options, &dialer->listen_fd);
    if (status == 0)
        status = fw_sock_address_bound(dialer->listen_fd, &dialer->server);
    MUST(status == 0, "listening on %s: %s", address, strerror(-status));
}

static struct dialer *create(enum fw_engine_kind kind, uint32_t slots, uint32_t connects,
                             bool speaks_first, const char *address)
{
    struct dialer *dialer = calloc(1, sizeof *dialer);
    MUST(dialer != NULL, "out of memory");
    const struct fw_engine_options options = {.slots_max = slots,
                                              .connects_max = connects,
                                              .speaks_first = speaks_first,
                                              .receive_bytes = 256 * 1024,
                                              .owner = dialer,
                                              .events = &dialer_events};
    int status = fw_engine_create(kind, &options, &dialer->engine);
    MUST(status == 0, "fw_engine_create: %s", strerror(-status));
    dialer_listen(dialer, address, 4096);
    return dialer;
}

struct dialer *dialer_create(enum fw_engine_kind kind, uint32_t slots, uint32_t connects,
                             const char *address)
{
    return create(kind, slots, connects, false, address);
}

struct dialer *dialer_create_speaking(enum fw_engine_kind kind, uint32_t slots, uint32_t connects,
                                      const char *address)
{
    return create(kind, slots, connects, true, address);
}

void dialer_destroy(struct dialer *dialer)
{
    fw_engine_destroy(dialer->engine);
    if (dialer->listen_fd >= 0)
        close(dialer->listen_fd);
    if (dialer->server.at.any.sa_family == AF_UNIX)
        unlink(dialer->server.at.local.sun_path);
    free(dialer);
}

void dialer_turn(struct dialer *dialer, int timeout_ms)
{
    dialer->in_turn = true;
    int status = fw_engine_turn(dialer->engine, timeout_ms);
    dialer->in_turn = false;
    MUST(status == 0, "fw_engine_turn: %s", strerror(-status));
}

int dialer_take(struct dialer *dialer)
{
    return accept4(dialer->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

const char *dialer_local_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "unix:/tmp/engine_connect.%d", (int)getpid());
    return path;
}

void dialer_nobody_listens(struct dialer *dialer)
{
    close(dialer->listen_fd);
    dialer->listen_fd = -1;
}
