/* test_server_tls_echo.c: echoes that are sent from where TLS decrypted them (net/conn/conn_tls.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "integration/server_rig.h"
#include "integration/tls_layer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define MESSAGE_BYTES_MAX ((size_t)60000)

/* Around what is echoed in place, a record, two of them, and all that is decrypted at once. */
static const size_t sizes[] = {1,     125,   2047,  2048,  2049,  4096,  16376, 16377,
                               16380, 16384, 16385, 20000, 32760, 32768, 49140, MESSAGE_BYTES_MAX};
#define SIZES_COUNT (sizeof sizes / sizeof *sizes)

static void make(uint8_t *message, size_t bytes, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++)
        message[i] = (uint8_t)(i * 31 + i / 256 + seed);
    message[0] = 'e';
}

static void send_one(struct ws_client *client, uint8_t *message, size_t bytes, unsigned seed)
{
    make(message, bytes, seed);
    cr_assert(ws_client_frame(client, 0x82, message, bytes));
}

static void expect_one(struct ws_client *client, uint8_t *message, size_t bytes, unsigned seed)
{
    struct ws_client_frame frame;
    make(message, bytes, seed);
    cr_assert(ws_client_receive(client, &frame), "message %u", seed);
    cr_assert_eq(frame.count, bytes, "message %u", seed);
    cr_assert_arr_eq(frame.bytes, message, bytes, "message %u", seed);
}

/* Several at once, so that small and large ones lie in one scratch, and cut ones at its end. */
SERVER_TEST_AND_TLS(server_echo, gives_back_every_size_in_order, 120)
{
    struct server server;
    uint8_t *message = malloc(MESSAGE_BYTES_MAX);
    server_init(&server, engine);
    server_start(&server);
    struct ws_client client = server_client(&server, "/");
    for (unsigned step = 1; step <= 3; step++) {
        for (unsigned first = 0; first < SIZES_COUNT; first++) {
            for (unsigned i = 0; i < 3; i++)
                send_one(&client, message, sizes[(first + i * step) % SIZES_COUNT], first + i);
            for (unsigned i = 0; i < 3; i++)
                expect_one(&client, message, sizes[(first + i * step) % SIZES_COUNT], first + i);
        }
    }
    free(message);
    ws_client_close(&client);
    server_end(&server);
}

/* What is not taken must have left the scratch before another connection's bytes are in it. */
SERVER_TEST_AND_TLS(server_echo, keeps_what_a_peer_does_not_take_apart_from_others, 120)
{
    enum { SLOW = 3, MESSAGES = 4 };
    struct server server;
    struct ws_client slow[SLOW];
    uint8_t *message = malloc(MESSAGE_BYTES_MAX);
    server_init(&server, engine);
    server_start(&server);
    for (unsigned i = 0; i < SLOW; i++) {
        ws_client_connect_narrow(&slow[i], server.address);
        cr_assert_eq(ws_client_open(&slow[i], "/", ""), 101u);
    }
    for (unsigned k = 0; k < MESSAGES; k++) {
        for (unsigned i = 0; i < SLOW; i++)
            send_one(&slow[i], message, MESSAGE_BYTES_MAX, 100 * i + k);
    }
    struct ws_client other = server_client(&server, "/");
    for (unsigned i = 0; i < 20; i++) {
        send_one(&other, message, 16384, i);
        expect_one(&other, message, 16384, i);
    }
    ws_client_close(&other);
    for (unsigned k = 0; k < MESSAGES; k++) {
        for (unsigned i = 0; i < SLOW; i++)
            expect_one(&slow[i], message, MESSAGE_BYTES_MAX, 100 * i + k);
    }
    free(message);
    for (unsigned i = 0; i < SLOW; i++)
        ws_client_close(&slow[i]);
    server_end(&server);
}
