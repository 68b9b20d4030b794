/* outq.c: see outq.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/outq.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define CAPACITY_START 8u

/* A ring of entries: `count` of them from `head` on. */
struct fw_outq_more {
    uint32_t head;
    uint32_t count;
    uint32_t capacity; /* a power of two */
    struct fw_outq_entry entries[];
};

static inline struct fw_outq_entry *at(struct fw_outq_more *more, uint32_t i)
{
    return &more->entries[(more->head + i) & (more->capacity - 1)];
}

void fw_outq_init(struct fw_outq *outq)
{
    *outq = (struct fw_outq){0};
}

size_t fw_outq_block_bytes(const struct fw_outq *outq)
{
    const struct fw_outq_more *more = outq->more;
    return more == NULL ? 0 : sizeof *more + more->capacity * sizeof more->entries[0];
}

/* An entry's reference ends: it was sent, or (drop) it was not. */
static void release(struct fw_share *share)
{
    if (share != NULL)
        fw_share_drop(share);
}

static void drop(struct fw_share *share)
{
    if (share == NULL)
        return;
    fw_share_withdraw(share, false);
    fw_share_drop(share);
}

void fw_outq_clear(struct fw_outq *outq)
{
    if (outq->first_bytes != NULL)
        drop(outq->first_share);
    if (outq->more != NULL) {
        for (uint32_t i = 0; i < outq->more->count; i++)
            drop(at(outq->more, i)->share);
        fw_mem_free(outq->more);
    }
    fw_outq_init(outq);
}

/* Makes room for one more entry behind the first. */
static int reserve(struct fw_outq *outq)
{
    struct fw_outq_more *old = outq->more;
    if (old != NULL && old->count < old->capacity)
        return 0;
    uint32_t wanted = old == NULL ? CAPACITY_START : old->capacity * 2;
    struct fw_outq_more *more = fw_mem_alloc(sizeof *more + wanted * sizeof more->entries[0]);
    if (more == NULL)
        return -ENOMEM;
    *more = (struct fw_outq_more){.capacity = wanted};
    if (old != NULL) {
        for (; more->count < old->count; more->count++)
            more->entries[more->count] = *at(old, more->count);
        fw_mem_free(old);
    }
    outq->more = more;
    return 0;
}

bool fw_outq_extend_last(struct fw_outq *outq, const uint8_t *bytes, size_t bytes_count)
{
    struct fw_outq_entry *last = at(outq->more, outq->more->count - 1);
    if (last->share != NULL || last->bytes + last->bytes_count != bytes)
        return false;
    fw_assert(bytes_count <= UINT32_MAX - outq->queued_bytes);
    last->bytes_count += (uint32_t)bytes_count;
    outq->queued_bytes += (uint32_t)bytes_count;
    return true;
}

int fw_outq_push(struct fw_outq *outq, const uint8_t *bytes, size_t bytes_count,
                 struct fw_share *share)
{
    fw_assert(bytes_count > 0 && bytes_count <= UINT32_MAX - outq->queued_bytes);
    uint32_t count = (uint32_t)bytes_count;
    if (fw_outq_empty(outq)) {
        outq->first_bytes = bytes;
        outq->first_share = share;
        outq->first_count = count;
    } else if (share == NULL && fw_outq_extend(outq, bytes, bytes_count)) {
        return 0;
    } else {
        if (reserve(outq) != 0)
            return -ENOMEM;
        *at(outq->more, outq->more->count++) =
            (struct fw_outq_entry){.bytes = bytes, .share = share, .bytes_count = count};
    }
    outq->queued_bytes += count;
    if (share != NULL)
        fw_share_hold(share);
    return 0;
}

/* The first entry is gone: the next one takes its place. */
static void shift(struct fw_outq *outq)
{
    struct fw_outq_more *more = outq->more;
    if (more == NULL) {
        outq->first_bytes = NULL;
        return;
    }
    struct fw_outq_entry *next = at(more, 0);
    outq->first_bytes = next->bytes;
    outq->first_share = next->share;
    outq->first_count = next->bytes_count;
    more->head++;
    if (--more->count == 0) {
        fw_mem_free(more);
        outq->more = NULL;
    }
}

unsigned fw_outq_take(struct fw_outq *outq, struct fw_outq_entry *entries_out, unsigned entries_max)
{
    unsigned count = 0;
    while (count < entries_max && !fw_outq_empty(outq)) {
        entries_out[count++] = (struct fw_outq_entry){
            .bytes = outq->first_bytes,
            .share = outq->first_share,
            .bytes_count = outq->first_count,
        };
        outq->queued_bytes -= outq->first_count;
        shift(outq);
    }
    return count;
}

/* Writes a piece of at most `room` bytes; returns its size. */
static size_t show(const uint8_t *bytes, uint32_t bytes_count, size_t room, struct iovec *piece_out)
{
    size_t count = bytes_count < room ? bytes_count : room;
    *piece_out = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return count;
}

unsigned fw_outq_peek(const struct fw_outq *outq, struct iovec *pieces_out, unsigned pieces_max,
                      size_t bytes_max)
{
    if (fw_outq_empty(outq) || pieces_max == 0)
        return 0;
    size_t room = bytes_max - show(outq->first_bytes, outq->first_count, bytes_max, &pieces_out[0]);
    unsigned count = 1;
    for (uint32_t i = 0; outq->more != NULL && i < outq->more->count; i++) {
        if (count == pieces_max || room == 0)
            break;
        const struct fw_outq_entry *entry = at(outq->more, i);
        room -= show(entry->bytes, entry->bytes_count, room, &pieces_out[count++]);
    }
    return count;
}

bool fw_outq_skip(struct fw_outq *outq, size_t bytes)
{
    fw_assert(bytes <= outq->queued_bytes);
    outq->queued_bytes -= (uint32_t)bytes;
    while (!fw_outq_empty(outq) && bytes >= outq->first_count) {
        bytes -= outq->first_count;
        release(outq->first_share);
        shift(outq);
    }
    if (bytes == 0)
        return false;
    outq->first_bytes += bytes;
    outq->first_count -= (uint32_t)bytes;
    return true;
}

/* Copies an arena piece to a share of its own. */
static int keep(const uint8_t **bytes, struct fw_share **share, uint32_t bytes_count)
{
    if (*share != NULL)
        return 0;
    struct fw_share *own = fw_share_create(bytes_count);
    if (own == NULL)
        return -ENOMEM;
    memcpy(own->own, *bytes, bytes_count);
    *bytes = own->bytes;
    *share = own;
    return 0;
}

/* Puts one entry in front of all others. */
static int unshift(struct fw_outq *outq, const struct fw_outq_entry *entry)
{
    if (!fw_outq_empty(outq)) {
        if (reserve(outq) != 0)
            return -ENOMEM;
        outq->more->head--;
        outq->more->count++;
        *at(outq->more, 0) = (struct fw_outq_entry){.bytes = outq->first_bytes,
                                                    .share = outq->first_share,
                                                    .bytes_count = outq->first_count};
    }
    outq->first_bytes = entry->bytes;
    outq->first_share = entry->share;
    outq->first_count = entry->bytes_count;
    outq->queued_bytes += entry->bytes_count;
    return 0;
}

int fw_outq_put_back(struct fw_outq *outq, struct fw_outq_entry *entries, unsigned entries_count)
{
    while (entries_count > 0) {
        struct fw_outq_entry *entry = &entries[entries_count - 1];
        if (keep(&entry->bytes, &entry->share, entry->bytes_count) != 0 ||
            unshift(outq, entry) != 0) {
            for (unsigned i = 0; i < entries_count; i++)
                drop(entries[i].share);
            return -ENOMEM;
        }
        entries_count--;
    }
    return 0;
}

int fw_outq_keep(struct fw_outq *outq)
{
    if (fw_outq_empty(outq))
        return 0;
    if (keep(&outq->first_bytes, &outq->first_share, outq->first_count) != 0) {
        fw_outq_clear(outq);
        return -ENOMEM;
    }
    for (uint32_t i = 0; outq->more != NULL && i < outq->more->count; i++) {
        struct fw_outq_entry *entry = at(outq->more, i);
        if (keep(&entry->bytes, &entry->share, entry->bytes_count) != 0) {
            for (; outq->more->count > i; outq->more->count--) {
                struct fw_outq_entry *last = at(outq->more, outq->more->count - 1);
                outq->queued_bytes -= last->bytes_count;
                drop(last->share);
            }
            if (outq->more->count == 0) {
                fw_mem_free(outq->more);
                outq->more = NULL;
            }
            return -ENOMEM;
        }
    }
    return 0;
}

uint32_t fw_outq_drop_unbegun(struct fw_outq *outq, bool first_begun)
{
    uint32_t messages = 0;
    uint32_t kept = first_begun && !fw_outq_empty(outq) ? outq->first_count : 0;
    if (outq->more != NULL) {
        for (uint32_t i = 0; i < outq->more->count; i++) {
            struct fw_share *share = at(outq->more, i)->share;
            messages += share != NULL ? share->messages_count : 0;
            drop(share);
        }
        fw_mem_free(outq->more);
        outq->more = NULL;
    }
    if (kept == 0 && !fw_outq_empty(outq)) {
        messages += outq->first_share != NULL ? outq->first_share->messages_count : 0;
        drop(outq->first_share);
        outq->first_bytes = NULL;
    }
    outq->queued_bytes = kept;
    return messages;
}

/* Lets go of an entry; returns its messages. */
static uint32_t discard(struct fw_outq *outq, const struct fw_outq_entry *entry)
{
    uint32_t messages = 0;
    outq->queued_bytes -= entry->bytes_count;
    if (entry->share != NULL) {
        messages = entry->share->messages_count;
        fw_share_withdraw(entry->share, true);
        fw_share_drop(entry->share);
    }
    return messages;
}

uint32_t fw_outq_filter(struct fw_outq *outq, bool first_begun,
                        bool (*drops)(const struct fw_outq_entry *entry, void *context),
                        void *context)
{
    struct fw_outq_more *more = outq->more;
    if (fw_outq_empty(outq))
        return 0;
    const struct fw_outq_entry first = {
        .bytes = outq->first_bytes, .share = outq->first_share, .bytes_count = outq->first_count};
    bool drops_first = !first_begun && drops(&first, context);
    uint32_t messages = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; more != NULL && i < more->count; i++) {
        struct fw_outq_entry *entry = at(more, i);
        if (drops(entry, context))
            messages += discard(outq, entry);
        else
            *at(more, kept++) = *entry;
    }
    if (more != NULL && kept == 0) {
        fw_mem_free(more);
        outq->more = NULL;
    } else if (more != NULL) {
        more->count = kept;
    }
    if (drops_first) {
        messages += discard(outq, &first);
        shift(outq);
    }
    return messages;
}
