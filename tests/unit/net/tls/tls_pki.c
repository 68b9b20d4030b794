/* tls_pki.c: a small certification authority for tests, on wolfCrypt.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/net/tls/tls_pki.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

static size_t write_name(const char *name, uint8_t *out)
{
    size_t bytes = strlen(name);
    out[0] = 0x87;
    if (inet_pton(AF_INET, name, out + 2) == 1) {
        bytes = 4;
    } else if (inet_pton(AF_INET6, name, out + 2) == 1) {
        bytes = 16;
    } else {
        out[0] = 0x82;
        memcpy(out + 2, name, bytes);
    }
    out[1] = (uint8_t)bytes;
    return bytes + 2;
}

/* At most 127 bytes of them: the sequence's length stays in one octet. */
static void write_names(Cert *cert, const char *const *names)
{
    size_t at = 2;
    for (; *names != NULL; names++)
        at += write_name(*names, cert->altNames + at);
    cr_assert_lt(at, 130u);
    cert->altNames[0] = 0x30;
    cert->altNames[1] = (uint8_t)(at - 2);
    cert->altNamesSz = (int)at;
}

static void write_date(const char *date, byte *out, int *bytes_out)
{
    size_t count = strlen(date);
    out[0] = 0x17; /* UTCTime */
    out[1] = (byte)count;
    memcpy(out + 2, date, count);
    *bytes_out = (int)count + 2;
}

static void fill(Cert *cert, const struct pki_recipe *recipe)
{
    cr_assert_eq(wc_InitCert(cert), 0);
    cert->sigType = CTC_SHA256wECDSA;
    cert->daysValid = 30;
    cert->isCA = recipe->is_ca;
    cert->selfSigned = recipe->issuer == NULL;
    snprintf(cert->subject.commonName, CTC_NAME_SIZE, "%s", recipe->subject);
    if (recipe->organisation != NULL)
        snprintf(cert->subject.org, CTC_NAME_SIZE, "%s", recipe->organisation);
    if (recipe->names != NULL)
        write_names(cert, recipe->names);
    if (recipe->issuer != NULL)
        cr_assert_eq(wc_SetIssuerBuffer(cert, recipe->issuer->certificate,
                                        (int)recipe->issuer->certificate_bytes),
                     0);
    if (recipe->not_before != NULL) {
        write_date(recipe->not_before, cert->beforeDate, &cert->beforeDateSz);
        write_date(recipe->not_after, cert->afterDate, &cert->afterDateSz);
    }
}

static void read_key(const struct pki_party *party, ecc_key *key)
{
    word32 at = 0;
    cr_assert_eq(wc_ecc_init(key), 0);
    cr_assert_eq(wc_EccPrivateKeyDecode(party->key, &at, key, (word32)party->key_bytes), 0);
}

void pki_make(const struct pki_recipe *recipe, struct pki_party *party_out)
{
    static Cert cert;
    WC_RNG rng;
    ecc_key key;
    ecc_key issuer_key;
    fill(&cert, recipe);
    cr_assert_eq(wc_InitRng(&rng), 0);
    cr_assert_eq(wc_ecc_init(&key), 0);
    cr_assert_eq(wc_ecc_make_key_ex(&rng, 32, &key, ECC_SECP256R1), 0);
    int bytes = wc_MakeCert_ex(&cert, party_out->certificate, sizeof party_out->certificate,
                               ECC_TYPE, &key, &rng);
    cr_assert_gt(bytes, 0, "%d", bytes);
    if (recipe->issuer != NULL)
        read_key(recipe->issuer, &issuer_key);
    bytes = wc_SignCert_ex(cert.bodySz, cert.sigType, party_out->certificate,
                           sizeof party_out->certificate, ECC_TYPE,
                           recipe->issuer != NULL ? &issuer_key : &key, &rng);
    cr_assert_gt(bytes, 0, "%d", bytes);
    party_out->certificate_bytes = (size_t)bytes;
    bytes = wc_EccKeyToDer(&key, party_out->key, sizeof party_out->key);
    cr_assert_gt(bytes, 0, "%d", bytes);
    party_out->key_bytes = (size_t)bytes;
    if (recipe->issuer != NULL)
        wc_ecc_free(&issuer_key);
    wc_ecc_free(&key);
    wc_FreeRng(&rng);
}

struct fw_tls_certificate pki_in_memory(const struct pki_party *party)
{
    return (struct fw_tls_certificate){
        .certificate = {party->certificate, party->certificate_bytes},
        .key = {party->key, party->key_bytes},
    };
}

/* ---- files ---- */

#define FILES_MAX 64
static char files[FILES_MAX][64];
static unsigned files_count;

static void remove_files(void)
{
    for (unsigned i = 0; i < files_count; i++)
        unlink(files[i]);
}

const char *pki_file(const void *bytes, size_t count, unsigned mode)
{
    cr_assert_lt(files_count, FILES_MAX);
    if (files_count == 0)
        atexit(remove_files);
    char *path = files[files_count++];
    strcpy(path, "/tmp/fanwire-test-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static size_t write_pem(const char *kind, const uint8_t *der, size_t der_bytes, char *out,
                        size_t room)
{
    static byte base64[8192];
    word32 base64_bytes = sizeof base64;
    cr_assert_eq(Base64_Encode(der, (word32)der_bytes, base64, &base64_bytes), 0);
    int count = snprintf(out, room, "-----BEGIN %s-----\n%.*s-----END %s-----\n", kind,
                         (int)base64_bytes, (const char *)base64, kind);
    cr_assert_lt((size_t)count, room);
    return (size_t)count;
}

const char *pki_certificate_file(const struct pki_party *const *parties, unsigned count)
{
    static char pem[65536];
    size_t at = 0;
    for (unsigned i = 0; i < count; i++)
        at += write_pem("CERTIFICATE", parties[i]->certificate, parties[i]->certificate_bytes,
                        pem + at, sizeof pem - at);
    return pki_file(pem, at, 0644);
}

const char *pki_key_file(const struct pki_party *party, unsigned mode)
{
    char pem[1024];
    return pki_file(pem, write_pem("EC PRIVATE KEY", party->key, party->key_bytes, pem, sizeof pem),
                    mode);
}

/* ---- from the openssl command ---- */

static const char chain_script[] =
    "set -e; umask 077; cd $FANWIRE_TEST_FOLDER\n"
    "key() { openssl genpkey -algorithm $1 -out $2 -pkeyopt $3; }\n"
    "key EC root.key ec_paramgen_curve:P-384\n"
    "key EC sub.key ec_paramgen_curve:P-256\n"
    "case $FANWIRE_TEST_ALGORITHM in\n"
    "RSA) key RSA leaf.key rsa_keygen_bits:2048 ;;\n"
    "*) key EC leaf.key ec_paramgen_curve:P-256 ;;\n"
    "esac\n"
    "printf '%s\\n' '[ca]' basicConstraints=critical,CA:true keyUsage=critical,keyCertSign,cRLSign "
    "subjectKeyIdentifier=hash authorityKeyIdentifier=keyid '[leaf]' "
    "basicConstraints=critical,CA:false keyUsage=critical,digitalSignature "
    "extendedKeyUsage=serverAuth,clientAuth subjectKeyIdentifier=hash authorityKeyIdentifier=keyid "
    "subjectAltName=DNS:example.test >ext\n"
    "openssl req -new -key root.key -subj '/O=Test/CN=Root' -out root.csr\n"
    "openssl x509 -req -in root.csr -signkey root.key -days 30 -extfile ext -extensions ca "
    "-out root.pem\n"
    "openssl req -new -key sub.key -subj '/O=Test/CN=Sub' -out sub.csr\n"
    "openssl x509 -req -in sub.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 "
    "-extfile ext -extensions ca -out sub.pem\n"
    "openssl req -new -key leaf.key -subj '/O=Test/CN=bob' -out leaf.csr\n"
    "openssl x509 -req -in leaf.csr -CA sub.pem -CAkey sub.key -CAcreateserial -days 10 "
    "-extfile ext -extensions leaf -out leaf.pem\n"
    "cat leaf.pem sub.pem >chain.pem\n";

bool pki_chain_make(const char *leaf_algorithm, struct pki_chain *chain_out)
{
    char folder[] = "/tmp/fanwire-chain-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    setenv("FANWIRE_TEST_FOLDER", folder, 1);
    setenv("FANWIRE_TEST_ALGORITHM", leaf_algorithm, 1);
    static char command[4096];
    snprintf(command, sizeof command, "( %s ) >/dev/null 2>&1", chain_script);
    bool made = system(command) == 0;
    snprintf(chain_out->ca_file, sizeof chain_out->ca_file, "%s/root.pem", folder);
    snprintf(chain_out->chain_file, sizeof chain_out->chain_file, "%s/chain.pem", folder);
    snprintf(chain_out->leaf_file, sizeof chain_out->leaf_file, "%s/leaf.pem", folder);
    snprintf(chain_out->key_file, sizeof chain_out->key_file, "%s/leaf.key", folder);
    if (!made)
        pki_chain_clear(chain_out);
    return made;
}

void pki_chain_clear(const struct pki_chain *chain)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf \"$(dirname '%s')\"", chain->ca_file);
    cr_assert_eq(system(command), 0);
}

/* ---- the shared one ---- */

static void make_shared(struct pki *pki)
{
    static const char *const server_names[] = {"example.test", "*.wild.test", "192.0.2.7",
                                               "2001:db8::7", NULL};
    static const char *const second_names[] = {"second.test", "one.wild.test", NULL};
    pki_make(&(struct pki_recipe){.subject = "Test CA", .is_ca = true}, &pki->ca);
    pki_make(&(struct pki_recipe){.subject = "Other CA", .is_ca = true}, &pki->other_ca);
    pki_make(&(struct pki_recipe){.subject = "s", .names = server_names, .issuer = &pki->ca},
             &pki->server);
    pki_make(&(struct pki_recipe){.subject = "t", .names = second_names, .issuer = &pki->ca},
             &pki->second);
    pki_make(&(struct pki_recipe){.subject = "alice", .organisation = "A, B", .issuer = &pki->ca},
             &pki->client);
    pki_make(&(struct pki_recipe){.subject = "alice", .issuer = &pki->other_ca}, &pki->stranger);
    pki->ca_file = pki_certificate_file((const struct pki_party *[]){&pki->ca}, 1);
}

const struct pki *pki_shared(void)
{
    static struct pki pki;
    if (pki.ca_file == NULL)
        make_shared(&pki);
    return &pki;
}
