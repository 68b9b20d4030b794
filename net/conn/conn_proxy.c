/* conn_proxy.c: see conn_proxy.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/conn/conn_proxy.h"

#include "base/mem.h"

#include <errno.h>
#include <fanwire/status.h>
#include <string.h>
#include <sys/mman.h>

struct fw_conns_proxy {
    struct fw_proxy_decoder **by_slot; /* mapped: slots_max of them */
    uint64_t refused;
};

int fw_conns_proxy_create(struct fw_conns *conns)
{
    struct fw_conns_proxy *all = fw_mem_zero(sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    void *table = mmap(NULL, sizeof *all->by_slot * conns->slots_max, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED) {
        fw_mem_free(all);
        return -ENOMEM;
    }
    all->by_slot = table;
    conns->proxy = all;
    return 0;
}

void fw_conns_proxy_destroy(struct fw_conns *conns)
{
    if (conns->proxy == NULL)
        return;
    munmap(conns->proxy->by_slot, sizeof *conns->proxy->by_slot * conns->slots_max);
    fw_mem_free(conns->proxy);
    conns->proxy = NULL;
}

uint64_t fw_conns_proxy_refused(const struct fw_conns *conns)
{
    return conns->proxy == NULL ? 0 : conns->proxy->refused;
}

void fw_conn_proxy_end(struct fw_conns *conns, struct fw_conn *conn)
{
    fw_mem_free(conns->proxy->by_slot[conn->slot]);
    conns->proxy->by_slot[conn->slot] = NULL;
}

static void refuse(struct fw_conns *conns, struct fw_conn *conn, const char *why)
{
    conns->proxy->refused++;
    fw_log_peer(conns->host.log, conns->host.now_ms, FW_LOG_WARN,
                "a proxy's connection was dropped: %s (HAProxy: send-proxy-v2)", why);
    fw_session_finish(&conn->session, FW_END_ABORT);
}

/* Sets what has been read aside until more comes. */
static bool remember(struct fw_conns *conns, struct fw_conn *conn,
                     const struct fw_proxy_decoder *decoder)
{
    struct fw_proxy_decoder **kept = &conns->proxy->by_slot[conn->slot];
    if (*kept == NULL)
        *kept = fw_mem_alloc(sizeof **kept);
    if (*kept == NULL)
        return false;
    **kept = *decoder;
    return true;
}

size_t fw_conn_proxy_received(struct fw_conns *conns, struct fw_conn *conn, const uint8_t *bytes,
                              size_t bytes_count)
{
    const struct fw_proxy_decoder *kept = conns->proxy->by_slot[conn->slot];
    struct fw_proxy_decoder decoder = {.left = 0};
    struct fw_proxy_client client;
    if (conn->session.phase == FW_PHASE_DONE)
        return 0;
    if (kept != NULL)
        decoder = *kept;
    ssize_t taken = fw_proxy_decode(&decoder, bytes, bytes_count, &client);
    if (taken == 0) {
        if (!remember(conns, conn, &decoder))
            fw_session_finish(&conn->session, FW_END_ABORT);
        return 0;
    }
    fw_conn_proxy_end(conns, conn);
    if (taken < 0) {
        refuse(conns, conn, fw_status_text((int)taken));
        return 0;
    }
    if (client.family != 0 && !conns->on_told(conns->owner, conn, &client)) {
        fw_session_finish(&conn->session, FW_END_ABORT);
        return 0;
    }
    return (size_t)taken;
}

void fw_conn_proxy_timer(struct fw_conns *conns, struct fw_conn *conn)
{
    refuse(conns, conn, "its PROXY header did not come in time");
}
