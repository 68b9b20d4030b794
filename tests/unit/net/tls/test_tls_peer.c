/* test_tls_peer.c: certificates that are believed, and those that are not, each for its own reason.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/net/tls/tls_pair.h"

#include <criterion/criterion.h>

static struct fw_tls_context *server_with(const struct pki_party *party, const char *ca_file)
{
    struct fw_tls_certificate certificate = pki_in_memory(party);
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_SERVER,
                                                 .certificates = &certificate,
                                                 .certificates_count = 1,
                                                 .ca_file = ca_file});
}

static struct fw_tls_context *client_with(const struct pki_party *party, const char *ca_file,
                                          enum fw_tls_versions versions)
{
    struct fw_tls_certificate certificate = {NULL, NULL, {NULL, 0}, {NULL, 0}};
    if (party != NULL)
        certificate = pki_in_memory(party);
    return pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT,
                                                 .certificates = &certificate,
                                                 .certificates_count = party != NULL,
                                                 .ca_file = ca_file,
                                                 .versions = versions});
}

/* ---- a client judges a server ---- */

/* Shakes with a server that shows `party`; the client's error, and its sentence. */
static int judge_server(const struct pki_party *party, const char *host, const char *ca_file,
                        char *why)
{
    int status = 0;
    for (int twelve = 0; twelve < 2; twelve++) {
        struct fw_tls_context *server = server_with(party, NULL);
        struct fw_tls_context *client =
            client_with(NULL, ca_file, twelve ? FW_TLS_12_ONLY : FW_TLS_12_AND_13);
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, host, NULL);
        pair_run(&pair);
        cr_assert(twelve == 0 || status == pair.client.status, "both versions agree: %d, %d",
                  status, pair.client.status);
        status = pair.client.status;
        if (status != 0)
            cr_expect_neq(fw_tls_state(pair.server.tls), FW_TLS_HELLO_READY);
        fw_tls_why(pair.client.tls, why, FW_TLS_WHY_BYTES);
        pair_close(&pair);
        fw_tls_context_drop(server);
        fw_tls_context_drop(client);
    }
    return status;
}

static void make(const struct pki_recipe *recipe, struct pki_party *party)
{
    static const char *const names[] = {"example.test", NULL};
    struct pki_recipe full = *recipe;
    full.subject = "x";
    if (full.names == NULL)
        full.names = names;
    pki_make(&full, party);
}

/* The reasons of RFC 5280's section 6 that people meet. */
Test(tls_client, tells_each_bad_certificate_apart)
{
    const struct pki *pki = pki_shared();
    char why[6][FW_TLS_WHY_BYTES];
    struct pki_party party;

    cr_expect_eq(judge_server(&pki->server, "wrong.test", pki->ca_file, why[0]),
                 FW_ERR_TLS_CERT_HOST);
    cr_expect_not_null(strstr(why[0], "wrong.test"), "%s", why[0]);

    make(&(struct pki_recipe){.issuer = &pki->ca,
                              .not_before = "200101000000Z",
                              .not_after = "210101000000Z"},
         &party);
    cr_expect_eq(judge_server(&party, "example.test", pki->ca_file, why[1]),
                 FW_ERR_TLS_CERT_EXPIRED);

    make(&(struct pki_recipe){.issuer = &pki->ca,
                              .not_before = "480101000000Z",
                              .not_after = "490101000000Z"},
         &party);
    cr_expect_eq(judge_server(&party, "example.test", pki->ca_file, why[2]),
                 FW_ERR_TLS_CERT_NOT_YET);

    make(&(struct pki_recipe){.issuer = NULL}, &party);
    cr_expect_eq(judge_server(&party, "example.test", pki->ca_file, why[3]),
                 FW_ERR_TLS_CERT_SELF_SIGNED);

    make(&(struct pki_recipe){.issuer = &pki->other_ca}, &party);
    cr_expect_eq(judge_server(&party, "example.test", pki->ca_file, why[4]),
                 FW_ERR_TLS_CERT_ISSUER);

    make(&(struct pki_recipe){.issuer = &pki->ca}, &party);
    party.certificate[party.certificate_bytes - 1] ^= 1;
    cr_expect_eq(judge_server(&party, "example.test", pki->ca_file, why[5]),
                 FW_ERR_TLS_CERT_SIGNATURE);

    for (int i = 0; i < 6; i++) {
        for (int k = i + 1; k < 6; k++)
            cr_expect_str_neq(why[i], why[k], "each has its own sentence");
    }
}

Test(tls_client, takes_a_self_signed_certificate_that_it_was_given_as_ca)
{
    struct pki_party party;
    char why[FW_TLS_WHY_BYTES];
    make(&(struct pki_recipe){.issuer = NULL}, &party);
    const char *ca_file = pki_certificate_file((const struct pki_party *[]){&party}, 1);
    cr_expect_eq(judge_server(&party, "example.test", ca_file, why), 0, "%s", why);
}

static const struct {
    const char *host;
    int expected;
} hosts[] = {
    {"example.test", 0},
    {"EXAMPLE.TEST", 0},
    {"a.wild.test", 0},
    {"wild.test", FW_ERR_TLS_CERT_HOST},
    {"a.b.wild.test", FW_ERR_TLS_CERT_HOST},
    {"192.0.2.7", 0},
    {"192.0.2.8", FW_ERR_TLS_CERT_HOST},
    {"2001:db8::7", 0},
    {"2001:db8:0:0::7", 0},
    {"2001:db8::8", FW_ERR_TLS_CERT_HOST},
    {"s", FW_ERR_TLS_CERT_HOST}, /* its subject's name does not count */
};

Test(tls_client, wants_the_certificate_to_be_for_its_host)
{
    const struct pki *pki = pki_shared();
    char why[FW_TLS_WHY_BYTES];
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int got = judge_server(&pki->server, hosts[i].host, pki->ca_file, why);
        cr_expect_eq(got, hosts[i].expected, "%s: %d %s", hosts[i].host, got, why);
    }
}

Test(tls_client, without_names_in_the_certificate_trusts_no_subject)
{
    const struct pki *pki = pki_shared();
    struct pki_party party;
    char why[FW_TLS_WHY_BYTES];
    pki_make(&(struct pki_recipe){.subject = "example.test", .issuer = &pki->ca}, &party);
    cr_expect_eq(judge_server(&party, "example.test", pki->ca_file, why), FW_ERR_TLS_CERT_HOST);
}

Test(tls_client, follows_a_chain_through_an_intermediate)
{
    static const char *const algorithms[] = {"EC", "RSA"};
    for (int i = 0; i < 2; i++) {
        struct pki_chain chain;
        if (!pki_chain_make(algorithms[i], &chain))
            cr_skip("the openssl command is not here");
        struct fw_tls_context *client =
            pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT, .ca_file = chain.ca_file});
        for (int whole = 0; whole < 2; whole++) {
            struct fw_tls_certificate certificate = {.certificate_file =
                                                         whole ? chain.chain_file : chain.leaf_file,
                                                     .key_file = chain.key_file};
            struct fw_tls_context *server = pair_context(&(struct fw_tls_options){
                .role = FW_TLS_SERVER, .certificates = &certificate, .certificates_count = 1});
            struct pair pair = {.split = 0};
            pair_open(&pair, server, client, "example.test", NULL);
            pair_run(&pair);
            cr_expect_eq(pair.client.status, whole ? 0 : FW_ERR_TLS_CERT_ISSUER, "%s %d: %d",
                         algorithms[i], whole, pair.client.status);
            pair_close(&pair);
            fw_tls_context_drop(server);
        }
        fw_tls_context_drop(client);
        pki_chain_clear(&chain);
    }
}

/* A leaf that signs another leaf is no CA, whatever the chain says. */
Test(tls_client, refuses_a_chain_through_a_leaf)
{
    const struct pki *pki = pki_shared();
    struct pki_party forged;
    char why[FW_TLS_WHY_BYTES];
    make(&(struct pki_recipe){.issuer = &pki->second}, &forged);
    const struct pki_party *chain[] = {&forged, &pki->second};
    struct fw_tls_certificate certificate = {.certificate_file = pki_certificate_file(chain, 2),
                                             .key_file = pki_key_file(&forged, 0600)};
    struct fw_tls_context *server = pair_context(&(struct fw_tls_options){
        .role = FW_TLS_SERVER, .certificates = &certificate, .certificates_count = 1});
    struct fw_tls_context *client = pair_client_context();
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_run(&pair);
    fw_tls_why(pair.client.tls, why, sizeof why);
    cr_expect_eq(pair.client.status, FW_ERR_TLS_CERT_ISSUER, "%s", why);
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_client, that_trusts_anyone_says_so_and_opens)
{
    char why[FW_TLS_WHY_BYTES];
    struct fw_tls_context *client = NULL;
    struct fw_tls_options options = {.role = FW_TLS_CLIENT, .trust_anyone = true};
    cr_assert_eq(fw_tls_context_create(&options, why, sizeof why, &client), 0);
    cr_expect_not_null(strstr(why, "not checked"), "%s", why);
    struct fw_tls_context *server = server_with(&pki_shared()->stranger, NULL);
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, NULL, NULL);
    pair_shake(&pair);
    cr_expect_null(fw_tls_server_name(pair.server.tls));
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

Test(tls_client, that_checks_must_know_whom_it_means)
{
    struct fw_tls_context *client = pair_client_context();
    struct fw_tls *tls = NULL;
    char host[300];
    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    cr_expect_eq(fw_tls_create(client, NULL, NULL, &tls), FW_ERR_USAGE);
    cr_expect_eq(fw_tls_create(client, "", NULL, &tls), FW_ERR_USAGE);
    cr_expect_eq(fw_tls_create(client, host, NULL, &tls), FW_ERR_USAGE);
    struct fw_tls_context *server = pair_server_context();
    cr_expect_eq(fw_tls_create(server, "example.test", NULL, &tls), FW_ERR_USAGE);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
}

/* ---- a server judges a client ---- */

/* Shakes with a client that shows `party`, or nothing; the server's error. A client's handshake in
 * TLS 1.3 is done before the server has judged it, so only the server's word counts. */
static int judge_client(const struct pki_party *party, enum fw_tls_versions versions, char *subject,
                        int *client_status)
{
    const struct pki *pki = pki_shared();
    struct fw_tls_context *server = server_with(&pki->server, pki->ca_file);
    struct fw_tls_context *client = client_with(party, pki->ca_file, versions);
    struct pair pair = {.split = 0};
    pair_open(&pair, server, client, "example.test", NULL);
    pair_run(&pair);
    int status = pair.server.status;
    cr_expect_eq(fw_tls_state(pair.server.tls), status == 0 ? FW_TLS_OPEN : FW_TLS_FAILED);
    subject[0] = '\0';
    if (status == 0)
        strcpy(subject, fw_tls_peer_subject(pair.server.tls));
    *client_status = pair.client.status;
    pair_close(&pair);
    fw_tls_context_drop(server);
    fw_tls_context_drop(client);
    return status;
}

Test(tls_server, that_has_a_ca_wants_a_certificate_of_it)
{
    const struct pki *pki = pki_shared();
    static const enum fw_tls_versions versions[] = {FW_TLS_13_ONLY, FW_TLS_12_ONLY};
    struct pki_party expired;
    struct pki_party self;
    pki_make(&(struct pki_recipe){.subject = "e",
                                  .issuer = &pki->ca,
                                  .not_before = "200101000000Z",
                                  .not_after = "210101000000Z"},
             &expired);
    pki_make(&(struct pki_recipe){.subject = "self"}, &self);
    for (int i = 0; i < 2; i++) {
        char subject[FW_TLS_SUBJECT_CHARS_MAX + 1];
        int theirs;
        cr_expect_eq(judge_client(&pki->client, versions[i], subject, &theirs), 0);
        cr_expect_str_eq(subject, "CN=alice,O=A\\, B", "%s", subject);
        cr_expect_eq(theirs, 0);

        int got = judge_client(NULL, versions[i], subject, &theirs);
        cr_expect_eq(got, FW_ERR_TLS_CERT_MISSING, "%d", got);
        cr_expect_eq(theirs, FW_ERR_TLS_ALERT, "%d", theirs);
        cr_expect_eq(judge_client(&pki->stranger, versions[i], subject, &theirs),
                     FW_ERR_TLS_CERT_ISSUER);
        cr_expect_eq(theirs, FW_ERR_TLS_ALERT, "%d", theirs);
        cr_expect_eq(judge_client(&expired, versions[i], subject, &theirs),
                     FW_ERR_TLS_CERT_EXPIRED);
        cr_expect_eq(judge_client(&self, versions[i], subject, &theirs),
                     FW_ERR_TLS_CERT_SELF_SIGNED);
    }
}

/* Where the public key of a P-256 certificate stands: behind its algorithm's two OIDs. */
static uint8_t *find_point(struct pki_party *party)
{
    static const uint8_t algorithm[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                                        0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                        0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
    uint8_t *found =
        memmem(party->certificate, party->certificate_bytes, algorithm, sizeof algorithm);
    cr_assert_not_null(found);
    return found + sizeof algorithm;
}

/* CVE-2026-93302: the bytes of the CA's own certificate, which anybody has, with another key in it.
 * The library of Debian 12 lets it pass; the second look must not. */
Test(tls_server, refuses_the_cas_certificate_with_a_swapped_key)
{
    const struct pki *pki = pki_shared();
    static const enum fw_tls_versions versions[] = {FW_TLS_13_ONLY, FW_TLS_12_ONLY};
    struct pki_party forged = pki->ca;
    struct pki_party mallory;
    pki_make(&(struct pki_recipe){.subject = "mallory"}, &mallory);
    memcpy(find_point(&forged), find_point(&mallory), 65);
    memcpy(forged.key, mallory.key, sizeof mallory.key);
    forged.key_bytes = mallory.key_bytes;
    for (int i = 0; i < 2; i++) {
        char subject[FW_TLS_SUBJECT_CHARS_MAX + 1];
        int theirs;
        int status = judge_client(&forged, versions[i], subject, &theirs);
        cr_expect_eq(status, FW_ERR_TLS_CERT_SIGNATURE, "%d", status);
    }
}

/* The same with a server's certificate, and a client that is deceived. */
Test(tls_client, refuses_the_cas_certificate_with_a_swapped_key)
{
    static const char *const names[] = {"example.test", NULL};
    struct pki_party ca;
    struct pki_party forged;
    struct pki_party mallory;
    char why[FW_TLS_WHY_BYTES];
    pki_make(&(struct pki_recipe){.subject = "CA", .names = names, .is_ca = true}, &ca);
    pki_make(&(struct pki_recipe){.subject = "mallory"}, &mallory);
    forged = ca;
    memcpy(find_point(&forged), find_point(&mallory), 65);
    memcpy(forged.key, mallory.key, sizeof mallory.key);
    forged.key_bytes = mallory.key_bytes;
    const char *ca_file = pki_certificate_file((const struct pki_party *[]){&ca}, 1);
    int status = judge_server(&forged, "example.test", ca_file, why);
    cr_expect_eq(status, FW_ERR_TLS_CERT_SIGNATURE, "%d %s", status, why);
}

/* A CA of the peer's own, named like the trusted one, in the chain: it must change nothing, neither
 * for this handshake nor for the next. */
Test(tls_server, learns_no_ca_from_a_peers_chain)
{
    const struct pki *pki = pki_shared();
    struct pki_party fake_ca;
    struct pki_party leaf;
    pki_make(&(struct pki_recipe){.subject = "Test CA", .is_ca = true}, &fake_ca);
    pki_make(&(struct pki_recipe){.subject = "alice", .issuer = &fake_ca}, &leaf);
    const struct pki_party *chain[] = {&leaf, &fake_ca};
    struct fw_tls_certificate certificates[] = {
        {.certificate_file = pki_certificate_file(chain, 2), .key_file = pki_key_file(&leaf, 0600)},
        {.certificate_file = pki_certificate_file(chain, 1), .key_file = pki_key_file(&leaf, 0600)},
    };
    struct fw_tls_context *server = server_with(&pki->server, pki->ca_file);
    for (int i = 0; i < 4; i++) {
        struct fw_tls_context *client =
            pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT,
                                                  .certificates = &certificates[i % 2],
                                                  .certificates_count = 1,
                                                  .ca_file = pki->ca_file});
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, "example.test", NULL);
        pair_run(&pair);
        cr_expect(pair.server.status == FW_ERR_TLS_CERT_SIGNATURE ||
                      pair.server.status == FW_ERR_TLS_CERT_ISSUER ||
                      pair.server.status == FW_ERR_TLS_CERT_SELF_SIGNED,
                  "%d", pair.server.status);
        pair_close(&pair);
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
}

Test(tls_server, follows_a_clients_chain_through_an_intermediate)
{
    struct pki_chain chain;
    if (!pki_chain_make("EC", &chain))
        cr_skip("the openssl command is not here");
    struct fw_tls_context *server = server_with(&pki_shared()->server, chain.ca_file);
    static const enum fw_tls_versions versions[] = {FW_TLS_13_ONLY, FW_TLS_12_ONLY};
    for (int i = 0; i < 2; i++) {
        struct fw_tls_certificate certificate = {.certificate_file = chain.chain_file,
                                                 .key_file = chain.key_file};
        struct fw_tls_context *client =
            pair_context(&(struct fw_tls_options){.role = FW_TLS_CLIENT,
                                                  .certificates = &certificate,
                                                  .certificates_count = 1,
                                                  .ca_file = pki_shared()->ca_file,
                                                  .versions = versions[i]});
        struct pair pair = {.split = 0};
        pair_open(&pair, server, client, "example.test", NULL);
        pair_shake(&pair);
        cr_expect_str_eq(fw_tls_peer_subject(pair.server.tls), "CN=bob,O=Test");
        pair_close(&pair);
        fw_tls_context_drop(client);
    }
    fw_tls_context_drop(server);
    pki_chain_clear(&chain);
}
