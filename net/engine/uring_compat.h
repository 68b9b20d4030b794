/* uring_compat.h: constants of newer kernels that the installed liburing may lack (2.3 is the
 * oldest we build with). Values are the kernel's ABI, include/uapi/linux/io_uring.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_URING_COMPAT_H
#define FW_NET_URING_COMPAT_H

#include <liburing.h>

/* Linux 6.12: a provided buffer is consumed piece by piece. The flag stands in a field that older
 * headers call padding. */
#define FW_URING_BUFFERS_INCREMENTAL 2u
#define FW_URING_CQE_BUFFER_MORE     (1u << 4)

/* Linux 6.7: setsockopt as a command. */
#define FW_URING_SOCKET_SETSOCKOPT 3u

/* liburing that knows NO_SQARRAY (2.5) lays the ring out for it; an older one would write its index
 * array over the ring's head. */
#ifdef IORING_SETUP_NO_SQARRAY
#define FW_URING_NO_SQARRAY IORING_SETUP_NO_SQARRAY
#else
#define FW_URING_NO_SQARRAY 0u
#endif

/* An accept that begins by a poll, not by a try (Linux 6.10). */
#define FW_URING_ACCEPT_POLL_FIRST (1u << 2)

/* io_uring_register_restrictions and io_uring_enable_rings: Debian's liburing 2.3 declares both and
 * exports neither. 0 or -errno. */
static inline int fw_uring_register(struct io_uring *ring, unsigned operation, const void *argument,
                                    unsigned count)
{
    return io_uring_register((unsigned)ring->ring_fd, operation, argument, count);
}

/* Sends the direct descriptor `ticket` to a free slot of another ring's file table; the target's
 * completion has `target_data` and the slot as its result. */
static inline void fw_uring_prep_send_fd(struct io_uring_sqe *sqe, int ring_fd, uint32_t ticket,
                                         uint64_t target_data)
{
    io_uring_prep_msg_ring(sqe, ring_fd, 0, target_data, 0);
    sqe->addr = IORING_MSG_SEND_FD;
    sqe->addr3 = ticket;
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/* setsockopt on a direct descriptor; the level and name share the 8 octets of `addr`, the value's
 * address those of `addr3`, its length those of `file_index`. */
static inline void fw_uring_prep_setsockopt(struct io_uring_sqe *sqe, int slot, int level, int name,
                                            const void *value, uint32_t value_bytes)
{
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, slot, NULL, 0, FW_URING_SOCKET_SETSOCKOPT);
    sqe->addr = (uint32_t)level | (uint64_t)(uint32_t)name << 32;
    sqe->addr3 = (uint64_t)(uintptr_t)value;
    sqe->file_index = value_bytes;
}

#endif
