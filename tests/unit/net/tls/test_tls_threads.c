/* test_tls_threads.c: workers that share contexts, tickets and the place, while a reload goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

enum { WORKERS = 3, SHAKES = 40, RELOADS = 25 };

struct shared {
    struct fw_tls_place *place;
    struct fw_tls_context *client;
    _Atomic unsigned done;
    _Atomic unsigned resumed;
    _Atomic unsigned failed;
};

/* One worker's turn: a full handshake, and one that resumes on whatever context is there by then.
 */
static void shake_twice(struct shared *shared)
{
    struct fw_tls_session *session = NULL;
    for (int i = 0; i < 2; i++) {
        struct fw_tls_context *server = fw_tls_place_take(shared->place);
        struct pair pair = {.split = 0};
        pair_open(&pair, server, shared->client, "example.test", session);
        fw_tls_context_drop(server);
        pair_run(&pair);
        bool open = fw_tls_state(pair.server.tls) == FW_TLS_OPEN &&
                    fw_tls_state(pair.client.tls) == FW_TLS_OPEN;
        if (!open || (i == 0 && fw_tls_session_save(pair.client.tls, &session) != 0))
            atomic_fetch_add(&shared->failed, 1);
        if (i == 1 && fw_tls_resumed(pair.server.tls))
            atomic_fetch_add(&shared->resumed, 1);
        pair_close(&pair);
    }
    fw_tls_session_destroy(session);
}

static void *work(void *argument)
{
    struct shared *shared = argument;
    fw_tls_thread_start();
    for (int i = 0; i < SHAKES; i++)
        shake_twice(shared);
    fw_tls_thread_stop();
    atomic_fetch_add(&shared->done, 1);
    return NULL;
}

static struct fw_tls_context *make_server(struct fw_tls_tickets *tickets)
{
    struct fw_tls_certificate certificate = pki_in_memory(&pki_shared()->server);
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_SERVER,
                                                 .certificates = &certificate,
                                                 .certificates_count = 1,
                                                 .tickets = tickets});
}

Test(tls_threads, share_everything_while_certificates_are_swapped)
{
    struct fw_tls_tickets *tickets = NULL;
    cr_assert_eq(fw_tls_tickets_create(NULL, NULL, &tickets), 0);
    struct shared shared = {.client = pair_client_context()};
    cr_assert_eq(fw_tls_place_create(make_server(tickets), &shared.place), 0);

    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&workers[i], NULL, work, &shared), 0);
    for (int i = 0; i < RELOADS && atomic_load(&shared.done) < WORKERS; i++)
        fw_tls_place_put(shared.place, make_server(tickets));
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);

    cr_expect_eq(shared.failed, 0u, "%u", shared.failed);
    cr_expect_eq(shared.resumed, (unsigned)(WORKERS * SHAKES), "a ticket opens on every worker: %u",
                 shared.resumed);
    fw_tls_place_destroy(shared.place);
    fw_tls_context_drop(shared.client);
    fw_tls_tickets_drop(tickets);
}
