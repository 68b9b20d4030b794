/* engine_epoll_setup.c: the making and ending of an epoll engine: tables, receive memory,
 * descriptors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/engine/engine_epoll.h"

#include "base/mem.h"
#include <fanwire/status.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* One receive: a message of 256 KB comes whole, and is answered from where it stands. */
#define WINDOW_BYTES_MAX ((size_t)512 * 1024)

static void close_sockets(struct fw_epoll *self)
{
    for (uint32_t i = 0; i < self->slots_touched; i++) {
        if (self->slots[i].flags & (SLOT_OPEN | SLOT_CONNECTING) && self->slots[i].fd >= 0)
            close(self->slots[i].fd);
    }
    for (uint32_t i = 0; i < self->arrivals_count; i++)
        close(self->arrivals[(self->arrivals_first + i) % self->slots_max].fd);
}

static void close_kernel_side(struct fw_epoll *self)
{
    const int fds[] = {self->wake_fd, self->alarm_fd, self->epoll_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

void fw_epoll_destroy(struct fw_engine *engine)
{
    struct fw_epoll *self = fw_epoll_of(engine);
    fw_epoll_acceptor_destroy(self);
    close_sockets(self);
    close_kernel_side(self);
    fw_epoll_connects_destroy(self);
    munmap(self->slots, self->tables_bytes);
    pthread_mutex_destroy(&self->arrivals_lock);
    fw_mem_free(self->buffer);
    fw_mem_free(self);
}

void *fw_epoll_map(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

/* Lays the tables out in one mapping, the strictest alignment first. */
static int map_tables(struct fw_epoll *self)
{
    size_t count = self->slots_max > 0 ? self->slots_max : 1;
    self->tables_bytes = count * (sizeof *self->slots + sizeof *self->unsent +
                                  sizeof *self->arrivals + sizeof *self->closing);
    self->slots = fw_epoll_map(self->tables_bytes);
    if (self->slots == NULL)
        return -ENOMEM;
    self->unsent = (struct fw_epoll_unsent *)(void *)(self->slots + count);
    self->arrivals = (struct fw_epoll_arrival *)(void *)(self->unsent + count);
    self->closing = (uint32_t *)(void *)(self->arrivals + count);
    return 0;
}

/* Watches a descriptor that is never read: with an edge for each write, and each ring of the alarm,
 * what it holds does not matter. */
static int watch_edges(struct fw_epoll *self, int fd, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = index};
    return fd >= 0 && epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

/* Opens the epoll set, and what ends its wait: other threads, and the alarm. */
static int open_kernel_side(struct fw_epoll *self)
{
    self->wake_fd = -1;
    self->alarm_fd = -1;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int status = self->epoll_fd < 0 ? -errno : 0;
    if (status == 0) {
        self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        status = watch_edges(self, self->wake_fd, FW_EPOLL_INDEX_WAKE);
    }
    if (status == 0) {
        self->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        status = watch_edges(self, self->alarm_fd, FW_EPOLL_INDEX_ALARM);
    }
    if (status != 0)
        close_kernel_side(self);
    return status;
}

static void init(struct fw_epoll *self, const struct fw_engine_options *options)
{
    self->base.ops = &fw_epoll_ops;
    self->base.events = options->events;
    self->base.owner = options->owner;
    self->base.now_ms = fw_epoll_monotonic_ms();
    self->slots_max = options->slots_max;
    self->free_first = FW_EPOLL_NONE;
    self->due_first = FW_EPOLL_NONE;
    self->due_last = FW_EPOLL_NONE;
    self->buffer_bytes = options->receive_bytes > 0 ? options->receive_bytes : WINDOW_BYTES_MAX;
    self->window_bytes =
        self->buffer_bytes < WINDOW_BYTES_MAX ? self->buffer_bytes : WINDOW_BYTES_MAX;
}

int fw_engine_epoll_create(const struct fw_engine_options *options, struct fw_engine **engine_out)
{
    if (options->slots_max > FW_EPOLL_SLOTS_MAX || options->events == NULL)
        return FW_ERR_USAGE;
    struct fw_epoll *self = fw_mem_zero(sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    init(self, options);
    int status = -ENOMEM;
    self->buffer = fw_mem_alloc(self->buffer_bytes);
    if (self->buffer == NULL)
        goto fail_buffer;
    status = map_tables(self);
    if (status != 0)
        goto fail_tables;
    status = -pthread_mutex_init(&self->arrivals_lock, NULL);
    if (status != 0)
        goto fail_lock;
    if (options->connects_max > 0)
        status = fw_epoll_connects_create(self);
    if (status != 0)
        goto fail_connects;
    status = open_kernel_side(self);
    if (status != 0)
        goto fail_kernel;
    self->base.stats.receive_memory_bytes = self->buffer_bytes;
    *engine_out = &self->base;
    return 0;

fail_kernel:
    fw_epoll_connects_destroy(self);
fail_connects:
    pthread_mutex_destroy(&self->arrivals_lock);
fail_lock:
    munmap(self->slots, self->tables_bytes);
fail_tables:
    fw_mem_free(self->buffer);
fail_buffer:
    fw_mem_free(self);
    return status;
}
