/* ws_deflate.c: the coders of permessage-deflate (RFC 7692, section 7.2), and their memory.
 *
 * zlib does the work, raw and streaming: each message ends in a sync flush, whose 00 00 ff ff is
 * cut off and put back. An inflater walks
 *
 *   ended --begin--> open --all eaten, and the tail is the empty block that it was--> ended
 *                     |
 *                     +--any error--> failed: status says why, until a fresh begin
 *
 * The negotiation is in ws_deflate_offer.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/ws_deflate.h"

#include "base/check.h"
#include "base/mem.h"
#include "fanwire/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#if ZLIB_VERNUM < 0x12c0
#error "zlib 1.2.12 or newer is needed (CVE-2018-25032)"
#endif

/* What ends a sync flush (RFC 7692, section 7.2.1). */
static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};

/* Windows of the encodings, by encoding - 1. */
static const uint8_t encoding_bits[FW_WS_DEFLATE_ENCODINGS] = {15, 12, 9};

/* Good and fast, as zlib counts: 6 packs 1 KB of ticks to 31 % in 13 us, 16 KB of text to 32 % in
 * 430 us; 1 needs 115 us for that text and gets 38 %. */
#define LEVEL_GOOD 6
#define LEVEL_FAST 1

/* zlib's memory levels. A shared deflater can afford 8, which spares incompressible messages two
 * thirds of their time; a context of a connection's own is smaller at 5, and shrinks as well. */
#define MEMORY_SHARED  8
#define MEMORY_CONTEXT 5

struct fw_ws_deflater {
    z_stream stream;
    size_t heap_bytes;
    bool broken; /* it knows of other octets than the peer: the next message starts afresh */
};

struct fw_ws_inflater {
    z_stream stream;
    size_t heap_bytes;
    uint64_t left; /* octets that the message may still become */
    bool open;     /* a message is begun, and not at its end */
    int status;
};

/* ---- zlib's memory --------------------------------------------------------------------------- */

static void *zlib_alloc(void *opaque, uInt items, uInt size)
{
    size_t *heap_bytes = opaque;
    void *block = fw_mem_alloc((size_t)items * size);
    if (block != NULL)
        *heap_bytes += (size_t)items * size;
    return block;
}

/* Memory goes only when its coder does, or a window makes place for one of another size, which ours
 * never do: there is nothing to count. */
static void zlib_free(void *opaque, void *block)
{
    (void)opaque;
    fw_mem_free(block);
}

static void zlib_prepare(z_stream *stream, size_t *heap_bytes, size_t own_bytes)
{
    *heap_bytes = own_bytes;
    stream->zalloc = zlib_alloc;
    stream->zfree = zlib_free;
    stream->opaque = heap_bytes;
}

bool fw_ws_deflate_version_good(const char *version)
{
    static const unsigned long needed[] = {1, 2, 12};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        char *end;
        if (*version < '0' || *version > '9')
            return false;
        unsigned long part = strtoul(version, &end, 10);
        if (part != needed[i])
            return part > needed[i];
        version = *end == '.' ? end + 1 : end;
    }
    return true;
}

const char *fw_ws_deflate_version(void)
{
    return zlibVersion();
}

/* ---- deflater -------------------------------------------------------------------------------- */

static void deflater_destroy(struct fw_ws_deflater *deflater)
{
    if (deflater == NULL)
        return;
    deflateEnd(&deflater->stream);
    fw_mem_free(deflater);
}

static struct fw_ws_deflater *deflater_create(int bits, int memory_level)
{
    struct fw_ws_deflater *deflater = fw_mem_zero(sizeof *deflater);
    if (deflater == NULL)
        return NULL;
    zlib_prepare(&deflater->stream, &deflater->heap_bytes, sizeof *deflater);
    int result = deflateInit2(&deflater->stream, LEVEL_GOOD, Z_DEFLATED, -bits, memory_level,
                              Z_DEFAULT_STRATEGY);
    if (result == Z_OK)
        return deflater;
    fw_assert(result == Z_MEM_ERROR);
    fw_mem_free(deflater);
    return NULL;
}

unsigned fw_ws_deflate_encoding(unsigned own_bits)
{
    fw_assert(own_bits >= FW_WS_DEFLATE_BITS_MIN && own_bits <= FW_WS_DEFLATE_BITS_MAX);
    for (unsigned i = 0; i < FW_WS_DEFLATE_ENCODINGS; i++) {
        if (own_bits >= encoding_bits[i])
            return i + 1;
    }
    return 0;
}

/* Forgets all that came before. Right after a reset the level may be changed at no cost. */
static void deflater_reset(struct fw_ws_deflater *deflater, size_t message_bytes)
{
    int level = message_bytes > FW_WS_DEFLATE_GOOD_BYTES_MAX ? LEVEL_FAST : LEVEL_GOOD;
    int result = deflateReset(&deflater->stream);
    if (result == Z_OK)
        result = deflateParams(&deflater->stream, level, Z_DEFAULT_STRATEGY);
    fw_assert(result == Z_OK);
    deflater->broken = false;
}

ssize_t fw_ws_deflater_pack(struct fw_ws_deflater *deflater, struct fw_bytes message, bool fresh,
                            uint8_t *out, size_t out_room)
{
    z_stream *stream = &deflater->stream;
    fw_assert(message.count <= UINT32_MAX && out_room >= FW_WS_DEFLATE_SPARE_BYTES + 1);
    deflater->broken = deflater->broken || fresh;
    if (message.count == 0) {
        /* Section 7.2.3.6. zlib flushes nothing when there is nothing new. */
        out[0] = 0x00;
        return 1;
    }
    if (deflater->broken)
        deflater_reset(deflater, message.count);
    size_t room = out_room < UINT32_MAX ? out_room : UINT32_MAX;
    stream->next_in = message.at;
    stream->avail_in = (uInt)message.count;
    stream->next_out = out;
    stream->avail_out = (uInt)room;
    int result = deflate(stream, Z_SYNC_FLUSH);
    size_t packed = room - stream->avail_out;
    stream->next_in = NULL;
    if (result != Z_OK || stream->avail_out == 0) {
        deflater->broken = true;
        return FW_ERR_LIMIT;
    }
    fw_assert(stream->avail_in == 0 && packed > sizeof tail);
    fw_assert(memcmp(out + packed - sizeof tail, tail, sizeof tail) == 0);
    return (ssize_t)(packed - sizeof tail);
}

/* ---- inflater -------------------------------------------------------------------------------- */

static void inflater_destroy(struct fw_ws_inflater *inflater)
{
    if (inflater == NULL)
        return;
    inflateEnd(&inflater->stream);
    fw_mem_free(inflater);
}

static struct fw_ws_inflater *inflater_create(int bits)
{
    struct fw_ws_inflater *inflater = fw_mem_zero(sizeof *inflater);
    if (inflater == NULL)
        return NULL;
    zlib_prepare(&inflater->stream, &inflater->heap_bytes, sizeof *inflater);
    int result = inflateInit2(&inflater->stream, -bits);
    if (result == Z_OK)
        return inflater;
    fw_assert(result == Z_MEM_ERROR);
    fw_mem_free(inflater);
    return NULL;
}

void fw_ws_inflater_begin(struct fw_ws_inflater *inflater, struct fw_bytes message,
                          uint64_t bytes_max, bool fresh)
{
    fw_assert(message.count <= UINT32_MAX);
    if (fresh) {
        int result = inflateReset(&inflater->stream);
        fw_assert(result == Z_OK);
        inflater->status = 0;
    } else if (inflater->open && inflater->status == 0) {
        inflater->status = FW_ERR_WS_INFLATE; /* a message was left half-way: the context with it */
    }
    inflater->left = bytes_max;
    inflater->open = true;
    inflater->stream.next_in = message.at;
    inflater->stream.avail_in = (uInt)message.count;
}

/* One call of zlib's, errors translated. */
static int inflate_once(z_stream *stream, int flush)
{
    int result = inflate(stream, flush);
    if (result == Z_STREAM_END) /* more blocks may follow the "last" one: section 7.2.3.4 */
        result = inflateResetKeep(stream);
    if (result == Z_OK || result == Z_BUF_ERROR)
        return 0;
    return result == Z_MEM_ERROR ? FW_ERR_WS_MEMORY : FW_ERR_WS_INFLATE;
}

/* The body is eaten, and all that it holds is written: puts the tail back.
 *
 * zlib stops behind each block of it (Z_BLOCK) and tells there, in data_type, whether it stands
 * between two blocks (128) with no bits left over. Only there has a message ended: one that was cut
 * short, or whose last block says that it is the last with nothing after it, takes the tail for
 * something else.
 */
static int inflate_tail(struct fw_ws_inflater *inflater)
{
    z_stream *stream = &inflater->stream;
    uInt room = stream->avail_out;
    stream->next_in = tail;
    stream->avail_in = sizeof tail;
    while (stream->avail_in > 0) {
        int status = inflate_once(stream, Z_BLOCK);
        if (status != 0)
            return status;
        if (stream->avail_out < room)
            return FW_ERR_WS_INFLATE;
    }
    if (stream->data_type != 128)
        return FW_ERR_WS_INFLATE;
    inflater->open = false;
    return 0;
}

/* Inflates until the message ends or `room` octets are written. */
static int inflate_some(struct fw_ws_inflater *inflater, uint8_t *out, size_t room)
{
    z_stream *stream = &inflater->stream;
    stream->next_out = out;
    stream->avail_out = (uInt)room;
    while (inflater->open && stream->avail_out > 0) {
        int status = inflate_once(stream, Z_SYNC_FLUSH);
        if (status == 0 && stream->avail_in == 0 && stream->avail_out > 0)
            status = inflate_tail(inflater);
        if (status != 0)
            return status;
    }
    return 0;
}

ssize_t fw_ws_inflater_next(struct fw_ws_inflater *inflater, uint8_t *out, size_t out_room)
{
    uint8_t beyond; /* at the limit one octet more is asked for, to see whether there is one */
    bool full = inflater->left == 0;
    fw_assert(out_room > 0);
    if (inflater->status != 0)
        return inflater->status;
    size_t room = out_room < FW_WS_INFLATE_STEP_BYTES ? out_room : FW_WS_INFLATE_STEP_BYTES;
    if (room > inflater->left)
        room = full ? 1 : (size_t)inflater->left;
    int status = inflate_some(inflater, full ? &beyond : out, room);
    size_t count = room - inflater->stream.avail_out;
    if (status == 0 && full && count > 0)
        status = FW_ERR_WS_MESSAGE_TOO_LARGE;
    if (status != 0) {
        inflater->status = status;
        return status;
    }
    inflater->left -= full ? 0 : count;
    return (ssize_t)count;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What an inflater holds once it has worked: its window is made with the first octet. */
static size_t see_inflater_bytes(int bits)
{
    static const uint8_t message[] = {0x4a, 0x04, 0x00}; /* "a" */
    uint8_t out[4];
    struct fw_ws_inflater *inflater = inflater_create(bits);
    if (inflater == NULL)
        return 0;
    fw_ws_inflater_begin(inflater, (struct fw_bytes){message, sizeof message}, sizeof out, true);
    ssize_t count = fw_ws_inflater_next(inflater, out, sizeof out);
    size_t bytes = count == 1 ? inflater->heap_bytes : 0;
    inflater_destroy(inflater);
    return bytes;
}

static size_t see_deflater_bytes(int bits)
{
    struct fw_ws_deflater *deflater = deflater_create(bits, MEMORY_CONTEXT);
    size_t bytes = deflater == NULL ? 0 : deflater->heap_bytes;
    deflater_destroy(deflater);
    return bytes;
}

/* Windows of the contexts that a connection's agreement leads to. zlib's raw inflater cannot do
 * with less than 8 bits, nor its deflater with less than 9. */
static int own_context_bits(const struct fw_ws_deflate *agreed)
{
    return agreed->own_bits < FW_WS_DEFLATE_CONTEXT_BITS ? agreed->own_bits
                                                         : FW_WS_DEFLATE_CONTEXT_BITS;
}

/* Sees what each size of context takes, so that promises are what zlib will really ask for. */
static int see_context_bytes(struct fw_ws_deflate_pool *pool)
{
    for (int bits = FW_WS_DEFLATE_BITS_MIN; bits <= FW_WS_DEFLATE_BITS_MAX; bits++) {
        pool->peer_bytes[bits] = (uint32_t)see_inflater_bytes(bits);
        if (pool->peer_bytes[bits] == 0)
            return -ENOMEM;
    }
    for (int bits = FW_WS_DEFLATE_OWN_BITS_MIN; bits <= FW_WS_DEFLATE_CONTEXT_BITS; bits++) {
        pool->own_bytes[bits] = (uint32_t)see_deflater_bytes(bits);
        if (pool->own_bytes[bits] == 0)
            return -ENOMEM;
    }
    return 0;
}

int fw_ws_deflate_pool_init(struct fw_ws_deflate_pool *pool, size_t contexts_bytes_max)
{
    *pool = (struct fw_ws_deflate_pool){.contexts_bytes_max = contexts_bytes_max};
    fw_assert(fw_ws_deflate_version_good(zlibVersion()));
    int result = contexts_bytes_max == 0 ? 0 : see_context_bytes(pool);
    if (result == 0)
        pool->inflater = inflater_create(FW_WS_DEFLATE_BITS_MAX);
    if (pool->inflater != NULL)
        return 0;
    fw_ws_deflate_pool_clear(pool);
    return -ENOMEM;
}

void fw_ws_deflate_pool_clear(struct fw_ws_deflate_pool *pool)
{
    fw_assert(pool->contexts_bytes == 0);
    inflater_destroy(pool->inflater);
    for (size_t i = 0; i < FW_WS_DEFLATE_ENCODINGS; i++)
        deflater_destroy(pool->deflaters[i]);
    *pool = (struct fw_ws_deflate_pool){0};
}

bool fw_ws_deflate_pool_has_room(const struct fw_ws_deflate_pool *pool)
{
    size_t most = sizeof(struct fw_ws_deflate_context) +
                  pool->own_bytes[FW_WS_DEFLATE_CONTEXT_BITS] +
                  pool->peer_bytes[FW_WS_DEFLATE_BITS_MAX];
    return pool->contexts_bytes_max >= most &&
           pool->contexts_bytes <= pool->contexts_bytes_max - most;
}

struct fw_ws_deflater *fw_ws_deflate_pool_deflater(struct fw_ws_deflate_pool *pool,
                                                   unsigned encoding)
{
    fw_assert(encoding >= 1 && encoding <= FW_WS_DEFLATE_ENCODINGS);
    struct fw_ws_deflater **deflater = &pool->deflaters[encoding - 1];
    if (FW_UNLIKELY(*deflater == NULL))
        *deflater = deflater_create(encoding_bits[encoding - 1], MEMORY_SHARED);
    return *deflater;
}

struct fw_ws_deflate_context *fw_ws_deflate_context_create(struct fw_ws_deflate_pool *pool,
                                                           const struct fw_ws_deflate *agreed)
{
    fw_assert(agreed->own_takeover || agreed->peer_takeover);
    fw_assert(!agreed->own_takeover || agreed->own_bits >= FW_WS_DEFLATE_OWN_BITS_MIN);
    size_t bytes = sizeof(struct fw_ws_deflate_context);
    if (agreed->own_takeover)
        bytes += pool->own_bytes[own_context_bits(agreed)];
    if (agreed->peer_takeover)
        bytes += pool->peer_bytes[agreed->peer_bits];
    if (bytes > pool->contexts_bytes_max || pool->contexts_bytes > pool->contexts_bytes_max - bytes)
        return NULL;
    struct fw_ws_deflate_context *context = fw_mem_alloc(sizeof *context);
    if (context == NULL)
        return NULL;
    *context = (struct fw_ws_deflate_context){.agreed = *agreed, .promised_bytes = bytes};
    pool->contexts_bytes += bytes;
    return context;
}

void fw_ws_deflate_context_destroy(struct fw_ws_deflate_pool *pool,
                                   struct fw_ws_deflate_context *context)
{
    if (context == NULL)
        return;
    fw_assert(pool->contexts_bytes >= context->promised_bytes);
    pool->contexts_bytes -= context->promised_bytes;
    deflater_destroy(context->deflater);
    inflater_destroy(context->inflater);
    fw_mem_free(context);
}

struct fw_ws_deflater *fw_ws_deflate_context_deflater(struct fw_ws_deflate_context *context)
{
    fw_assert(context->agreed.own_takeover);
    if (context->deflater == NULL)
        context->deflater = deflater_create(own_context_bits(&context->agreed), MEMORY_CONTEXT);
    return context->deflater;
}

struct fw_ws_inflater *fw_ws_deflate_context_inflater(struct fw_ws_deflate_context *context)
{
    fw_assert(context->agreed.peer_takeover);
    if (context->inflater == NULL)
        context->inflater = inflater_create(context->agreed.peer_bits);
    return context->inflater;
}

size_t fw_ws_deflate_context_heap_bytes(const struct fw_ws_deflate_context *context)
{
    size_t bytes = sizeof *context;
    if (context->deflater != NULL)
        bytes += context->deflater->heap_bytes;
    if (context->inflater != NULL)
        bytes += context->inflater->heap_bytes;
    return bytes;
}
