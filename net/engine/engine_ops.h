/* engine_ops.h: what an implementation of engine.h provides; nobody but net/engine and the tests'
 * simulator includes this.
 *
 * Each public function of engine.h dispatches through `ops`; its doc comment there is the contract.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_ENGINE_OPS_H
#define FW_NET_ENGINE_OPS_H

#include "net/engine/engine.h"

struct fw_engine_ops {
    void (*destroy)(struct fw_engine *engine);
    int (*turn)(struct fw_engine *engine, int timeout_ms);
    void (*wake)(struct fw_engine *engine);
    void (*gather)(struct fw_engine *engine, uint32_t events, uint32_t wait_us); /* NULL: never */
    void (*send)(struct fw_engine *engine, uint32_t slot, const struct iovec *pieces,
                 unsigned pieces_count);
    bool (*keep)(struct fw_engine *engine); /* NULL: never */
    void (*pause)(struct fw_engine *engine, uint32_t slot);
    void (*resume)(struct fw_engine *engine, uint32_t slot);
    void (*shutdown)(struct fw_engine *engine, uint32_t slot);
    void (*close)(struct fw_engine *engine, uint32_t slot, bool abort);
    int (*listen)(struct fw_engine *engine, int listen_fd);
    void (*accept_pause)(struct fw_engine *engine);
    void (*accept_resume)(struct fw_engine *engine);
    void (*hand_over)(struct fw_engine *engine, uint32_t ticket, struct fw_engine *target,
                      uint32_t tag);
    void (*refuse)(struct fw_engine *engine, uint32_t ticket);
    int (*connect)(struct fw_engine *engine, const struct sockaddr *peer, socklen_t peer_bytes,
                   uint32_t tag, uint32_t timeout_ms);
};

/* The first member of every implementation's engine. */
struct fw_engine {
    const struct fw_engine_ops *ops;
    const struct fw_engine_events *events;
    void *owner;
    uint64_t now_ms;      /* read once per turn by the implementation */
    uint32_t accepted_by; /* set by the implementation before on_accepted */
    struct fw_engine_stats stats;
};

int fw_engine_uring_create(const struct fw_engine_options *options, struct fw_engine **engine_out);
int fw_engine_epoll_create(const struct fw_engine_options *options, struct fw_engine **engine_out);

#endif
