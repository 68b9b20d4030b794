/* test_tls_names.c: names in certificates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_names.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>

static const struct {
    const char *name;
    const char *host;
    bool matches;
} pairs[] = {
    /* RFC 9525, section 6.3 */
    {"example.test", "example.test", true},
    {"Example.TEST", "eXample.test", true},
    {"example.test", "example.test.", true},
    {"example.test", "www.example.test", false},
    {"example.test", "xexample.test", false},
    {"example.test", "example.tes", false},
    {"example.test", "", false},
    {"example.test", ".", false},
    {"", "example.test", false},
    {"*.example.test", "www.example.test", true},
    {"*.EXAMPLE.test", "WWW.example.TEST", true},
    {"*.example.test", "example.test", false},
    {"*.example.test", ".example.test", false},
    {"*.example.test", "a.b.example.test", false},
    {"*.example.test", "www.example.test.", true},
    {"*.test", "example.test", false}, /* a whole top level */
    {"*", "example", false},
    {"*.", "example.", false},
    {"w*.example.test", "www.example.test", false},
    {"*w.example.test", "www.example.test", false},
    {"www.*.test", "www.example.test", false},
    {"*.*.test", "www.example.test", false},
    {"www.example.test", "*.example.test", false},
};

Test(tls_names, match_whole_or_with_one_wild_label)
{
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        cr_expect_eq(fw_tls_name_matches(fw_bytes_of(pairs[i].name), pairs[i].host),
                     pairs[i].matches, "%s for %s", pairs[i].name, pairs[i].host);
}

/* The trick of 2009: what C reads as "good.test" is a name under evil.test. */
Test(tls_names, with_a_zero_inside_match_nothing)
{
    static const uint8_t name[] = "good.test\0.evil.test";
    struct fw_bytes bytes = {name, sizeof name - 1};
    cr_expect_not(fw_tls_name_matches(bytes, "good.test"));
    cr_expect_not(fw_tls_name_matches(bytes, "good.test.evil.test"));
}

static const struct {
    const char *der;
    size_t count;
    const char *text; /* NULL: refused */
} names[] = {
    /* RFC 4514, sections 2.1 to 2.4 */
    {"", 0, ""},
    {"\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
     "bob",
     14, "CN=bob"},
    {"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02"
     "DE"
     "\x31\x0c\x30\x0a\x06\x03\x55\x04\x0a\x0c\x03"
     "Org"
     "\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
     "bob",
     41, "CN=bob,O=Org,C=DE"},
    /* what could pose as more than one value is escaped */
    {"\x31\x11\x30\x0f\x06\x03\x55\x04\x03\x0c\x08"
     "a,CN=eve",
     19, "CN=a\\,CN\\=eve"},
    {"\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07"
     "#a+\"<;\\",
     18, "CN=\\#a\\+\\\"\\<\\;\\\\"},
    {"\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04"
     " a  ",
     15, "CN=\\ a \\ "},
    {"\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04"
     "a\n\0\x7f",
     15, "CN=a\\0A\\00\\7F"},
    {"\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
     "\xc3\xa9z",
     14, "CN=\\C3\\A9z"},
    /* two attributes in one RDN; an empty value; a type without a name; wide characters */
    {"\x31\x18\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
     "bob"
     "\x30\x0a\x06\x03\x55\x04\x0b\x0c\x03"
     "dev",
     26, "CN=bob+OU=dev"},
    {"\x31\x09\x30\x07\x06\x03\x55\x04\x03\x0c\x00", 11, "CN="},
    {"\x31\x0d\x30\x0b\x06\x04\x2a\x86\x48\x01\x0c\x03"
     "xyz",
     15, "1.2.840.1=xyz"},
    {"\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x1e\x04\0a\0b", 15, "CN=#1E0400610062"},
    {"\x31\x16\x30\x14\x06\x0a\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19\x16\x06"
     "fanout",
     24, "DC=fanout"},
    /* not a name */
    {"\x30\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
     "bob",
     14, NULL},
    {"\x31\x0c\x30\x0a\x05\x03\x55\x04\x03\x0c\x03"
     "bob",
     14, NULL},
    {"\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x02"
     "bob",
     14, NULL},
    {"\x31\x0c\x30\x0a\x06\x03\x55\x04\x83\x0c\x03"
     "bob",
     14, NULL},            /* a type whose last number goes on */
    {"\x31\x00", 2, NULL}, /* an RDN of nothing (RFC 5280, section 4.1.2.4: SIZE (1..MAX)) */
    {"\x31\x80\x30\x0a", 4, NULL},
    {"\x31\x84\0\0\0\x01", 6, NULL},
};

Test(tls_names, are_written_so_that_no_value_poses_as_two)
{
    struct guard_buf guarded;
    guard_buf_init(&guarded, 64);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[128] = "untouched";
        struct fw_bytes der = {guard_buf_at_end(&guarded, names[i].der, names[i].count),
                               names[i].count};
        bool good = fw_tls_name_write(der, text, sizeof text);
        cr_expect_eq(good, names[i].text != NULL, "%zu", i);
        cr_expect_str_eq(text, names[i].text != NULL ? names[i].text : "", "%zu: %s", i, text);
    }
    guard_buf_clear(&guarded);
}

Test(tls_names, that_are_cut_or_broken_are_refused_and_never_read_past)
{
    struct guard_buf guarded;
    guard_buf_init(&guarded, 64);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[128];
        for (size_t cut = 1; cut < names[i].count; cut++) {
            struct fw_bytes der = {guard_buf_at_end(&guarded, names[i].der, cut), cut};
            fw_tls_name_write(der, text, sizeof text);
        }
        for (size_t at = 0; at < names[i].count; at++) {
            uint8_t *der = guard_buf_at_end(&guarded, names[i].der, names[i].count);
            for (unsigned octet = 0; octet < 256; octet++) {
                der[at] = (uint8_t)octet;
                fw_tls_name_write((struct fw_bytes){der, names[i].count}, text, sizeof text);
            }
        }
    }
    guard_buf_clear(&guarded);
}

Test(tls_names, that_do_not_fit_are_refused)
{
    struct fw_bytes der = {(const uint8_t *)names[2].der, names[2].count};
    size_t needed = strlen(names[2].text) + 1;
    char text[64];
    for (size_t room = 1; room < needed; room++) {
        cr_expect_not(fw_tls_name_write(der, text, room), "room %zu", room);
        cr_expect_str_eq(text, "");
    }
    cr_expect(fw_tls_name_write(der, text, needed));
    cr_expect_str_eq(text, names[2].text);
}
