/* raw_ring.c: the io_uring of the bare servers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raw_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* What liburing 2.3 does not know yet. */
#ifndef IOU_PBUF_RING_INC
#define IOU_PBUF_RING_INC 2
#endif
#ifndef IORING_CQE_F_BUF_MORE
#define IORING_CQE_F_BUF_MORE (1U << 4)
#endif

#define SUBMISSIONS  1024
#define COMPLETIONS  16384
#define BUFFER_GROUP 0

static void open_uring(struct io_uring *uring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                              IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
                                     .cq_entries = COMPLETIONS};
    int status = io_uring_queue_init_params(SUBMISSIONS, uring, &params);
    if (status < 0)
        bench_die("io_uring_setup: %s", strerror(-status));
    status = io_uring_register_ring_fd(uring);
    if (status < 0)
        bench_die("registering the ring's descriptor: %s", strerror(-status));
}

static int register_buffers(struct raw_ring *ring, bool incremental)
{
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)ring->buffers,
                                   .ring_entries = ring->buffers_count,
                                   .bgid = BUFFER_GROUP};
    /* The flags stand where liburing 2.3 has padding. */
    uint16_t flags = incremental ? IOU_PBUF_RING_INC : 0;
    memcpy((uint8_t *)&reg + offsetof(struct io_uring_buf_reg, bgid) + sizeof(reg.bgid), &flags,
           sizeof(flags));
    return io_uring_register_buf_ring(&ring->uring, &reg, 0);
}

static void give(struct raw_ring *ring, uint16_t id, int offset)
{
    io_uring_buf_ring_add(ring->buffers, ring->memory + id * ring->buffer_bytes,
                          (unsigned)ring->buffer_bytes, id,
                          io_uring_buf_ring_mask(ring->buffers_count), offset);
    ring->used_bytes[id] = 0;
}

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        bench_die("mmap of %zu bytes: %s", bytes, strerror(errno));
    return memory;
}

static void open_buffers(struct raw_ring *ring, const struct raw_ring_options *options)
{
    ring->buffers_count = (unsigned)options->buffers_count;
    if ((ring->buffers_count & (ring->buffers_count - 1)) != 0)
        bench_die("--buffers must be a power of two");
    ring->buffers_free = ring->buffers_count;
    ring->buffer_bytes = options->buffer_bytes;
    ring->memory = map(options->buffers_count * options->buffer_bytes);
    ring->buffers = map(options->buffers_count * sizeof(struct io_uring_buf));
    ring->used_bytes = bench_alloc(options->buffers_count, sizeof(*ring->used_bytes));
    ring->held.ids = bench_alloc(options->buffers_count, sizeof(*ring->held.ids));
    ring->held_before.ids = bench_alloc(options->buffers_count, sizeof(*ring->held.ids));
    ring->incremental = !options->whole_buffers && register_buffers(ring, true) == 0;
    int status = ring->incremental ? 0 : register_buffers(ring, false);
    if (status < 0)
        bench_die("registering receive buffers: %s", strerror(-status));
    io_uring_buf_ring_init(ring->buffers);
    for (unsigned i = 0; i < ring->buffers_count; i++)
        give(ring, (uint16_t)i, (int)i);
    io_uring_buf_ring_advance(ring->buffers, (int)ring->buffers_count);
}

void raw_ring_open(struct raw_ring *ring, const struct raw_ring_options *options)
{
    memset(ring, 0, sizeof(*ring));
    bench_descriptors_raise(options->conns_max);
    open_uring(&ring->uring);
    int status = io_uring_register_files_sparse(&ring->uring, (unsigned)options->conns_max);
    if (status < 0)
        bench_die("a table of %zu direct descriptors: %s", options->conns_max, strerror(-status));
    open_buffers(ring, options);
}

struct io_uring_sqe *raw_ring_entry(struct raw_ring *ring, uint64_t tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);
    if (entry == NULL) {
        int status = io_uring_submit(&ring->uring);
        if (status < 0)
            bench_die("io_uring_submit: %s", strerror(-status));
        entry = io_uring_get_sqe(&ring->uring);
    }
    if (entry == NULL)
        bench_die("the submission queue stays full");
    /* The prep functions of liburing leave the tag alone. */
    entry->user_data = tag;
    return entry;
}

void raw_ring_accept(struct raw_ring *ring, int listener)
{
    struct io_uring_sqe *entry = raw_ring_entry(ring, raw_tag(RAW_ACCEPT, 0));
    io_uring_prep_multishot_accept_direct(entry, listener, NULL, NULL, 0);
}

void raw_ring_receive(struct raw_ring *ring, uint32_t slot)
{
    struct io_uring_sqe *entry = raw_ring_entry(ring, raw_tag(RAW_RECEIVE, slot));
    io_uring_prep_recv_multishot(entry, (int)slot, NULL, 0, 0);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    entry->buf_group = BUFFER_GROUP;
}

void raw_ring_close_slot(struct raw_ring *ring, uint32_t slot)
{
    struct io_uring_sqe *entry = raw_ring_entry(ring, raw_tag(RAW_NOTHING, slot));
    io_uring_prep_close_direct(entry, slot);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

uint8_t *raw_ring_bytes(struct raw_ring *ring, const struct io_uring_cqe *completion)
{
    uint16_t id = (uint16_t)(completion->flags >> IORING_CQE_BUFFER_SHIFT);
    uint8_t *bytes = ring->memory + id * ring->buffer_bytes + ring->used_bytes[id];
    ring->used_bytes[id] += (size_t)completion->res;
    if ((completion->flags & IORING_CQE_F_BUF_MORE) == 0) {
        ring->held.ids[ring->held.count++] = id;
        ring->buffers_free--;
    }
    return bytes;
}

void raw_ring_recycle(struct raw_ring *ring)
{
    struct raw_ring_held before = ring->held_before;
    for (unsigned i = 0; i < before.count; i++)
        give(ring, before.ids[i], (int)i);
    io_uring_buf_ring_advance(ring->buffers, (int)before.count);
    ring->buffers_free += before.count;
    before.count = 0;
    ring->held_before = ring->held;
    ring->held = before;
}

bool raw_ring_submit(struct raw_ring *ring)
{
    bool short_of_buffers = ring->buffers_free < ring->buffers_count - ring->buffers_count / 4;
    int status = io_uring_submit_and_wait(&ring->uring, short_of_buffers ? 0 : 1);
    if (status < 0 && status != -EINTR && status != -EAGAIN && status != -EBUSY)
        bench_die("io_uring_submit_and_wait: %s", strerror(-status));
    return status != -EINTR;
}
