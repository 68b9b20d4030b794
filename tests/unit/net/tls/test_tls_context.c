/* test_tls_context.c: certificates and keys from files, refused with a reason; reloads that drop
 * nobody; the throw-away certificate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a server of files; the status, and what it said. */
static int create(const char *certificate_file, const char *key_file, const char *ca_file,
                  char *why)
{
    struct fw_tls_certificate certificate = {.certificate_file = certificate_file,
                                             .key_file = key_file};
    struct fw_tls_options options = {.role = FW_TLS_SERVER,
                                     .certificates = &certificate,
                                     .certificates_count = 1,
                                     .ca_file = ca_file};
    struct fw_tls_context *context = NULL;
    int status = fw_tls_context_create(&options, why, FW_TLS_WHY_BYTES, &context);
    fw_tls_context_drop(context);
    return status;
}

static const char *certificate_of(const struct pki_party *party)
{
    return pki_certificate_file(&party, 1);
}

/* ---- files ---- */

Test(tls_context, takes_files_that_fit_together)
{
    const struct pki *pki = pki_shared();
    char why[FW_TLS_WHY_BYTES];
    cr_expect_eq(create(certificate_of(&pki->server), pki_key_file(&pki->server, 0600), NULL, why),
                 0, "%s", why);
    cr_expect_str_eq(why, "");
    cr_expect_eq(
        create(certificate_of(&pki->server), pki_key_file(&pki->server, 0640), pki->ca_file, why),
        0, "%s", why);
}

Test(tls_context, refuses_key_files_that_others_can_read_or_change)
{
    static const unsigned modes[] = {0644, 0604, 0602, 0601, 0660, 0666, 0777};
    const struct pki *pki = pki_shared();
    const char *certificate_file = certificate_of(&pki->server);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char why[FW_TLS_WHY_BYTES];
        char mode[16];
        const char *key_file = pki_key_file(&pki->server, modes[i]);
        cr_expect_eq(create(certificate_file, key_file, NULL, why), FW_ERR_TLS_KEY_EXPOSED, "%o",
                     modes[i]);
        snprintf(mode, sizeof mode, "%04o", modes[i]);
        cr_expect_not_null(strstr(why, key_file), "%s", why);
        cr_expect_not_null(strstr(why, mode), "%s", why);
        cr_expect_not_null(strstr(why, "chmod 600"), "%s", why);
    }
}

Test(tls_context, refuses_a_key_of_another_certificate)
{
    const struct pki *pki = pki_shared();
    char why[FW_TLS_WHY_BYTES];
    const char *key_file = pki_key_file(&pki->second, 0600);
    const char *certificate_file = certificate_of(&pki->server);
    cr_expect_eq(create(certificate_file, key_file, NULL, why), FW_ERR_TLS_KEY_MISMATCH, "%s", why);
    cr_expect_not_null(strstr(why, key_file), "%s", why);
    cr_expect_not_null(strstr(why, certificate_file), "%s", why);
}

Test(tls_context, refuses_files_that_are_not_what_they_should_be)
{
    const struct pki *pki = pki_shared();
    const char *good = certificate_of(&pki->server);
    const char *key = pki_key_file(&pki->server, 0600);
    static const char garbage[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const char *broken = pki_file(garbage, sizeof garbage - 1, 0600);
    const char *words = pki_file("hello", 5, 0600);
    const char *empty = pki_file("", 0, 0600);
    static char large[1024 * 1024 + 1];
    const char *too_large = pki_file(large, sizeof large, 0600);
    const char *const bad[] = {broken, words, empty, too_large, "/nowhere/at/all.pem", "/tmp"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[FW_TLS_WHY_BYTES];
        cr_expect_eq(create(bad[i], key, NULL, why), FW_ERR_TLS_FILE, "%s: %s", bad[i], why);
        cr_expect_not_null(strstr(why, bad[i]), "%s", why);
        int status = create(good, bad[i], NULL, why);
        cr_expect(status == FW_ERR_TLS_FILE || (i == 5 && status == FW_ERR_TLS_KEY_EXPOSED),
                  "%s: %s", bad[i], why);
        cr_expect_not_null(strstr(why, bad[i]), "%s", why);
        cr_expect_eq(create(good, key, bad[i], why), FW_ERR_TLS_FILE, "%s: %s", bad[i], why);
        cr_expect_not_null(strstr(why, bad[i]), "%s", why);
    }
}

Test(tls_context, warns_of_certificates_out_of_their_time_and_takes_them)
{
    static const struct {
        const char *not_before;
        const char *not_after;
        const char *warning;
    } times[] = {
        {"200101000000Z", "210101000000Z", "has expired"},
        {"480101000000Z", "490101000000Z", "not valid yet"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct pki_party party;
        char why[FW_TLS_WHY_BYTES];
        pki_make(&(struct pki_recipe){.subject = "old",
                                      .issuer = &pki_shared()->ca,
                                      .not_before = times[i].not_before,
                                      .not_after = times[i].not_after},
                 &party);
        const char *file = certificate_of(&party);
        cr_expect_eq(create(file, pki_key_file(&party, 0600), NULL, why), 0);
        cr_expect_not_null(strstr(why, times[i].warning), "%s", why);
        cr_expect_not_null(strstr(why, file), "%s", why);
    }
}

Test(tls_context, takes_rsa_keys_and_refuses_short_ones)
{
    struct pki_chain chain;
    if (!pki_chain_make("RSA", &chain))
        cr_skip("the openssl command is not here");
    char why[FW_TLS_WHY_BYTES];
    cr_expect_eq(create(chain.chain_file, chain.key_file, NULL, why), 0, "%s", why);
    char command[600];
    snprintf(
        command, sizeof command,
        "umask 077; openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=short -keyout %s -out %s "
        ">/dev/null 2>&1",
        chain.key_file, chain.leaf_file);
    const char *other_key = pki_key_file(&pki_shared()->server, 0600);
    cr_expect_eq(create(chain.leaf_file, other_key, NULL, why), FW_ERR_TLS_KEY_MISMATCH, "%s", why);
    cr_assert_eq(system(command), 0);
    cr_expect_eq(create(chain.leaf_file, chain.key_file, NULL, why), FW_ERR_TLS_FILE, "%s", why);
    cr_expect_not_null(strstr(why, "too small"), "%s", why);
    pki_chain_clear(&chain);
}

Test(tls_context, refuses_options_that_contradict_each_other)
{
    struct fw_tls_certificate good = pki_in_memory(&pki_shared()->server);
    struct fw_tls_certificate no_key = good;
    struct fw_tls_certificate half = {.certificate_file = "/tmp/x"};
    no_key.key.count = 0;
    const struct fw_tls_options bad[] = {
        {.role = FW_TLS_SERVER},
        {.role = FW_TLS_SERVER, .certificates = &no_key, .certificates_count = 1},
        {.role = FW_TLS_SERVER, .certificates = &half, .certificates_count = 1},
        {.role = FW_TLS_SERVER,
         .certificates = &good,
         .certificates_count = 1,
         .trust_anyone = true},
        {.role = FW_TLS_SERVER, .certificates = &good, .certificates_count = 65},
        {.role = FW_TLS_CLIENT, .certificates = &good, .certificates_count = 2},
        {.role = FW_TLS_CLIENT,
         .trust_anyone = true,
         .alpn = "a protocol with far too long a name!"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[FW_TLS_WHY_BYTES];
        struct fw_tls_context *context = NULL;
        cr_expect_eq(fw_tls_context_create(&bad[i], why, sizeof why, &context), FW_ERR_USAGE, "%zu",
                     i);
        cr_expect_neq(why[0], '\0');
    }
}

/* ---- reload ---- */

Test(tls_place, gives_new_connections_the_new_certificate_and_keeps_the_old_ones)
{
    struct fw_tls_place *place = NULL;
    cr_assert_eq(fw_tls_place_create(pair_server_context(), &place), 0);
    struct fw_tls_context *client = pair_client_context();
    struct fw_tls_context *taken = fw_tls_place_take(place);
    struct pair before = {.split = 0};
    pair_open(&before, taken, client, "example.test", NULL);
    fw_tls_context_drop(taken);
    side_feed(&before.client, NULL, 0); /* in the middle of its handshake */

    static const char *const names[] = {"example.test", NULL};
    struct pki_party renewed;
    pki_make(
        &(struct pki_recipe){.subject = "renewed", .names = names, .issuer = &pki_shared()->ca},
        &renewed);
    struct fw_tls_certificate certificate = pki_in_memory(&renewed);
    fw_tls_place_put(place, pair_context(&(struct fw_tls_options){.role = FW_TLS_SERVER,
                                                                  .certificates = &certificate,
                                                                  .certificates_count = 1}));
    taken = fw_tls_place_take(place);
    struct pair after = {.split = 0};
    pair_open(&after, taken, client, "example.test", NULL);
    fw_tls_context_drop(taken);
    fw_tls_place_destroy(place);

    pair_shake(&before);
    pair_shake(&after);
    cr_expect_str_eq(fw_tls_peer_subject(before.client.tls), "CN=s");
    cr_expect_str_eq(fw_tls_peer_subject(after.client.tls), "CN=renewed");
    pair_send(&before, &before.client, "still here", 10);
    cr_expect_eq(before.server.plain_count, 10u);
    pair_close(&before);
    pair_close(&after);
    fw_tls_context_drop(client);
}

/* ---- the throw-away certificate ---- */

Test(tls_self_signed, serves_the_hosts_it_was_made_for)
{
    static const char *const hosts[] = {"localhost", "fanwire.example", "127.0.0.1", "::1"};
    struct fw_tls_self_signed self;
    int made = fw_tls_self_sign(hosts, 4, 7, &self);
    cr_assert_eq(made, 0, "%d", made);
    cr_expect_eq(strlen(self.fingerprint), 95u, "%s", self.fingerprint);

    struct pki_party party = {.certificate_bytes = self.certificate_bytes,
                              .key_bytes = self.key_bytes};
    memcpy(party.certificate, self.certificate, self.certificate_bytes);
    memcpy(party.key, self.key, self.key_bytes);
    fw_tls_self_signed_clear(&self);
    for (size_t i = 0; i < sizeof self; i++)
        cr_assert_eq(((const uint8_t *)&self)[i], 0, "the key is wiped");

    struct fw_tls_certificate certificate = pki_in_memory(&party);
    struct fw_tls_context *server = pair_context(&(struct fw_tls_options){
        .role = FW_TLS_SERVER, .certificates = &certificate, .certificates_count = 1});
    struct fw_tls_context *trusting = pair_context(
        &(struct fw_tls_options){.role = FW_TLS_CLIENT, .ca_file = certificate_of(&party)});
    struct fw_tls_context *stranger = pair_client_context();
    for (size_t i = 0; i < 4; i++) {
        struct pair pair = {.split = 0};
        pair_open(&pair, server, trusting, hosts[i], NULL);
        pair_shake(&pair);
        pair_close(&pair);
        pair_open(&pair, server, stranger, hosts[i], NULL);
        pair_run(&pair);
        cr_expect_eq(pair.client.status, FW_ERR_TLS_CERT_SELF_SIGNED, "%d", pair.client.status);
        pair_close(&pair);
    }
    fw_tls_context_drop(server);
    fw_tls_context_drop(trusting);
    fw_tls_context_drop(stranger);
}

Test(tls_self_signed, takes_as_many_and_as_long_hosts_as_it_says)
{
    static const char long_host[] =
        "a-name-of-sixty-three-characters-which-is-the-most.example.test";
    static_assert(sizeof long_host == FW_TLS_SELF_SIGNED_HOST_CHARS_MAX + 1, "63 of them");
    const char *hosts[9];
    for (int i = 0; i < 9; i++)
        hosts[i] = long_host;
    struct fw_tls_self_signed self;
    cr_expect_eq(fw_tls_self_sign(hosts, 8, 90, &self), 0);
    cr_expect_eq(fw_tls_self_sign(hosts, 9, 90, &self), FW_ERR_USAGE);
    cr_expect_eq(fw_tls_self_sign(hosts, 0, 90, &self), FW_ERR_USAGE);
    cr_expect_eq(fw_tls_self_sign(hosts, 1, 0, &self), FW_ERR_USAGE);
    cr_expect_eq(fw_tls_self_sign(hosts, 1, 91, &self), FW_ERR_USAGE);
    hosts[0] = "a-name-of-sixty-four-characters-which-is-one-too-many.example.tes";
    cr_expect_eq(fw_tls_self_sign(hosts, 1, 7, &self), FW_ERR_USAGE);
    hosts[0] = "";
    cr_expect_eq(fw_tls_self_sign(hosts, 1, 7, &self), FW_ERR_USAGE);
}

/* ---- the library ---- */

Test(tls_library, says_what_it_is)
{
    char line[300];
    fw_tls_library(line, sizeof line);
    cr_expect_eq(strncmp(line, "wolfSSL ", 8), 0, "%s", line);
    cr_expect_eq(strstr(line, "own assembly") != NULL, !fw_tls_library_is_slow(), "%s", line);
    cr_expect_lt(strlen(line), sizeof line - 1);
}
