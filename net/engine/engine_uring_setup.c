/* engine_uring_setup.c: the making and ending of an io_uring engine: ring, restrictions, tables,
 * receive memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_uring.h"

#include "base/mem.h"
#include <fanwire/status.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_TRIES    10
#define MEMORY_PAUSE_NS 20000000L

static const uint8_t allowed_operations[] = {
    IORING_OP_RECV,           IORING_OP_SEND,         IORING_OP_SENDMSG,   IORING_OP_POLL_ADD,
    IORING_OP_CLOSE,          IORING_OP_ASYNC_CANCEL, IORING_OP_READ,      IORING_OP_ACCEPT,
    IORING_OP_MSG_RING,       IORING_OP_SHUTDOWN,     IORING_OP_URING_CMD, IORING_OP_TIMEOUT,
    IORING_OP_TIMEOUT_REMOVE, IORING_OP_SOCKET,       IORING_OP_CONNECT};
/* The last two only where there are slots for connects: a server's rings never connect. */
#define CONNECT_OPERATIONS 2

/* The ring may do what an engine does and nothing else, whatever a bug or an intruder asks. */
static int restrict_ring(struct fw_uring *self)
{
    enum { ALL = sizeof allowed_operations };
    struct io_uring_restriction rules[ALL + 1];
    memset(rules, 0, sizeof rules);
    const unsigned count = self->connects != NULL ? ALL : ALL - CONNECT_OPERATIONS;
    for (unsigned i = 0; i < count; i++) {
        rules[i].opcode = IORING_RESTRICTION_SQE_OP;
        rules[i].sqe_op = allowed_operations[i];
    }
    rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[count].sqe_flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_IO_HARDLINK |
                             IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
    return fw_uring_register(&self->ring, IORING_REGISTER_RESTRICTIONS, rules, count + 1);
}

/* Rings of processes that have just ended are freed a moment later, and count against
 * RLIMIT_MEMLOCK until then: a refusal for want of memory is tried again for a while. */
static int create_ring(struct fw_uring *self)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED |
                 FW_URING_NO_SQARRAY,
        .cq_entries = FW_URING_CQ_ENTRIES,
    };
    int result = io_uring_queue_init_params(FW_URING_SQ_ENTRIES, &self->ring, &params);
    if (result == -EINVAL && FW_URING_NO_SQARRAY != 0) {
        params.flags &= ~FW_URING_NO_SQARRAY;
        result = io_uring_queue_init_params(FW_URING_SQ_ENTRIES, &self->ring, &params);
    }
    for (int tries = 0; result == -ENOMEM && tries < MEMORY_TRIES; tries++) {
        const struct timespec pause = {.tv_nsec = MEMORY_PAUSE_NS};
        nanosleep(&pause, NULL);
        result = io_uring_queue_init_params(FW_URING_SQ_ENTRIES, &self->ring, &params);
    }
    return result;
}

/* Registers a pool's ring: incremental if that is wanted and the kernel takes it. */
static int register_pool(struct fw_uring *self, struct fw_uring_pool *pool, bool incremental)
{
    struct io_uring_buf_reg ring = {.ring_addr = (uint64_t)(uintptr_t)pool->ring,
                                    .ring_entries = pool->count,
                                    .bgid = pool->group};
    /* Called `pad` in headers older than the flag, `flags` since: the same 16 bits. */
    const uint16_t flags = incremental ? FW_URING_BUFFERS_INCREMENTAL : 0;
    memcpy((char *)&ring + offsetof(struct io_uring_buf_reg, bgid) + sizeof ring.bgid, &flags,
           sizeof flags);
    int result = io_uring_register_buf_ring(&self->ring, &ring, 0);
    pool->incremental = incremental && result == 0;
    return incremental && result == -EINVAL ? register_pool(self, pool, false) : result;
}

/* Maps and registers a pool, and gives the kernel the first `start` buffers.
 *
 * populate     touch the memory now, so that what a process uses does not grow with its first
 *              connections
 */
static int create_pool(struct fw_uring *self, struct fw_uring_pool *pool, unsigned start,
                       bool incremental, bool populate)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    pool->ring = mmap(NULL, pool->count * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                      flags | MAP_POPULATE, -1, 0);
    if (pool->ring == MAP_FAILED) {
        pool->ring = NULL;
        return -ENOMEM;
    }
    pool->memory = mmap(NULL, pool->count * pool->buffer_bytes, PROT_READ | PROT_WRITE,
                        flags | (populate ? MAP_POPULATE : MAP_NORESERVE), -1, 0);
    if (pool->memory == MAP_FAILED) {
        pool->memory = NULL;
        return -ENOMEM;
    }
    self->base.stats.receive_memory_bytes += pool->count * pool->buffer_bytes;
    io_uring_buf_ring_init(pool->ring);
    int result = register_pool(self, pool, incremental);
    if (result < 0)
        return result;
    while (pool->serving < start && pool->serving < pool->count)
        fw_uring_give_buffer(pool, pool->serving++);
    return 0;
}

static void destroy_pool(struct fw_uring_pool *pool)
{
    if (pool->ring != NULL)
        munmap(pool->ring, pool->count * sizeof(struct io_uring_buf));
    if (pool->memory != NULL)
        munmap(pool->memory, pool->count * pool->buffer_bytes);
}

static int create_pools(struct fw_uring *self, size_t receive_bytes)
{
    struct fw_uring_pool *shallow = &self->shallow;
    bool is_short = receive_bytes < 4 * FW_URING_BUFFER_BYTES;
    shallow->buffer_bytes = is_short ? FW_URING_SMALL_BUFFER_BYTES : FW_URING_BUFFER_BYTES;
    for (shallow->count = 1; shallow->count < FW_URING_BUFFERS_MAX &&
                             shallow->count * 2 * shallow->buffer_bytes <= receive_bytes;)
        shallow->count *= 2;
    int result =
        create_pool(self, shallow, is_short ? FW_URING_SMALL_BUFFERS_START : FW_URING_BUFFERS_START,
                    true, true);
    struct fw_uring_pool *deep = &self->deep;
    if (result < 0 || receive_bytes < FW_URING_DEEP_BUFFERS * FW_URING_DEEP_BUFFER_BYTES)
        return result;
    deep->buffer_bytes = FW_URING_DEEP_BUFFER_BYTES;
    deep->count = FW_URING_DEEP_BUFFERS;
    deep->group = 1;
    return create_pool(self, deep, deep->count, false, false);
}

/* Zeros for each slot, touched on first use; NULL when there is no memory. */
static void *map_for_slots(const struct fw_uring *self, size_t bytes)
{
    void *at = mmap(NULL, bytes * self->slots_max, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static void unmap_of_slots(const struct fw_uring *self, void *at, size_t bytes)
{
    if (at != NULL)
        munmap(at, bytes * self->slots_max);
}

static int create_tables(struct fw_uring *self)
{
    self->slots = map_for_slots(self, sizeof *self->slots);
    self->late = map_for_slots(self, sizeof *self->late);
    self->line = map_for_slots(self, sizeof *self->line);
    self->own = map_for_slots(self, sizeof *self->own);
    if (self->slots == NULL || self->late == NULL || self->line == NULL || self->own == NULL)
        return -ENOMEM;
    self->gathers = fw_mem_alloc(sizeof *self->gathers * FW_URING_GATHERS_MAX);
    self->gather_pieces = fw_mem_alloc(sizeof *self->gather_pieces * FW_URING_PIECES_MAX);
    return self->gathers == NULL || self->gather_pieces == NULL ? -ENOMEM : 0;
}

/* The result of an entry that ends at once, or -errno of the ring. */
static int try_entry(struct fw_uring *self, struct io_uring_sqe *sqe)
{
    struct io_uring_cqe *cqe;
    sqe->user_data = fw_uring_tag(FW_URING_IGNORED, 0, 0);
    int result = io_uring_submit(&self->ring);
    if (result == 1 && (result = io_uring_wait_cqe(&self->ring, &cqe)) == 0) {
        result = cqe->res;
        io_uring_cqe_seen(&self->ring, cqe);
    }
    return result;
}

/* What cannot be asked for is tried: whether setsockopt is a command here (Linux 6.7), on a socket
 * of its own, and whether an accept may begin by a poll (Linux 6.10), on no descriptor, which is
 * found out behind the flags. */
static void try_features(struct fw_uring *self)
{
    struct io_uring_sqe *sqe = fw_uring_next_entry(self);
    io_uring_prep_accept_direct(sqe, -1, NULL, NULL, 0, 0);
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
    sqe->ioprio = FW_URING_ACCEPT_POLL_FIRST;
    if (try_entry(self, sqe) == -EBADF)
        self->accept_flags = FW_URING_ACCEPT_POLL_FIRST;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sqe = fw_uring_next_entry(self);
    fw_uring_prep_setsockopt(sqe, fd, SOL_SOCKET, SO_LINGER, &fw_uring_linger_abort,
                             sizeof fw_uring_linger_abort);
    self->has_setsockopt = try_entry(self, sqe) >= 0;
    close(fd);
}

void fw_uring_destroy(struct fw_engine *engine)
{
    struct fw_uring *self = fw_uring_of(engine);
    if (self->ring.ring_fd >= 0)
        io_uring_queue_exit(&self->ring);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    destroy_pool(&self->shallow);
    destroy_pool(&self->deep);
    unmap_of_slots(self, self->slots, sizeof *self->slots);
    unmap_of_slots(self, self->late, sizeof *self->late);
    unmap_of_slots(self, self->line, sizeof *self->line);
    unmap_of_slots(self, self->own, sizeof *self->own);
    fw_uring_connects_destroy(self);
    fw_mem_free(self->gathers);
    fw_mem_free(self->gather_pieces);
    fw_mem_free(self->accepts);
    fw_mem_free(self);
}

/* Hand-overs get the slots in front of those for connects. */
static int keep_slots_for_connects(struct fw_uring *self)
{
    struct io_uring_file_index_range range = {.off = 0, .len = self->connects->first};
    return fw_uring_register(&self->ring, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
}

static int start_ring(struct fw_uring *self, const struct fw_engine_options *options)
{
    int result = create_ring(self);
    if (result < 0) {
        self->ring.ring_fd = -1;
        return result;
    }
    if ((result = io_uring_register_files_sparse(&self->ring, self->slots_max)) < 0)
        return result;
    if (self->connects != NULL && (result = keep_slots_for_connects(self)) < 0)
        return result;
    if ((result = create_pools(self, options->receive_bytes)) < 0)
        return result;
    if ((result = restrict_ring(self)) < 0)
        return result;
    if ((result = fw_uring_register(&self->ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0)) < 0)
        return result;
    try_features(self);
    fw_uring_arm_wake(self);
    return 0;
}

int fw_engine_uring_create(const struct fw_engine_options *options, struct fw_engine **engine_out)
{
    struct fw_uring *self = fw_mem_zero(sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->base = (struct fw_engine){.ops = &fw_uring_ops,
                                    .events = options->events,
                                    .owner = options->owner,
                                    .now_ms = fw_uring_monotonic_ms()};
    self->slots_max = options->slots_max;
    self->ring.ring_fd = -1;
    self->wake_fd = eventfd(0, EFD_CLOEXEC);
    int result = self->wake_fd < 0 ? -errno : create_tables(self);
    if (result == 0 && options->connects_max > 0)
        result = fw_uring_connects_create(self, options->connects_max);
    if (result == 0 && self->connects != NULL)
        self->connects->speaks_first = options->speaks_first;
    if (result == 0)
        result = start_ring(self, options);
    if (result < 0) {
        fw_uring_destroy(&self->base);
        return result;
    }
    *engine_out = &self->base;
    return 0;
}
