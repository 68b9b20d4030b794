/* tls_pki.h: certificates for the tests, made when they run; none lies in the tree.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_TESTS_TLS_PKI_H
#define FW_TESTS_TLS_PKI_H

#include "net/tls/tls.h"

struct pki_party {
    uint8_t certificate[2048]; /* DER */
    size_t certificate_bytes;
    uint8_t key[256]; /* DER */
    size_t key_bytes;
};

struct pki_recipe {
    const char *subject;
    const char *organisation;       /* or NULL */
    const char *const *names;       /* DNS names and addresses, NULL at the end; or NULL */
    const struct pki_party *issuer; /* NULL: it signs itself */
    const char *not_before;         /* "YYMMDDhhmmssZ", or NULL for yesterday and a month */
    const char *not_after;
    bool is_ca;
};

/* Makes an ECDSA P-256 key and its certificate; the test fails when it cannot. */
void pki_make(const struct pki_recipe *recipe, struct pki_party *party_out);

/* What options and files want. */
struct fw_tls_certificate pki_in_memory(const struct pki_party *party);

/* A temporary file that is removed when the process ends; a path that lives as long. */
const char *pki_file(const void *bytes, size_t count, unsigned mode);

/* PEM of certificates, one behind the other, into a file. */
const char *pki_certificate_file(const struct pki_party *const *parties, unsigned count);
const char *pki_key_file(const struct pki_party *party, unsigned mode);

/* A root, an intermediate and a leaf as the world makes them, with key usages and identifiers, from
 * the openssl command; false when it is not there. */
struct pki_chain {
    char ca_file[96];
    char chain_file[96]; /* leaf and intermediate */
    char leaf_file[96];
    char key_file[96];
};
bool pki_chain_make(const char *leaf_algorithm, struct pki_chain *chain_out);
void pki_chain_clear(const struct pki_chain *chain);

/* The PKI that most tests share, made when first asked for. */
struct pki {
    struct pki_party ca;
    struct pki_party other_ca;
    struct pki_party server;   /* example.test, *.wild.test, 192.0.2.7, 2001:db8::7, by ca */
    struct pki_party second;   /* second.test and one.wild.test, by ca */
    struct pki_party client;   /* subject alice, by ca */
    struct pki_party stranger; /* subject alice, by other_ca */
    const char *ca_file;
};
const struct pki *pki_shared(void);

#endif
