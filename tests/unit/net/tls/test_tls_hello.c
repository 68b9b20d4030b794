/* test_tls_hello.c: a ClientHello, whole or not, ours or not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_hello.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>

static struct guard_buf guarded;

static ssize_t check(const uint8_t *in, size_t count, char *host_out)
{
    return fw_tls_hello_check(guard_buf_at_end(&guarded, in, count), count, host_out);
}

/* A hello that grows by appending; its three lengths are set at the end. */
struct maker {
    uint8_t bytes[5000];
    size_t count;
    size_t extensions; /* where their length stands; 0 without */
};

static void put(struct maker *maker, const void *bytes, size_t count)
{
    memcpy(maker->bytes + maker->count, bytes, count);
    maker->count += count;
}

static void put_number(struct maker *maker, size_t number, unsigned bytes)
{
    while (bytes-- > 0)
        maker->bytes[maker->count++] = (uint8_t)(number >> (8 * bytes));
}

static void set_length(struct maker *maker, size_t at, unsigned bytes)
{
    size_t end = maker->count;
    maker->count = at;
    put_number(maker, end - at - bytes, bytes);
    maker->count = end;
}

static void begin(struct maker *maker)
{
    maker->count = 0;
    put(maker, "\x16\x03\x01\0\0\x01\0\0\0\x03\x03", 11);
    for (int i = 0; i < 32; i++)
        put_number(maker, (size_t)i, 1);
    put_number(maker, 0, 1);                 /* no session id */
    put(maker, "\0\x04\x13\x01\xc0\x2b", 6); /* two suites */
    put(maker, "\x01\0", 2);                 /* no compression */
    maker->extensions = maker->count;
    put_number(maker, 0, 2);
}

static void put_extension(struct maker *maker, unsigned type, const void *bytes, size_t count)
{
    put_number(maker, type, 2);
    put_number(maker, count, 2);
    put(maker, bytes, count);
}

static void put_host(struct maker *maker, const char *host)
{
    size_t count = strlen(host);
    put_number(maker, 0, 2);
    put_number(maker, count + 5, 2);
    put_number(maker, count + 3, 2);
    put_number(maker, 0, 1);
    put_number(maker, count, 2);
    put(maker, host, count);
}

static void end(struct maker *maker)
{
    if (maker->extensions != 0)
        set_length(maker, maker->extensions, 2);
    set_length(maker, 6, 3);
    set_length(maker, 3, 2);
}

static void open_buffer(void)
{
    guard_buf_init(&guarded, 8192);
}

static void close_buffer(void)
{
    guard_buf_clear(&guarded);
}

TestSuite(tls_hello, .init = open_buffer, .fini = close_buffer);

/* RFC 8446, section 4.1.2 */
Test(tls_hello, is_known_when_it_is_whole_and_not_before)
{
    struct maker maker;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    begin(&maker);
    put_extension(&maker, 43, "\x02\x03\x04", 3);
    put_host(&maker, "Example.TEST");
    put_extension(&maker, 10, "\0\x04\x11\xec\0\x1d", 6);
    end(&maker);
    for (size_t count = 0; count < maker.count; count++)
        cr_assert_eq(check(maker.bytes, count, host), 0, "%zu of %zu", count, maker.count);
    cr_assert_eq(check(maker.bytes, maker.count, host), (ssize_t)maker.count);
    cr_expect_str_eq(host, "example.test");
}

Test(tls_hello, ends_where_it_ends_whatever_is_behind_it)
{
    struct maker maker;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    begin(&maker);
    end(&maker);
    size_t count = maker.count;
    put(&maker, "\x14\x03\x03\0\x01\x01", 6);
    cr_expect_eq(check(maker.bytes, maker.count, host), (ssize_t)count);
    cr_expect_str_eq(host, "");
}

/* TLS 1.2 allows a hello without extensions (RFC 5246, section 7.4.1.2). */
Test(tls_hello, may_have_no_extensions)
{
    struct maker maker;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    begin(&maker);
    maker.count -= 2;
    maker.extensions = 0;
    end(&maker);
    cr_expect_eq(check(maker.bytes, maker.count, host), (ssize_t)maker.count);
}

/* RFC 8446, section 5.1: a handshake message may be spread over records, cut anywhere. */
Test(tls_hello, may_be_spread_over_records)
{
    struct maker maker;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    begin(&maker);
    put_host(&maker, "spread.test");
    end(&maker);
    for (size_t piece = 1; piece < 60; piece++) {
        uint8_t spread[2048];
        size_t count = 0;
        for (size_t at = 5; at < maker.count; at += piece) {
            size_t here = maker.count - at < piece ? maker.count - at : piece;
            memcpy(spread + count, "\x16\x03\x01\0", 4);
            spread[count + 4] = (uint8_t)here;
            memcpy(spread + count + 5, maker.bytes + at, here);
            count += 5 + here;
        }
        for (size_t cut = 0; cut < count; cut++)
            cr_assert_eq(check(spread, cut, host), 0, "piece %zu cut %zu", piece, cut);
        cr_assert_eq(check(spread, count, host), (ssize_t)count, "piece %zu", piece);
        cr_expect_str_eq(host, "spread.test");
    }
}

static const struct {
    const char *bytes;
    size_t count;
    int expected;
} beginnings[] = {
    {"GET / HTTP/1.1\r\n", 16, FW_ERR_TLS_NOT_TLS},
    {"G", 1, FW_ERR_TLS_NOT_TLS},
    {"\x16\x02", 2, FW_ERR_TLS_NOT_TLS},
    {"\x80\x34\x01\x00\x02", 5, FW_ERR_TLS_NOT_TLS},         /* SSLv2 */
    {"\x15\x03\x01\x00\x02\x01\x00", 7, FW_ERR_TLS_NOT_TLS}, /* an alert first */
    {"\x16\x03\x01\x00\x00", 5, FW_ERR_TLS_HELLO},           /* an empty record */
    {"\x16\x03\x01\x00\x04\x02", 6, FW_ERR_TLS_HELLO},       /* a ServerHello */
    {"\x16\x03\x01\x0f\xfb", 5, 0},                          /* 4096 with its header: the most */
    {"\x16\x03\x01\x0f\xfc", 5, FW_ERR_TLS_HELLO_TOO_LARGE},
    {"\x16\x03\x01\x40\x00", 5, FW_ERR_TLS_HELLO_TOO_LARGE},
    {"\x16\x03\x01\x00\x05\x01\x00\x10\x00", 9, 0},
    {"\x16\x03\x01\x00\x05\x01\x00\x10\x01", 9, FW_ERR_TLS_HELLO_TOO_LARGE},
    {"\x16\x03\x01\x00\x05\x01\xff\xff\xff", 9, FW_ERR_TLS_HELLO_TOO_LARGE},
};

Test(tls_hello, is_refused_as_soon_as_its_bytes_prove_it)
{
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        ssize_t got = check((const uint8_t *)beginnings[i].bytes, beginnings[i].count, host);
        cr_expect_eq(got, beginnings[i].expected, "%zu: %zd", i, got);
    }
}

/* 4 KiB in records of one octet never become a hello, and never more than 4 KiB. */
Test(tls_hello, of_too_many_records_is_refused)
{
    uint8_t bytes[6 * 700];
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    for (size_t i = 0; i < sizeof bytes; i += 6)
        memcpy(bytes + i, "\x16\x03\x01\x00\x01\x00", 6);
    bytes[5] = 1;            /* ClientHello ... */
    bytes[6 * 2 + 5] = 0x0f; /* ... of 3840 octets */
    ssize_t got = check(bytes, sizeof bytes, host);
    cr_expect_eq(got, FW_ERR_TLS_HELLO_TOO_LARGE, "%zd", got);
}

/* Where the parts of `begin`'s hello stand. */
enum { SESSION_ID = 5 + 4 + 2 + 32, SUITES = SESSION_ID + 1, COMPRESSION = SUITES + 6 };

static int check_broken(size_t at, uint8_t octet)
{
    struct maker maker;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    begin(&maker);
    put_host(&maker, "example.test");
    end(&maker);
    maker.bytes[at] = octet;
    return (int)check(maker.bytes, maker.count, host);
}

Test(tls_hello, is_refused_when_a_length_inside_is_wrong)
{
    cr_expect_eq(check_broken(SESSION_ID, 33), FW_ERR_TLS_HELLO);
    cr_expect_eq(check_broken(SESSION_ID, 255), FW_ERR_TLS_HELLO);
    cr_expect_eq(check_broken(SUITES + 1, 0), FW_ERR_TLS_HELLO);
    cr_expect_eq(check_broken(SUITES + 1, 3), FW_ERR_TLS_HELLO);
    cr_expect_eq(check_broken(SUITES, 0x10), FW_ERR_TLS_HELLO);
    cr_expect_eq(check_broken(COMPRESSION, 0), FW_ERR_TLS_HELLO);
    cr_expect_eq(check_broken(COMPRESSION, 200), FW_ERR_TLS_HELLO);
    for (unsigned octet = 0; octet < 256; octet++) {
        for (size_t at = COMPRESSION + 2; at < COMPRESSION + 2 + 2 + 9; at++) {
            int got = check_broken(at, (uint8_t)octet); /* extensions' lengths, types, SNI's */
            cr_assert(got > 0 || got == FW_ERR_TLS_HELLO || got == FW_ERR_TLS_CIPHER,
                      "at %zu octet %u: %d", at, octet, got);
        }
    }
}

Test(tls_hello, is_refused_when_something_shares_its_record)
{
    struct maker maker;
    char host[FW_TLS_HOST_CHARS_MAX + 1];
    begin(&maker);
    end(&maker);
    put_number(&maker, 0, 1);
    set_length(&maker, 3, 2);
    cr_expect_eq(check(maker.bytes, maker.count, host), FW_ERR_TLS_HELLO);
}

/* RFC 6066, section 3 */
Test(tls_hello, takes_only_a_name_that_could_be_one)
{
    static const struct {
        const char *given;
        const char *taken;
    } names[] = {
        {"a", "a"},
        {"xn--bcher-kva.TEST", "xn--bcher-kva.test"},
        {"_srv.test", "_srv.test"},
        {"192.0.2.1", "192.0.2.1"},
        {"::1", ""},
        {"a b", ""},
        {"a/../b", ""},
        {"\xc3\xa9.test", ""},
        {"a\r\nb", ""},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct maker maker;
        char host[FW_TLS_HOST_CHARS_MAX + 1];
        begin(&maker);
        put_host(&maker, names[i].given);
        end(&maker);
        cr_assert_eq(check(maker.bytes, maker.count, host), (ssize_t)maker.count);
        cr_expect_str_eq(host, names[i].taken);
    }
}

Test(tls_hello, takes_no_name_over_253_characters)
{
    for (size_t chars = 252; chars <= 255; chars++) {
        char name[300] = "";
        struct maker maker;
        char host[FW_TLS_HOST_CHARS_MAX + 1];
        memset(name, 'a', chars);
        begin(&maker);
        put_host(&maker, name);
        end(&maker);
        cr_assert_eq(check(maker.bytes, maker.count, host), (ssize_t)maker.count);
        cr_expect_eq(strlen(host), chars <= 253 ? chars : 0);
    }
}

/* RFC 8446, section 4.2.7 */
Test(tls_hello, must_list_a_group_of_ours_when_it_lists_any)
{
    static const struct {
        const char *list;
        size_t count;
        bool ours;
    } lists[] = {
        {"\0\x02\0\x1d", 4, true},
        {"\0\x02\0\x17", 4, true},
        {"\0\x02\0\x18", 4, true},
        {"\0\x02\0\x19", 4, false}, /* P-521 */
        {"\0\x04\0\x19\0\x1d", 6, true},
        {"\0\x02\x01\x00", 4, false}, /* ffdhe2048 */
        {"\0\0", 2, false},
        {"\0\x04\0\x19", 4, false},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct maker maker;
        char host[FW_TLS_HOST_CHARS_MAX + 1];
        begin(&maker);
        put_extension(&maker, 10, lists[i].list, lists[i].count);
        end(&maker);
        ssize_t got = check(maker.bytes, maker.count, host);
        cr_expect_eq(got, lists[i].ours ? (ssize_t)maker.count : FW_ERR_TLS_CIPHER, "%zu: %zd", i,
                     got);
    }
}
