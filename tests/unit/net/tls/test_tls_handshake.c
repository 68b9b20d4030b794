/* test_tls_handshake.c: two ends of net/tls shake hands and talk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(tls_handshake, opens_with_tls_13)
{
    struct fw_tls_context *server = pair_server_context();
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_shake(&pair);
    cr_expect_str_eq(fw_tls_version(pair.server.tls), "TLSv1.3");
    cr_expect_str_eq(fw_tls_cipher(pair.server.tls), "TLS_AES_128_GCM_SHA256", "%s", fw_tls_cipher(pair.server.tls));
    pair_send(&pair, &pair.client, "hello", 5);
    cr_assert_eq(pair.server.plain_count, 5u);
    cr_expect_arr_eq(pair.server.plain, "hello", 5);
    pair_send(&pair, &pair.server, "there", 5);
    cr_assert_eq(pair.client.plain_count, 5u);
    cr_expect_arr_eq(pair.client.plain, "there", 5);
    struct fw_tls_memory with = fw_tls_memory();
    size_t own = fw_tls_bytes(pair.server.tls);
    fw_tls_destroy(pair.server.tls);
    pair.server.tls = NULL;
    struct fw_tls_memory without = fw_tls_memory();
    fprintf(stderr, "idle server: %ld wolfssl bytes in %ld blocks, own %zu\n", (long)(with.bytes-without.bytes),(long)(with.blocks-without.blocks), own);
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
    cr_expect_eq(fw_tls_memory().blocks, 0, "%ld", (long)fw_tls_memory().blocks);
}
