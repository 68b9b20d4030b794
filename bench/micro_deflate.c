/* micro_deflate.c: what compressing messages costs and saves: the libraries, levels and windows
 * that core/proto/ws_deflate was chosen from, and with.
 *
 * Each kind of message is a set of different ones, compressed one after the other as RFC 7692 has
 * them: each ends on a byte boundary, and the last four octets (00 00 ff ff) are not counted.
 * `fresh` forgets all earlier messages, as a message that is shared by many subscribers must;
 * `takeover` remembers them.
 *
 * zlib is always there; ISA-L (igzip) and libdeflate join where CMake finds them. libdeflate can
 * neither remember nor flush: it is here as the bound of what one message alone can be squeezed to.
 *
 *     fanwire-bench micro deflate [rounds [FILE]]     default 15; FILE is cut into pieces as one
 * more kind
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/micro.h"
#include "bench/micro_all.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#define MESSAGES_COUNT    64
#define MESSAGE_BYTES_MAX 16384
#define OUT_BYTES_MAX     (MESSAGE_BYTES_MAX + 4096)
#define TAIL_BYTES        4

/* ---- messages -------------------------------------------------------------------------------- */

struct message {
    uint8_t *bytes;
    size_t count;
};

struct kind {
    const char *title;
    void (*fill)(struct message *message, size_t bytes);
    size_t bytes;
};

static uint64_t random_state = 88172645463325252u;

static uint64_t roll(uint64_t sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % sides;
}

/* A quote of one of some dozens of instruments, as a ticker publishes it. */
static size_t put_tick(char *out, size_t room)
{
    static const char *const symbols[] = {"ALDR", "BIRC", "CEDR", "DOGW", "ELMT", "FNWR",
                                          "GORS", "HAZL", "IVYX", "JUNP", "KAPK", "LARC"};
    static uint64_t now_ms = 1718000000123;
    now_ms += roll(50);
    double price = 20 + (double)roll(40000) / 100;
    int count = snprintf(out, room,
                         "{\"symbol\":\"%s\",\"price\":%.2f,\"change\":%.2f,\"volume\":%d,"
                         "\"side\":\"%s\",\"at\":%llu}",
                         symbols[roll(12)], price, price / 100 - 2, (int)roll(100000),
                         roll(2) ? "buy" : "sell", (unsigned long long)now_ms);
    return (size_t)count < room ? (size_t)count : 0;
}

static void fill_tick(struct message *message, size_t bytes)
{
    message->count = put_tick((char *)message->bytes, bytes + 32);
}

/* Several quotes in an array: a snapshot. */
static void fill_ticks(struct message *message, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        message->bytes[at] = at == 0 ? '[' : ',';
        size_t count = put_tick((char *)message->bytes + at + 1, bytes + 1 - at);
        if (count == 0)
            break;
        at += 1 + count;
    }
    message->bytes[at] = ']';
    message->count = at + 1;
}

/* Words of English, the frequent ones more often, as sentences. */
static void fill_text(struct message *message, size_t bytes)
{
    static const char *const words[] = {
        "the",     "of",       "and",        "to",       "a",        "in",         "is",
        "that",    "for",      "it",         "was",      "on",       "with",       "as",
        "be",      "at",       "by",         "this",     "had",      "not",        "are",
        "but",     "from",     "or",         "have",     "an",       "they",       "which",
        "one",     "you",      "were",       "her",      "all",      "she",        "there",
        "would",   "their",    "we",         "him",      "been",     "has",        "when",
        "who",     "will",     "more",       "no",       "if",       "out",        "market",
        "price",   "trader",   "message",    "server",   "worker",   "minute",     "second",
        "history", "because",  "between",    "another",  "through",  "question",   "different",
        "number",  "small",    "large",      "evening",  "river",    "mountain",   "window",
        "letter",  "morning",  "government", "company",  "interest", "remember",   "together",
        "against", "children", "something",  "possible", "usually",  "subscriber", "compression",
        "balance", "journey",  "weather",    "thousand", "hundred",  "important",  "perhaps",
    };
    const size_t words_count = sizeof words / sizeof words[0];
    size_t at = 0;
    unsigned in_sentence = 0;
    while (at + 16 < bytes) {
        uint64_t pick = roll(words_count) * (roll(words_count) + 1) / words_count;
        const char *word = words[pick];
        size_t count = strlen(word);
        memcpy(message->bytes + at, word, count);
        at += count;
        if (in_sentence++ > 6 + roll(12)) {
            message->bytes[at++] = '.';
            in_sentence = 0;
        }
        message->bytes[at++] = ' ';
    }
    message->count = at;
}

/* Nothing to find: what is compressed or encrypted already. */
static void fill_random(struct message *message, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        message->bytes[i] = (uint8_t)roll(256);
    message->count = bytes;
}

static const struct kind kinds[] = {
    {"JSON tick, about 100 B", fill_tick, 100},
    {"JSON, two ticks, 200 B", fill_ticks, 200},
    {"JSON, 400 B", fill_ticks, 400},
    {"JSON snapshot, 1 KB", fill_ticks, 1024},
    {"text, 64 B", fill_text, 64},
    {"text, 128 B", fill_text, 128},
    {"text, 256 B", fill_text, 256},
    {"text, 16 KB", fill_text, 16384},
    {"incompressible, 1 KB", fill_random, 1024},
    {"incompressible, 16 KB", fill_random, 16384},
};

static struct message messages[MESSAGES_COUNT];
static size_t messages_bytes;

static void fill_messages(const struct kind *kind)
{
    messages_bytes = 0;
    for (size_t i = 0; i < MESSAGES_COUNT; i++) {
        kind->fill(&messages[i], kind->bytes);
        messages_bytes += messages[i].count;
    }
}

static FILE *own_file;

static void fill_from_file(struct message *message, size_t bytes)
{
    message->count = fread(message->bytes, 1, bytes, own_file);
}

/* Pieces that the file has enough of: a repeated one would flatter whoever remembers it. */
static size_t own_piece_bytes(void)
{
    long bytes = fseek(own_file, 0, SEEK_END) == 0 ? ftell(own_file) : -1;
    rewind(own_file);
    if (bytes < MESSAGES_COUNT)
        return 0;
    size_t piece = (size_t)bytes / MESSAGES_COUNT;
    return piece < MESSAGE_BYTES_MAX ? piece : MESSAGE_BYTES_MAX;
}

/* ---- coders ---------------------------------------------------------------------------------- */

struct choice {
    const char *name;
    const struct coder *coder;
    int level;
    int window_bits;
    int memory_level;
    bool takeover;
};

/* A library. The context of each is its own; `compress` and `inflate` take one message. */
struct coder {
    void *(*open)(const struct choice *choice);
    void (*close)(void *context);
    size_t (*compress)(void *context, const struct message *message, uint8_t *out, size_t room);
    size_t (*inflate)(void *context, const uint8_t *in, size_t in_bytes, uint8_t *out, size_t room);
    void (*restart)(void *context); /* both directions forget */
};

static size_t heap_bytes;

static void *counted_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    heap_bytes += (size_t)items * size;
    return malloc((size_t)items * size);
}

static void counted_free(void *opaque, void *block)
{
    (void)opaque;
    free(block);
}

static void stop(const char *what)
{
    fprintf(stderr, "micro deflate: %s\n", what);
    exit(1);
}

struct zlib_context {
    z_stream deflate;
    z_stream inflate;
    bool takeover;
};

static void *zlib_open(const struct choice *choice)
{
    struct zlib_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        stop("out of memory");
    context->takeover = choice->takeover;
    context->deflate.zalloc = context->inflate.zalloc = counted_alloc;
    context->deflate.zfree = context->inflate.zfree = counted_free;
    if (deflateInit2(&context->deflate, choice->level, Z_DEFLATED, -choice->window_bits,
                     choice->memory_level, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&context->inflate, -choice->window_bits) != Z_OK)
        stop("zlib does not start");
    return context;
}

static void zlib_close(void *opened)
{
    struct zlib_context *context = opened;
    deflateEnd(&context->deflate);
    inflateEnd(&context->inflate);
    free(context);
}

static size_t zlib_compress(void *opened, const struct message *message, uint8_t *out, size_t room)
{
    struct zlib_context *context = opened;
    z_stream *stream = &context->deflate;
    if (!context->takeover)
        deflateReset(stream);
    stream->next_in = message->bytes;
    stream->avail_in = (uInt)message->count;
    stream->next_out = out;
    stream->avail_out = (uInt)room;
    if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_out == 0)
        stop("zlib does not compress");
    return room - stream->avail_out - TAIL_BYTES;
}

static size_t zlib_inflate(void *opened, const uint8_t *in, size_t in_bytes, uint8_t *out,
                           size_t room)
{
    struct zlib_context *context = opened;
    z_stream *stream = &context->inflate;
    if (!context->takeover)
        inflateReset(stream);
    stream->next_in = (uint8_t *)(uintptr_t)in;
    stream->avail_in = (uInt)(in_bytes + TAIL_BYTES);
    stream->next_out = out;
    stream->avail_out = (uInt)room;
    if (inflate(stream, Z_SYNC_FLUSH) != Z_OK)
        stop("zlib does not inflate");
    return room - stream->avail_out;
}

static void zlib_restart(void *opened)
{
    struct zlib_context *context = opened;
    deflateReset(&context->deflate);
    inflateReset(&context->inflate);
}

static const struct coder zlib_coder = {zlib_open, zlib_close, zlib_compress, zlib_inflate,
                                        zlib_restart};

#ifdef HAVE_ISAL
struct isal_context {
    struct isal_zstream deflate;
    struct inflate_state inflate;
    uint8_t *level_buffer;
    bool takeover;
};

static void *isal_open(const struct choice *choice)
{
    static const uint32_t level_bytes[] = {ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT,
                                           ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};
    struct isal_context *context = aligned_alloc(64, (sizeof *context + 63) / 64 * 64);
    uint32_t bytes = level_bytes[choice->level];
    if (context == NULL)
        stop("out of memory");
    memset(context, 0, sizeof *context);
    context->takeover = choice->takeover;
    isal_deflate_init(&context->deflate);
    isal_inflate_init(&context->inflate);
    context->deflate.level = (uint32_t)choice->level;
    context->deflate.hist_bits = (uint16_t)choice->window_bits;
    context->deflate.flush = SYNC_FLUSH;
    context->level_buffer = bytes > 0 ? malloc(bytes) : NULL;
    context->deflate.level_buf = context->level_buffer;
    context->deflate.level_buf_size = bytes;
    heap_bytes += sizeof *context + bytes;
    return context;
}

static void isal_close(void *opened)
{
    struct isal_context *context = opened;
    free(context->level_buffer);
    free(context);
}

static size_t isal_compress(void *opened, const struct message *message, uint8_t *out, size_t room)
{
    struct isal_context *context = opened;
    struct isal_zstream *stream = &context->deflate;
    if (!context->takeover) {
        isal_deflate_reset(stream);
        stream->flush = SYNC_FLUSH;
    }
    stream->end_of_stream = 0;
    stream->next_in = message->bytes;
    stream->avail_in = (uint32_t)message->count;
    stream->next_out = out;
    stream->avail_out = (uint32_t)room;
    if (isal_deflate(stream) != COMP_OK || stream->avail_in > 0 || stream->avail_out == 0)
        stop("igzip does not compress");
    return room - stream->avail_out - TAIL_BYTES;
}

static size_t isal_inflate_one(void *opened, const uint8_t *in, size_t in_bytes, uint8_t *out,
                               size_t room)
{
    struct isal_context *context = opened;
    struct inflate_state *state = &context->inflate;
    if (!context->takeover)
        isal_inflate_reset(state);
    state->next_in = (uint8_t *)(uintptr_t)in;
    state->avail_in = (uint32_t)(in_bytes + TAIL_BYTES);
    state->next_out = out;
    state->avail_out = (uint32_t)room;
    if (isal_inflate(state) < 0)
        stop("igzip does not inflate");
    return room - state->avail_out;
}

static void isal_restart(void *opened)
{
    struct isal_context *context = opened;
    isal_deflate_reset(&context->deflate);
    context->deflate.flush = SYNC_FLUSH;
    isal_inflate_reset(&context->inflate);
}

static const struct coder isal_coder = {isal_open, isal_close, isal_compress, isal_inflate_one,
                                        isal_restart};
#endif

#ifdef HAVE_LIBDEFLATE
struct libdeflate_context {
    struct libdeflate_compressor *compressor;
    struct libdeflate_decompressor *decompressor;
};

static void *libdeflate_counted(size_t bytes)
{
    heap_bytes += bytes;
    return malloc(bytes);
}

static void *libdeflate_open(const struct choice *choice)
{
    struct libdeflate_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        stop("out of memory");
    libdeflate_set_memory_allocator(libdeflate_counted, free);
    context->compressor = libdeflate_alloc_compressor(choice->level);
    context->decompressor = libdeflate_alloc_decompressor();
    return context;
}

static void libdeflate_close(void *opened)
{
    struct libdeflate_context *context = opened;
    libdeflate_free_compressor(context->compressor);
    libdeflate_free_decompressor(context->decompressor);
    free(context);
}

static size_t libdeflate_compress(void *opened, const struct message *message, uint8_t *out,
                                  size_t room)
{
    struct libdeflate_context *context = opened;
    return libdeflate_deflate_compress(context->compressor, message->bytes, message->count, out,
                                       room);
}

static size_t libdeflate_inflate(void *opened, const uint8_t *in, size_t in_bytes, uint8_t *out,
                                 size_t room)
{
    struct libdeflate_context *context = opened;
    size_t count = 0;
    if (libdeflate_deflate_decompress(context->decompressor, in, in_bytes, out, room, &count) !=
        LIBDEFLATE_SUCCESS)
        stop("libdeflate does not inflate");
    return count;
}

static void libdeflate_restart(void *opened)
{
    (void)opened;
}

static const struct coder libdeflate_coder = {
    libdeflate_open, libdeflate_close, libdeflate_compress, libdeflate_inflate, libdeflate_restart};
#endif

static const struct choice choices[] = {
    {"zlib", &zlib_coder, 1, 15, 8, false},
    {"zlib", &zlib_coder, 1, 15, 5, false},
    {"zlib", &zlib_coder, 3, 15, 5, false},
    {"zlib", &zlib_coder, 4, 15, 5, false},
    {"zlib", &zlib_coder, 6, 15, 8, false},
    {"zlib", &zlib_coder, 6, 15, 5, false},
    {"zlib", &zlib_coder, 6, 15, 4, false},
    {"zlib", &zlib_coder, 6, 12, 5, false},
    {"zlib", &zlib_coder, 6, 9, 5, false},
    {"zlib", &zlib_coder, 9, 15, 8, false},
#ifdef HAVE_ISAL
    {"igzip", &isal_coder, 0, 15, 0, false},
    {"igzip", &isal_coder, 1, 15, 0, false},
    {"igzip", &isal_coder, 3, 15, 0, false},
#endif
#ifdef HAVE_LIBDEFLATE
    {"libdeflate", &libdeflate_coder, 1, 15, 0, false},
    {"libdeflate", &libdeflate_coder, 6, 15, 0, false},
    {"libdeflate", &libdeflate_coder, 12, 15, 0, false},
#endif
    {"zlib", &zlib_coder, 1, 15, 8, true},
    {"zlib", &zlib_coder, 6, 15, 8, true},
    {"zlib", &zlib_coder, 6, 13, 5, true},
    {"zlib", &zlib_coder, 6, 12, 5, true},
    {"zlib", &zlib_coder, 4, 12, 5, true},
    {"zlib", &zlib_coder, 1, 12, 5, true},
    {"zlib", &zlib_coder, 6, 11, 4, true},
    {"zlib", &zlib_coder, 6, 10, 3, true},
    {"zlib", &zlib_coder, 6, 9, 1, true},
#ifdef HAVE_ISAL
    {"igzip", &isal_coder, 0, 15, 0, true},
    {"igzip", &isal_coder, 1, 15, 0, true},
    {"igzip", &isal_coder, 3, 15, 0, true},
    {"igzip", &isal_coder, 1, 12, 0, true},
#endif
};
#define CHOICES_COUNT (sizeof choices / sizeof choices[0])

/* ---- measuring ------------------------------------------------------------------------------- */

/* The messages of one kind under one choice: what `run` repeats. */
struct job {
    const struct choice *choice;
    void *context;
    uint8_t *packed[MESSAGES_COUNT]; /* with their tails */
    size_t packed_bytes[MESSAGES_COUNT];
    size_t bytes; /* of all packed messages */
    size_t heap_bytes;
};

static uint8_t out[OUT_BYTES_MAX];

static void run_compress(void *context)
{
    struct job *job = context;
    job->choice->coder->restart(job->context); /* or it would know all that comes already */
    for (size_t i = 0; i < MESSAGES_COUNT; i++)
        job->choice->coder->compress(job->context, &messages[i], out, sizeof out);
    micro_touch(out);
}

static void run_inflate(void *context)
{
    struct job *job = context;
    job->choice->coder->restart(job->context);
    for (size_t i = 0; i < MESSAGES_COUNT; i++)
        job->choice->coder->inflate(job->context, job->packed[i], job->packed_bytes[i], out,
                                    sizeof out);
    micro_touch(out);
}

/* Compresses all messages once, and proves that they come out again. */
static void job_open(struct job *job, const struct choice *choice)
{
    const struct coder *coder = choice->coder;
    *job = (struct job){.choice = choice};
    heap_bytes = 0;
    job->context = coder->open(choice);
    for (size_t i = 0; i < MESSAGES_COUNT; i++) {
        size_t count = coder->compress(job->context, &messages[i], out, sizeof out);
        job->packed[i] = malloc(count + TAIL_BYTES);
        if (job->packed[i] == NULL)
            stop("out of memory");
        memcpy(job->packed[i], out, count + TAIL_BYTES);
        job->packed_bytes[i] = count;
        job->bytes += count;
    }
    for (size_t i = 0; i < MESSAGES_COUNT; i++) {
        size_t count =
            coder->inflate(job->context, job->packed[i], job->packed_bytes[i], out, sizeof out);
        if (count != messages[i].count || memcmp(out, messages[i].bytes, count) != 0)
            stop("a message did not come out as it went in");
    }
    job->heap_bytes = heap_bytes;
}

static void job_close(struct job *job)
{
    job->choice->coder->close(job->context);
    for (size_t i = 0; i < MESSAGES_COUNT; i++)
        free(job->packed[i]);
}

static void print_rows(const struct job *jobs, const double *pack_us, const double *inflate_us)
{
    for (size_t i = 0; i < CHOICES_COUNT; i++) {
        const struct choice *choice = jobs[i].choice;
        printf("%-10s %5d %6d %6d  %-8s %6.1f %% %10.2f %10.2f %10.1f\n", choice->name,
               choice->level, choice->window_bits, choice->memory_level,
               choice->takeover ? "takeover" : "fresh",
               100 * (double)jobs[i].bytes / (double)messages_bytes, pack_us[i], inflate_us[i],
               (double)jobs[i].heap_bytes / 1024);
    }
}

static double cpu_us(void (*run)(void *context), struct job *job)
{
    struct timespec from;
    struct timespec to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    run(job);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
}

/* Times every job once in each round, so that what disturbs one disturbs all; medians, per message.
 * CPU time, not the clock's: a run over 64 messages is longer than a time slice. */
static void compare(void (*run)(void *context), struct job *jobs, size_t rounds, double *us_out)
{
    static double us[CHOICES_COUNT][MICRO_ROUNDS_MAX];
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHOICES_COUNT; i++)
            us[i][round] = cpu_us(run, &jobs[i]);
    }
    for (size_t i = 0; i < CHOICES_COUNT; i++)
        us_out[i] = micro_median(us[i], rounds) / MESSAGES_COUNT;
}

static void measure(const struct kind *kind, size_t rounds)
{
    static struct job jobs[CHOICES_COUNT];
    double pack_us[CHOICES_COUNT];
    double inflate_us[CHOICES_COUNT];
    fill_messages(kind);
    for (size_t i = 0; i < CHOICES_COUNT; i++)
        job_open(&jobs[i], &choices[i]);
    compare(run_compress, jobs, rounds, pack_us);
    compare(run_inflate, jobs, rounds, inflate_us);
    printf("\n%s: %zu messages of %.0f B on average\n", kind->title, (size_t)MESSAGES_COUNT,
           (double)messages_bytes / MESSAGES_COUNT);
    printf("%-10s %5s %6s %6s  %-8s %8s %10s %10s %10s\n", "library", "level", "window", "memory",
           "context", "size", "us to pack", "us inflate", "KiB held");
    print_rows(jobs, pack_us, inflate_us);
    for (size_t i = 0; i < CHOICES_COUNT; i++)
        job_close(&jobs[i]);
}

int micro_deflate(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 15;
    if (argc > 3 || rounds < 1 || rounds > MICRO_ROUNDS_MAX) {
        fprintf(stderr, "usage: fanwire-bench micro deflate [rounds 1..%d [FILE]]\n",
                MICRO_ROUNDS_MAX);
        return 2;
    }
    for (size_t i = 0; i < MESSAGES_COUNT; i++) {
        messages[i].bytes = malloc(MESSAGE_BYTES_MAX + 64);
        if (messages[i].bytes == NULL)
            stop("out of memory");
    }
    printf("zlib %s; %lu rounds; the heap of a context is both directions\n", zlibVersion(),
           rounds);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        measure(&kinds[i], rounds);
    if (argc > 2) {
        own_file = fopen(argv[2], "rb");
        size_t piece = own_file == NULL ? 0 : own_piece_bytes();
        if (piece == 0)
            stop("the file cannot be read, or is too short");
        measure(&(struct kind){argv[2], fill_from_file, piece}, rounds);
        fclose(own_file);
    }
    for (size_t i = 0; i < MESSAGES_COUNT; i++)
        free(messages[i].bytes);
    return 0;
}
