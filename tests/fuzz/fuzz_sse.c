/* fuzz_sse.c: libFuzzer target of the data lines of event streams (WHATWG HTML, section 9.2.6).
 *
 * The input is a payload. The oracle: a reader that follows the standard's steps finds exactly one
 * event in what is written, without a type or an id, and its data is the payload with every end of
 * line as LF; what stands before and behind is read as ever. So no payload forges a field or an
 * event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "proto/sse.h"

#define PAYLOAD_BYTES_MAX 4096

static const char before[] = "id: 1\nevent: reset\ndata: x\n\n";
static const char behind[] = ": end\ndata: y\n\n";

/* A reader in the middle of a stream. */
struct reader {
    uint8_t *data; /* the buffer of the event at hand, each line with its LF */
    size_t data_count;
    size_t ids;   /* fields of that name */
    size_t types; /* the same */
    size_t others;
    size_t events;
    uint8_t *last; /* the data of the last event */
    size_t last_count;
};

static bool is_field(struct fw_bytes name, const char *wanted)
{
    return fw_bytes_equal(name, fw_bytes_of(wanted));
}

static void read_field(struct reader *reader, struct fw_bytes line)
{
    struct fw_bytes value = line;
    struct fw_bytes name = cut_at(&value, ':');
    if (value.count > 0 && value.at[0] == ' ')
        value = (struct fw_bytes){value.at + 1, value.count - 1};
    if (is_field(name, "data")) {
        if (value.count > 0)
            memcpy(reader->data + reader->data_count, value.at, value.count);
        reader->data_count += value.count;
        reader->data[reader->data_count++] = '\n';
    } else if (is_field(name, "id")) {
        reader->ids++;
    } else if (is_field(name, "event")) {
        reader->types++;
    } else if (name.count > 0) {
        reader->others++;
    }
}

static void dispatch(struct reader *reader)
{
    if (reader->data_count == 0)
        return;
    reader->last_count = reader->data_count - 1; /* without the last LF */
    memcpy(reader->last, reader->data, reader->last_count);
    reader->data_count = 0;
    reader->events++;
}

/* Lines end in CR LF, LF or CR. */
static void read_stream(struct reader *reader, const uint8_t *in, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        size_t count = 0;
        while (at + count < bytes && in[at + count] != '\n' && in[at + count] != '\r')
            count++;
        if (at + count == bytes)
            return; /* a line that is not whole is not read */
        if (count == 0)
            dispatch(reader);
        else
            read_field(reader, (struct fw_bytes){in + at, count});
        at += count;
        at += in[at] == '\r' && at + 1 < bytes && in[at + 1] == '\n' ? 2 : 1;
    }
}

/* The payload as its reader gets it. */
static size_t normalize(struct fw_bytes payload, uint8_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < payload.count; i++) {
        if (payload.at[i] == '\n' && i > 0 && payload.at[i - 1] == '\r')
            continue;
        out[count++] = payload.at[i] == '\r' ? '\n' : payload.at[i];
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t lines[PAYLOAD_BYTES_MAX + 1];
    static uint8_t last[PAYLOAD_BYTES_MAX + 1];
    static uint8_t wanted[PAYLOAD_BYTES_MAX];
    struct reader reader = {.data = lines, .last = last};
    if (size > PAYLOAD_BYTES_MAX)
        return -1;
    uint8_t *copy = block_of(data, size);
    struct fw_bytes payload = {copy, size};
    size_t bytes = fw_sse_data_bytes(payload);
    uint8_t *out = malloc(bytes); /* not an octet more */
    require(out != NULL, "memory");
    require(fw_sse_data_write(payload, out) == bytes, "as many octets as were announced");

    read_stream(&reader, (const uint8_t *)before, sizeof before - 1);
    read_stream(&reader, out, bytes);
    size_t wanted_count = normalize(payload, wanted);
    require(reader.events == 2 && reader.ids == 1 && reader.types == 1 && reader.others == 0,
            "one event, and no field but data");
    require(reader.last_count == wanted_count && memcmp(last, wanted, wanted_count) == 0,
            "the data is the payload");
    read_stream(&reader, (const uint8_t *)behind, sizeof behind - 1);
    require(reader.events == 3 && reader.last_count == 1 && last[0] == 'y', "what comes behind");
    free(out);
    free(copy);
    return 0;
}
