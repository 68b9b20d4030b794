/* publications.h: what a session publishes, noted, and compared with the JSON that asked for it.
 *
 * For fuzz_command.c and fuzz_batch.c; the comparison reads the JSON anew and decodes base64 by
 * itself (RFC 4648, section 4).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_PUBLICATIONS_H
#define TESTS_FUZZ_PUBLICATIONS_H

#include "base/topic_name.h"
#include "fuzz/target.h"
#include "support/fake_host.h"

#include <fanwire/status.h>
#include <fanwire/types.h>
#include <jansson.h>

#define NOTED_MAX          64
#define NOTED_PAYLOAD_MAX  16384
#define NOTED_OFFSET_FIRST 7

/* One publication. */
struct noted {
    char topic[FW_TOPIC_NAME_BYTES_MAX + 1];
    uint8_t payload[NOTED_PAYLOAD_MAX];
    size_t payload_count;
    uint8_t key[NOTED_PAYLOAD_MAX];
    size_t key_count;
    uint32_t lives_ms;
    uint8_t type;
};

static struct noted noted[NOTED_MAX];
static size_t noted_count;

static inline size_t note_bytes(uint8_t *out, struct fw_bytes bytes)
{
    require(bytes.count <= NOTED_PAYLOAD_MAX, "it is no larger than what asked for it");
    if (bytes.count > 0)
        memcpy(out, bytes.at, bytes.count);
    return bytes.count;
}

/* In place of the host's publish: as that one answers, but each publication has its own offset. */
static inline int note_publication(struct fw_session *session, struct fw_bytes topic,
                                   const struct fw_publication *publication,
                                   struct fw_published *published_out)
{
    (void)session;
    if (!fw_topic_name_valid(topic))
        return FW_ERR_TOPIC;
    require(noted_count < NOTED_MAX, "no more publications than commands");
    struct noted *here = &noted[noted_count];
    memcpy(here->topic, topic.at, topic.count);
    here->topic[topic.count] = '\0';
    here->payload_count = note_bytes(here->payload, publication->payload);
    here->key_count = note_bytes(here->key, publication->key);
    here->lives_ms = publication->lives_ms;
    here->type = publication->type;
    *published_out =
        (struct fw_published){.epoch = 0xabc, .offset = NOTED_OFFSET_FIRST + noted_count++};
    return 0;
}

static inline void note_publications(struct fake_host *fake)
{
    noted_count = 0;
    fake->upward = *fake->host.up;
    fake->upward.publish = note_publication;
    fake->host.up = &fake->upward;
}

static inline int base64_digit(uint8_t c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Decodes groups of four, of which the last may be padded. False for anything else. */
static inline bool base64_is(struct fw_bytes text, struct fw_bytes wanted)
{
    size_t made = 0;
    if (text.count % 4 != 0)
        return false;
    for (size_t i = 0; i < text.count; i += 4) {
        bool last = i + 4 == text.count;
        unsigned padding = !last || text.at[i + 3] != '=' ? 0 : text.at[i + 2] != '=' ? 1 : 2;
        unsigned bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = j < 4 - padding ? base64_digit(text.at[i + j]) : 0;
            if (digit < 0)
                return false;
            bits = bits << 6 | (unsigned)digit;
        }
        for (unsigned j = 0; j < 3 - padding; j++) {
            if (made == wanted.count || wanted.at[made++] != (uint8_t)(bits >> (16 - 8 * j)))
                return false;
        }
    }
    return made == wanted.count;
}

static inline bool bytes_are(const json_t *string, const uint8_t *bytes, size_t count)
{
    return json_string_length(string) == count &&
           memcmp(json_string_value(string), bytes, count) == 0;
}

static inline void require_payload(const json_t *object, const struct noted *here)
{
    const json_t *text = json_object_get(object, "text");
    const json_t *json = json_object_get(object, "json");
    const json_t *base64 = json_object_get(object, "base64");
    require((json_is_string(text) != 0) + (json != NULL) + (json_is_string(base64) != 0) == 1,
            "one payload");
    require(here->type == (json_is_string(base64) ? FW_BINARY : FW_TEXT), "its type");
    if (json_is_string(text)) {
        require(bytes_are(text, here->payload, here->payload_count), "the text");
    } else if (json_is_string(base64)) {
        struct fw_bytes digits = {(const uint8_t *)json_string_value(base64),
                                  json_string_length(base64)};
        require(base64_is(digits, (struct fw_bytes){here->payload, here->payload_count}),
                "the octets");
    } else {
        json_t *again = json_loadb((const char *)here->payload, here->payload_count,
                                   JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
        require(again != NULL && json_equal(again, json), "the value");
        json_decref(again);
    }
}

/* Holds a publication against the object that asked for it.
 *
 * topic        the member that names the topic
 */
static inline void require_publication(const json_t *object, const char *topic,
                                       const struct noted *here)
{
    const json_t *key = json_object_get(object, "key");
    const json_t *expires = json_object_get(object, "expires");
    require(bytes_are(json_object_get(object, topic), (const uint8_t *)here->topic,
                      strlen(here->topic)),
            "the topic");
    require(key == NULL ? here->key_count == 0
                        : json_is_string(key) && bytes_are(key, here->key, here->key_count),
            "the key");
    double least_ms = expires == NULL ? 0 : json_number_value(expires) * 1000 - 1;
    require(expires == NULL ? here->lives_ms == 0
                            : here->lives_ms >= 1 && here->lives_ms >= least_ms &&
                                  here->lives_ms <= least_ms + 2,
            "how long it lives");
    require_payload(object, here);
}

#endif
