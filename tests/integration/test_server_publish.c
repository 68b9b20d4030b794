/* test_server_publish.c: publishing from any thread (fanwire/pubsub.h): its errors, its order, and
 * what happens when a worker is behind. Thousands of subscribers are in test_fanout_large.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int publish(struct server *server, const char *topic, const char *text)
{
    return fw_publish(server->server, topic, FW_TEXT, text, strlen(text), NULL);
}

SERVER_TEST_AND_TLS(server_publish, says_what_is_wrong_and_then_nothing_was_published, 60)
{
    struct server server;
    struct fw_published published;
    struct fw_topic_info info;
    char large[2001];
    server_init(&server, engine);
    server.options.publish_bytes_max = 2000;
    server_start(&server);
    memset(large, 'l', sizeof large);
    cr_assert_eq(fw_topic_info(server.server, "a", &info), FW_ERR_ABSENT);
    cr_assert_eq(fw_topic_info(server.server, "a b", &info), FW_ERR_TOPIC);
    cr_assert_eq(publish(&server, "", "x"), FW_ERR_TOPIC);
    cr_assert_eq(publish(&server, "a b", "x"), FW_ERR_TOPIC);
    cr_assert_eq(publish(&server, "a", "\xff"), FW_ERR_NOT_UTF8);
    cr_assert_eq(fw_publish(server.server, "a", FW_BINARY, large, 2001, NULL), FW_ERR_LIMIT);
    cr_assert_eq(fw_publish(server.server, "a", (enum fw_message_type)3, "x", 1, NULL),
                 FW_ERR_USAGE);
    cr_assert_eq(fw_publish(server.server, "a", FW_TEXT, NULL, 1, NULL), FW_ERR_USAGE);
    cr_assert_eq(fw_publish(server.server, NULL, FW_TEXT, "x", 1, NULL), FW_ERR_USAGE);
    cr_assert_eq(fw_topic_info(server.server, "a", &info), FW_ERR_ABSENT);
    cr_assert_eq(fw_publish(server.server, "a", FW_BINARY, large, 2000, &published), 0);
    cr_assert_eq(published.offset, 1u);
    cr_assert_eq(published.receivers, 0u);
    cr_assert_eq(fw_publish(server.server, "a", FW_TEXT, NULL, 0, &published), 0);
    cr_assert_eq(published.offset, 2u);
    cr_assert_eq(fw_topic_info(server.server, "a", &info), 0);
    cr_assert_eq(info.offset, 2u);
    cr_assert_eq(info.epoch, published.epoch);
    cr_assert_eq(info.subscribers, 0u);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_publish, works_before_the_start_and_counts_receivers_of_all_workers, 60)
{
    enum { CLIENTS = 7 };
    struct server server;
    struct ws_client clients[CLIENTS];
    struct fw_published published;
    server_init(&server, engine);
    server.options.workers = 3;
    cr_assert_eq(fw_server_create(&server.options, &server.server), 0);
    cr_assert_eq(fw_publish(server.server, "room", FW_TEXT, "early", 5, &published), 0);
    cr_assert_eq(fw_server_listen(server.server, "127.0.0.1:0"), 0);
    server.address = fw_server_address(server.server, 0);
    cr_assert_eq(fw_server_start(server.server), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = server_client(&server, "/room");
        cr_assert(ws_client_got_text(&clients[i], "welcome"));
    }
    cr_assert_eq(fw_publish(server.server, "room", FW_TEXT, "now", 3, &published), 0);
    cr_assert_eq(published.offset, 2u);
    cr_assert_eq(published.receivers, (unsigned)CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        cr_assert(ws_client_got_text(&clients[i], "now"), "and not what came before them");
        ws_client_close(&clients[i]);
    }
    struct fw_topic_info info;
    EVENTUALLY(fw_topic_info(server.server, "room", &info) == 0 && info.subscribers == 0);
    server_end(&server);
}

SERVER_TEST_AND_TLS(server_publish, from_a_callback_reaches_everybody_the_publisher_too, 60)
{
    enum { CLIENTS = 4 };
    struct server server;
    struct ws_client clients[CLIENTS];
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = server_client(&server, "/room");
        cr_assert(ws_client_got_text(&clients[i], "welcome"));
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        char text[16];
        snprintf(text, sizeof text, "p from %u", i);
        ws_client_text(&clients[i], text);
        for (unsigned k = 0; k < CLIENTS; k++)
            cr_assert(ws_client_got_text(&clients[k], text));
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* ---- several threads ------------------------------------------------------------------------- */

#define PUBLISHERS 4
#define EACH       500

struct publisher {
    fw_server *server;
    unsigned index;
    pthread_t thread;
};

static void *publish_many(void *context)
{
    struct publisher *publisher = context;
    for (unsigned i = 0; i < EACH; i++) {
        char text[64];
        char topic[8];
        int count = snprintf(text, sizeof text, "%u:%u", publisher->index, i);
        snprintf(topic, sizeof topic, "t%u", i % 3);
        while (fw_publish(publisher->server, topic, FW_TEXT, text, (size_t)count, NULL) != 0)
            server_nap(1);
    }
    return NULL;
}

/* Each message of three topics once, and each topic's in each publisher's order. */
static void receive_many(struct ws_client *client)
{
    unsigned next[PUBLISHERS][3] = {{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}};
    for (unsigned i = 0; i < PUBLISHERS * EACH; i++) {
        struct ws_client_frame frame;
        unsigned publisher;
        unsigned number;
        cr_assert(ws_client_receive(client, &frame));
        cr_assert_eq(sscanf((const char *)frame.bytes, "%u:%u", &publisher, &number), 2);
        cr_assert_lt(publisher, (unsigned)PUBLISHERS);
        cr_assert_eq(number, next[publisher][number % 3], "publisher %u", publisher);
        next[publisher][number % 3] += 3;
    }
}

SERVER_TEST_AND_TLS(server_publish, from_four_threads_keeps_each_ones_order_on_every_topic, 120)
{
    enum { CLIENTS = 20 };
    struct server server;
    struct ws_client clients[CLIENTS];
    struct publisher publishers[PUBLISHERS];
    server_init(&server, engine);
    server.options.workers = 2;
    server.options.feed = true;
    server_start(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = server_client(&server, "/topics/t0,t1,t2");
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.server = server.server, .index = i};
        cr_assert_eq(pthread_create(&publishers[i].thread, NULL, publish_many, &publishers[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        receive_many(&clients[i]);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_join(publishers[i].thread, NULL);
    struct fw_server_stats stats;
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.messages_delivered, (uint64_t)CLIENTS * PUBLISHERS * EACH);
    cr_assert_eq(stats.slow_closed, 0u);
    for (unsigned i = 0; i < CLIENTS; i++)
        ws_client_close(&clients[i]);
    server_end(&server);
}

/* ---- a worker that is behind ----------------------------------------------------------------- */

SERVER_TEST_AND_TLS(server_publish, is_busy_while_a_worker_is_behind_and_loses_nothing, 120)
{
    enum { BYTES = 1 << 20 };
    static uint8_t payload[BYTES];
    struct server server;
    server_init(&server, engine);
    server.options.output_bytes_max = 256u << 20;
    server_start(&server);
    struct ws_client subscriber = server_client(&server, "/room");
    struct ws_client blocker = server_client(&server, "/");
    cr_assert(ws_client_got_text(&subscriber, "welcome"));
    atomic_store(&server.blocks, true);
    ws_client_text(&blocker, "b");
    EVENTUALLY(atomic_load(&server.blocked) == 1);
    unsigned published = 0;
    while (fw_publish(server.server, "room", FW_BINARY, payload, BYTES, NULL) == 0)
        cr_assert_lt(++published, 100u, "it is bounded");
    cr_assert_eq(fw_publish(server.server, "room", FW_BINARY, payload, BYTES, NULL), FW_ERR_BUSY);
    cr_assert_geq(published, 32u);
    cr_assert_eq(publish(&server, "elsewhere", "x"), 0, "who does not listen is not behind");
    server_unblock(&server);
    for (unsigned i = 0; i < published; i++) {
        struct ws_client_frame frame;
        cr_assert(ws_client_receive(&subscriber, &frame), "message %u of %u", i, published);
        cr_assert_eq(frame.count, (size_t)BYTES);
    }
    EVENTUALLY(fw_publish(server.server, "room", FW_TEXT, "again", 5, NULL) == 0);
    cr_assert(ws_client_got_text(&subscriber, "again"));
    ws_client_close(&subscriber);
    ws_client_close(&blocker);
    server_end(&server);
}

/* A burst that is larger than a subscriber's budget does not end one that reads: it is fanned out
 * in pieces that fit. */
SERVER_TEST_AND_TLS(server_publish, in_bursts_larger_than_the_budget_ends_nobody_who_reads, 120)
{
    enum { MESSAGES = 3000, BYTES = 1000 };
    static uint8_t payload[BYTES];
    struct server server;
    server_init(&server, engine);
    server.options.output_bytes_max = 16384;
    server_start(&server);
    struct ws_client subscriber = server_client(&server, "/room");
    struct ws_client blocker = server_client(&server, "/");
    cr_assert(ws_client_got_text(&subscriber, "welcome"));
    for (unsigned burst = 0; burst < MESSAGES / 100; burst++) {
        atomic_store(&server.blocks, true); /* so that the worker finds all of it at once */
        ws_client_text(&blocker, "b");
        EVENTUALLY(atomic_load(&server.blocked) == 1);
        for (unsigned i = 0; i < 100; i++)
            cr_assert_eq(fw_publish(server.server, "room", FW_BINARY, payload, BYTES, NULL), 0);
        server_unblock(&server);
        for (unsigned i = 0; i < 100; i++) {
            struct ws_client_frame frame;
            cr_assert(ws_client_receive(&subscriber, &frame));
            cr_assert_eq(frame.opcode, 2u, "burst %u, message %u", burst, i);
        }
        EVENTUALLY(atomic_load(&server.blocked) == 0);
    }
    cr_assert_eq(atomic_load(&server.codes[1013]), 0u);
    ws_client_close(&subscriber);
    ws_client_close(&blocker);
    server_end(&server);
}

/* ---- slow consumers -------------------------------------------------------------------------- */

/* FEED: a slow subscriber never delays a fast one, and never the publisher. */
SERVER_TEST_AND_TLS(server_publish, closes_who_does_not_read_with_1013_and_serves_the_others, 120)
{
    enum { FAST = 10, SLOW = 3, MESSAGES = 400, BYTES = 40000 };
    static uint8_t payload[BYTES];
    struct server server;
    struct ws_client fast[FAST];
    struct ws_client slow[SLOW];
    server_init(&server, engine);
    server.options.workers = 2;
    server_start(&server);
    for (unsigned i = 0; i < SLOW; i++) {
        ws_client_connect_narrow(&slow[i], server.address);
        cr_assert_eq(ws_client_open(&slow[i], "/room", ""), 101u);
        cr_assert(ws_client_got_text(&slow[i], "welcome"));
    }
    for (unsigned i = 0; i < FAST; i++) {
        fast[i] = server_client(&server, "/room");
        cr_assert(ws_client_got_text(&fast[i], "welcome"));
    }
    for (unsigned m = 0; m < MESSAGES; m++) {
        memcpy(payload, &m, sizeof m);
        cr_assert_eq(fw_publish(server.server, "room", FW_BINARY, payload, BYTES, NULL), 0);
        for (unsigned i = 0; i < FAST; i++) {
            struct ws_client_frame frame;
            cr_assert(ws_client_receive(&fast[i], &frame));
            cr_assert_eq(memcmp(frame.bytes, &m, sizeof m), 0, "message %u", m);
        }
    }
    struct fw_server_stats stats;
    fw_server_stats(server.server, &stats);
    cr_assert_eq(stats.slow_closed, (uint64_t)SLOW);
    EVENTUALLY(atomic_load(&server.codes[1013]) == SLOW);
    for (unsigned i = 0; i < SLOW; i++) {
        /* Whole messages in order, then the close, if it came in time; never half a message. */
        struct ws_client_frame frame = {0};
        unsigned wanted = 0;
        while (frame.opcode != 8 && ws_client_receive(&slow[i], &frame)) {
            unsigned number;
            if (frame.opcode == 8)
                break;
            memcpy(&number, frame.bytes, sizeof number);
            cr_assert_eq(frame.count, (size_t)BYTES);
            cr_assert_eq(number, wanted++);
        }
        cr_assert(frame.opcode != 8 || frame.close_code == 1013);
        cr_assert_lt(wanted, (unsigned)MESSAGES);
        ws_client_close(&slow[i]);
    }
    for (unsigned i = 0; i < FAST; i++)
        ws_client_close(&fast[i]);
    server_end(&server);
}
