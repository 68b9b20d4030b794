/* outq.h: what one connection owes its peer, in order.
 *
 * An entry is a piece of bytes: of a share that many connections hold (a published message), or of
 * the turn's arena (a reply), or a whole buffer of its own. An idle queue is 32 bytes and owns
 * nothing; one entry stands in place, more in a block that lives while they do. Adjacent arena
 * pieces are one entry.
 *
 * A flush takes entries out optimistically (fw_outq_take), because nearly every send is whole; when
 * the socket took less, the rest is put back in front (fw_outq_put_back). Arena bytes that outlive
 * the turn are copied to a share of their own (fw_outq_keep). Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_OUTQ_H
#define FW_SESSION_OUTQ_H

#include "base/check.h"
#include "hub/share.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct fw_outq_entry {
    const uint8_t *bytes;
    struct fw_share *share; /* NULL: arena bytes, good until the turn's sends are settled */
    uint32_t bytes_count;
};

struct fw_outq_more; /* outq.c */

/* The first entry lies flat to share its padding; first_share and first_count mean nothing while
 * first_bytes is NULL. */
struct fw_outq {
    const uint8_t *first_bytes;
    struct fw_share *first_share;
    struct fw_outq_more *more; /* the entries after the first */
    uint32_t first_count;
    uint32_t queued_bytes; /* of all entries */
};
static_assert(sizeof(struct fw_outq) <= 32, "what an idle connection pays for its output");

static inline bool fw_outq_empty(const struct fw_outq *outq)
{
    return outq->first_bytes == NULL;
}

void fw_outq_init(struct fw_outq *outq);

/* Octets of the block that the entries after the first stand in. */
size_t fw_outq_block_bytes(const struct fw_outq *outq);

/* Drops every entry; their messages count as left behind (fw_share_withdraw). */
void fw_outq_clear(struct fw_outq *outq);

/* Appends a piece. An entry with a share takes a reference of it; an arena piece that continues the
 * last one makes it longer.
 *
 * bytes_count  at least 1
 * errors       -ENOMEM; nothing changed then
 */
int fw_outq_push(struct fw_outq *outq, const uint8_t *bytes, size_t bytes_count,
                 struct fw_share *share);

/* The same for a queue of more than one entry. */
bool fw_outq_extend_last(struct fw_outq *outq, const uint8_t *bytes, size_t bytes_count);

/* Makes the last piece longer when it is one without a share that ends where `bytes` begin.
 *
 * returns      false when it is not, or there is none; nothing changed then
 */
static inline bool fw_outq_extend(struct fw_outq *outq, const uint8_t *bytes, size_t bytes_count)
{
    if (outq->more != NULL)
        return fw_outq_extend_last(outq, bytes, bytes_count);
    if (fw_outq_empty(outq) || outq->first_share != NULL ||
        outq->first_bytes + outq->first_count != bytes)
        return false;
    fw_assert(bytes_count <= UINT32_MAX - outq->queued_bytes);
    outq->first_count += (uint32_t)bytes_count;
    outq->queued_bytes += (uint32_t)bytes_count;
    return true;
}

/* Takes up to `entries_max` entries out from the front; their references go to the caller.
 *
 * returns      entries written to entries_out
 */
unsigned fw_outq_take(struct fw_outq *outq, struct fw_outq_entry *entries_out,
                      unsigned entries_max);

/* The same for a queue that holds one entry, as nearly all do. */
static inline void fw_outq_take_only(struct fw_outq *outq, struct fw_outq_entry *entry_out)
{
    fw_assert_slow(!fw_outq_empty(outq) && outq->more == NULL);
    *entry_out = (struct fw_outq_entry){
        .bytes = outq->first_bytes, .share = outq->first_share, .bytes_count = outq->first_count};
    outq->first_bytes = NULL;
    outq->queued_bytes = 0;
}

/* Shows what stands in front without taking it: at least a piece when there is one, the last cut to
 * what is asked for.
 *
 * pieces_out   borrow the queue's bytes, until it changes
 * bytes_max    of all pieces together, at least 1
 * returns      pieces written
 */
unsigned fw_outq_peek(const struct fw_outq *outq, struct iovec *pieces_out, unsigned pieces_max,
                      size_t bytes_max);

/* Drops so many bytes from the front, and the references of the entries that were whole in them:
 * they were sent.
 *
 * returns      whether the first entry that is left was cut
 */
bool fw_outq_skip(struct fw_outq *outq, size_t bytes);

/* Puts entries back in front of what is queued, in their order, with their references.
 *
 * entries      the first may be cut to what was not sent; arena pieces are copied to shares
 * errors       -ENOMEM; all entries are dropped then, the stream is broken and must be closed
 */
int fw_outq_put_back(struct fw_outq *outq, struct fw_outq_entry *entries, unsigned entries_count);

/* Makes every arena piece safe beyond the turn, by copying it to a share.
 *
 * errors       -ENOMEM; the queue is then cut before that piece, and must be closed
 */
int fw_outq_keep(struct fw_outq *outq);

/* Drops all whole entries but the first, which may be partly on the wire, and says how many
 * published messages that were. They count as left behind. */
uint32_t fw_outq_drop_unbegun(struct fw_outq *outq, bool first_begun);

/* Drops the entries that `drops` says, which is asked for each from the first on, but not for one
 * that is partly on the wire. Their messages count as dropped.
 *
 * returns      how many messages those were
 */
uint32_t fw_outq_filter(struct fw_outq *outq, bool first_begun,
                        bool (*drops)(const struct fw_outq_entry *entry, void *context),
                        void *context);

#endif
