/* test_tls_memory.c: what a connection costs at rest, and what happens when there is no more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mem.h"
#include "net/tls/tls_internal.h"
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <wolfssl/version.h>

#ifdef FW_WOLFSSL_LIBCRYPTO
#define IDLE_BYTES_MAX                                                                             \
    (64 * 1024) /* measured: 59.8 KB of wolfSSL 5.5.4, with its OpenSSL layer                      \
                 */
#else
#define IDLE_BYTES_MAX 3600 /* measured: 2.95 KB of wolfSSL 5.9.2 and 0.25 KB of ours */
static_assert(IDLE_BYTES_MAX < 6 * 1024, "an idle wss connection costs 6 KB in all");
#endif

/* ---- at rest ---- */

/* Opens COUNT connections, lets each send and receive, and looks at what one holds. */
Test(tls_memory, of_an_idle_connection_is_within_its_budget)
{
    enum { COUNT = 50 };
    static uint8_t bytes[20000];
    for (int twelve = 0; twelve < 2; twelve++) {
        struct fw_tls_context *server = pair_server_context();
        struct fw_tls_context *client = pair_context(
            &(struct fw_tls_options){.role = FW_TLS_CLIENT,
                                     .ca_file = pki_shared()->ca_file,
                                     .versions = twelve ? FW_TLS_12_ONLY : FW_TLS_13_ONLY});
        static struct pair pairs[COUNT];
        int64_t session_bytes = 0;
        size_t own_bytes = 0;
        for (int i = 0; i < COUNT; i++) {
            pairs[i].split = 700; /* leaves cut records behind, for a while */
            pair_open(&pairs[i], server, client, "example.test", NULL);
            pair_shake(&pairs[i]);
            pair_send(&pairs[i], &pairs[i].client, bytes, sizeof bytes);
            pair_send(&pairs[i], &pairs[i].server, bytes, sizeof bytes);
        }
        for (int i = 0; i < COUNT; i++) {
            int64_t before = fw_tls_memory().bytes;
            own_bytes += fw_tls_bytes(pairs[i].server.tls);
            fw_tls_destroy(pairs[i].server.tls);
            pairs[i].server.tls = NULL;
            session_bytes += before - fw_tls_memory().bytes;
        }
        size_t each = ((size_t)session_bytes + own_bytes) / COUNT;
        cr_expect_leq(each, (size_t)IDLE_BYTES_MAX,
                      "TLS 1.%d: %zu bytes of wolfSSL and %zu of ours", 3 - twelve,
                      (size_t)session_bytes / COUNT, own_bytes / COUNT);
        for (int i = 0; i < COUNT; i++)
            pair_close(&pairs[i]);
        fw_tls_context_drop(server);
        fw_tls_context_drop(client);
    }
}

/* ---- none left ---- */

struct contexts {
    struct fw_tls_context *server;
    struct fw_tls_context *client;
};

/* Certificates on both sides, or tickets. Whether there was memory for both. */
static bool make_contexts(struct fw_tls_tickets *tickets, struct contexts *contexts)
{
    const struct pki *pki = pki_shared();
    struct fw_tls_certificate server_certificate = pki_in_memory(&pki->server);
    struct fw_tls_certificate client_certificate = pki_in_memory(&pki->client);
    struct fw_tls_options server_options = {.role = FW_TLS_SERVER,
                                            .certificates = &server_certificate,
                                            .certificates_count = 1,
                                            .ca_file = tickets == NULL ? pki->ca_file : NULL,
                                            .tickets = tickets,
                                            .alpn = "http/1.1"};
    struct fw_tls_options client_options = {.role = FW_TLS_CLIENT,
                                            .certificates = &client_certificate,
                                            .certificates_count = 1,
                                            .ca_file = pki->ca_file,
                                            .alpn = "http/1.1"};
    char why[FW_TLS_WHY_BYTES];
    *contexts = (struct contexts){NULL, NULL};
    return fw_tls_context_create(&server_options, why, sizeof why, &contexts->server) == 0 &&
           fw_tls_context_create(&client_options, why, sizeof why, &contexts->client) == 0;
}

static void drop_contexts(struct contexts *contexts)
{
    fw_tls_context_drop(contexts->server);
    fw_tls_context_drop(contexts->client);
}

/* Data one way, the session kept, the end told. */
static bool talk(struct pair *pair, bool saves)
{
    static uint8_t bytes[20000];
    struct iovec pieces[] = {{bytes, 10}, {bytes, 300}, {bytes, sizeof bytes}};
    struct fw_tls_session *session = NULL;
    if (fw_tls_send(pair->server.tls, pieces, 3, &pair->server.out) != 0)
        return false;
    pair_run(pair);
    if (pair->client.plain_count != 310 + sizeof bytes)
        return false;
    bool saved = !saves || fw_tls_session_save(pair->client.tls, &session) == 0;
    fw_tls_session_destroy(session);
    return saved && fw_tls_end(pair->server.tls, &pair->server.out) == 0;
}

/* One connection's life. Any step may fail for want of memory, then the rest is left out. Whether
 * it came to its end. */
static bool connect_and_talk(const struct contexts *contexts, bool saves)
{
    struct pair pair = {.client = {.out = {.grow = fw_tls_sink_grow}},
                        .server = {.out = {.grow = fw_tls_sink_grow}},
                        .split = 333};
    bool done = false;
    if (fw_tls_create(contexts->server, NULL, NULL, &pair.server.tls) == 0 &&
        fw_tls_create(contexts->client, "example.test", NULL, &pair.client.tls) == 0) {
        pair_run(&pair);
        done = fw_tls_state(pair.server.tls) == FW_TLS_OPEN &&
               fw_tls_state(pair.client.tls) == FW_TLS_OPEN && talk(&pair, saves);
    }
    pair_close(&pair);
    return done;
}

static unsigned allocations;
static unsigned fails_at; /* 0: never */
static bool fails_from;   /* and all after it */

static int may_allocate(size_t bytes)
{
    (void)bytes;
    allocations++;
    if (fails_at == 0)
        return 1;
    return fails_from ? allocations < fails_at : allocations != fails_at;
}

static void begin_failing(unsigned at, bool from)
{
    allocations = 0;
    fails_at = at;
    fails_from = from;
    fw_mem_hook(may_allocate);
}

/* A life with its contexts, or on contexts that were made when there still was memory. */
struct life {
    struct fw_tls_tickets *tickets;
    const struct contexts *contexts;
};

static bool live(const struct life *life)
{
    if (life->contexts != NULL)
        return connect_and_talk(life->contexts, life->tickets != NULL);
    struct contexts own;
    bool done = make_contexts(life->tickets, &own) && connect_and_talk(&own, life->tickets != NULL);
    drop_contexts(&own);
    return done;
}

static bool live_with_failure(const struct life *life, unsigned at, bool from)
{
    begin_failing(at, from);
    bool done = live(life);
    fw_mem_hook(NULL);
    return done;
}

/* Debian 12's wolfSSL loses a block here and there when memory fails, and dereferences null in the
 * making of a context. Newer ones do neither. */
#define LIBRARY_SURVIVES (LIBWOLFSSL_VERSION_HEX >= 0x05009002)

/* Allocation k fails, for every k, once and from then on: no crash, and nothing stays behind. */
static void fail_everywhere(const struct life *life)
{
    cr_assert(live(life)); /* what wolfSSL keeps for good, it has now */
    cr_assert(live_with_failure(life, 0, false));
    unsigned needed = allocations;
    cr_assert_gt(needed, 50u);
    int64_t before = fw_tls_memory().blocks;
    for (int from = 0; from < 2; from++) {
        for (unsigned at = 1; at <= needed; at++) {
            bool done = live_with_failure(life, at, from);
            bool met = allocations >= at; /* a life may need one more or less than the first */
            cr_expect_not(done && from && met, "allocation %u and all after failed?", at);
            if (LIBRARY_SURVIVES)
                cr_assert_eq(fw_tls_memory().blocks, before,
                             "allocation %u of %u%s: %ld blocks stay", at, needed,
                             from ? " and all after" : "", (long)(fw_tls_memory().blocks - before));
        }
    }
    cr_expect(live(life), "and all is well after");
}

static void fail_everywhere_with(struct fw_tls_tickets *tickets)
{
    struct contexts contexts;
    cr_assert(make_contexts(tickets, &contexts));
    fail_everywhere(&(struct life){tickets, &contexts});
    drop_contexts(&contexts);
    if (LIBRARY_SURVIVES)
        fail_everywhere(&(struct life){tickets, NULL});
}

Test(tls_memory, may_fail_at_every_allocation_with_client_certificates)
{
    fail_everywhere_with(NULL);
}

Test(tls_memory, may_fail_at_every_allocation_with_tickets)
{
    struct fw_tls_tickets *tickets = NULL;
    cr_assert_eq(fw_tls_tickets_create(NULL, NULL, &tickets), 0);
    fail_everywhere_with(tickets);
    fw_tls_tickets_drop(tickets);
}

Test(tls_memory, may_fail_in_the_small_makers)
{
    static const char *const hosts[] = {"localhost"};
    struct fw_tls_self_signed self;
    struct fw_tls_tickets *tickets = NULL;
    cr_assert_eq(fw_tls_self_sign(hosts, 1, 7, &self), 0);
    begin_failing(0, false);
    cr_assert_eq(fw_tls_self_sign(hosts, 1, 7, &self), 0);
    unsigned needed = allocations;
    int64_t before = fw_tls_memory().blocks;
    for (unsigned at = 1; at <= needed; at++) {
        begin_failing(at, true);
        cr_expect_neq(fw_tls_self_sign(hosts, 1, 7, &self), 0, "%u", at);
        cr_expect_eq(fw_tls_memory().blocks, before);
    }
    begin_failing(1, true);
    cr_expect_eq(fw_tls_tickets_create(NULL, NULL, &tickets), -ENOMEM);
    fw_mem_hook(NULL);
}

/* A sink that cannot grow ends the connection, and says that it was memory. */
static bool refuse_to_grow(struct fw_tls_sink *sink, size_t more)
{
    (void)sink;
    (void)more;
    return false;
}

Test(tls_memory, of_a_full_sink_ends_the_connection)
{
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_shake(&pair);
    uint8_t room[40];
    struct fw_tls_sink full = {room, 0, sizeof room, refuse_to_grow};
    struct iovec pieces[] = {{(char[]){"a"}, 1}, {(char[]){"b"}, 1}};
    cr_expect_eq(fw_tls_send(pair.server.tls, pieces, 2, &full), 0, "it fits");
    cr_expect_eq(fw_tls_send(pair.server.tls, pieces, 2, &full), -ENOMEM);
    cr_expect_eq(fw_tls_state(pair.server.tls), FW_TLS_FAILED);
    cr_expect_eq(fw_tls_send(pair.server.tls, pieces, 2, &full), -ENOMEM, "for good");
    struct iovec one = {(char[]){"abcdefghijklmnopqrstuvwxyz"}, 26};
    cr_expect_eq(fw_tls_send(pair.client.tls, &one, 1, &full), -ENOMEM);
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}
