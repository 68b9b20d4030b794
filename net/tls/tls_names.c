/* tls_names.c: host names against certificates, and distinguished names as text.
 *
 * A Name in DER:
 *
 *      SEQUENCE OF          the RDNSequence, whose content we are given
 *          SET OF           one RDN, nearly always of one attribute
 *              SEQUENCE     OBJECT IDENTIFIER, then a string of one of several types
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_names.h"

#define DER_OID      0x06
#define DER_SEQUENCE 0x30
#define DER_SET      0x31
#define DER_BMP      0x1e /* UTF-16 */
#define DER_UTF32    0x1c

/* RDNs in one name, and attributes in one RDN: real ones have fewer than 8. */
#define RDNS_MAX 32

/* ---- host names (RFC 9525, section 6.3) ---- */

static struct fw_bytes after_first_label(struct fw_bytes name)
{
    const uint8_t *dot = memchr(name.at, '.', name.count);
    if (dot == NULL)
        return (struct fw_bytes){NULL, 0};
    size_t label_count = (size_t)(dot - name.at);
    return (struct fw_bytes){dot, name.count - label_count};
}

bool fw_tls_name_matches(struct fw_bytes name, const char *host)
{
    struct fw_bytes wanted = fw_bytes_of(host);
    if (wanted.count > 0 && wanted.at[wanted.count - 1] == '.')
        wanted.count--; /* the root's dot is not in certificates */
    if (name.count == 0 || wanted.count == 0 || memchr(name.at, '\0', name.count) != NULL)
        return false;
    if (name.count < 2 || name.at[0] != '*' || name.at[1] != '.')
        return fw_bytes_equal_any_case(name, wanted);

    struct fw_bytes domain = {name.at + 1, name.count - 1};
    struct fw_bytes wanted_domain = after_first_label(wanted);
    if (memchr(domain.at + 1, '.', domain.count - 1) == NULL || wanted_domain.count == wanted.count)
        return false;
    return fw_bytes_equal_any_case(domain, wanted_domain);
}

/* ---- distinguished names (RFC 4514) ---- */

struct text {
    char *at;
    size_t bytes;
    size_t count;
    bool full;
};

static void put(struct text *text, char c)
{
    if (text->count + 1 >= text->bytes)
        text->full = true;
    else
        text->at[text->count++] = c;
}

static void put_string(struct text *text, const char *string)
{
    for (; *string != '\0'; string++)
        put(text, *string);
}

static void put_hex(struct text *text, uint8_t octet)
{
    static const char digits[] = "0123456789ABCDEF";
    put(text, digits[octet >> 4]);
    put(text, digits[octet & 15]);
}

/* The octets of a value: printable ASCII as they are or behind a backslash, all others as \XX, so
 * that the result is ASCII and no terminal or log sees a control character (section 2.4). */
static void put_value(struct text *text, struct fw_bytes value)
{
    for (size_t i = 0; i < value.count; i++) {
        uint8_t c = value.at[i];
        bool edge = (c == ' ' && (i == 0 || i + 1 == value.count)) || (c == '#' && i == 0);
        if (c < 0x20 || c > 0x7e) {
            put(text, '\\');
            put_hex(text, c);
        } else {
            if (edge || strchr("\"+,;<>=\\", c) != NULL)
                put(text, '\\');
            put(text, (char)c);
        }
    }
}

/* Takes one DER element with a definite length below 64 KiB off the front. */
static bool take_element(struct fw_bytes *from, uint8_t *tag_out, struct fw_bytes *content_out)
{
    if (from->count < 2)
        return false;
    size_t head = 2;
    size_t length = from->at[1];
    if (length >= 0x80) {
        size_t more = length & 0x7f;
        if (more == 0 || more > 2 || from->count < 2 + more)
            return false;
        length = more == 1 ? from->at[2] : (size_t)from->at[2] << 8 | from->at[3];
        head += more;
    }
    if (length > from->count - head)
        return false;
    *tag_out = from->at[0];
    *content_out = (struct fw_bytes){from->at + head, length};
    from->at += head + length;
    from->count -= head + length;
    return true;
}

/* Section 3's short names, and the e-mail address that old subjects carry. */
static const char *short_name(struct fw_bytes oid)
{
    static const struct {
        const char *name;
        const char *oid;
    } names[] = {
        {"CN", "\x55\x04\x03"},
        {"L", "\x55\x04\x07"},
        {"ST", "\x55\x04\x08"},
        {"O", "\x55\x04\x0a"},
        {"OU", "\x55\x04\x0b"},
        {"C", "\x55\x04\x06"},
        {"STREET", "\x55\x04\x09"},
        {"serialNumber", "\x55\x04\x05"},
        {"DC", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"},
        {"UID", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"},
        {"emailAddress", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (fw_bytes_equal(oid, fw_bytes_of(names[i].oid)))
            return names[i].name;
    }
    return NULL;
}

/* An attribute type without a short name: its numbers with dots (section 2.3). */
static void put_number(struct text *text, uint64_t number)
{
    char digits[21];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_string(text, digits + at);
}

static bool put_oid(struct text *text, struct fw_bytes oid)
{
    uint64_t arc = 0;
    bool first = true;
    for (size_t i = 0; i < oid.count; i++) {
        if (arc >> 56 != 0)
            return false;
        arc = arc << 7 | (oid.at[i] & 0x7f);
        if (oid.at[i] & 0x80)
            continue;
        if (first) {
            uint64_t top = arc < 80 ? arc / 40 : 2;
            put_number(text, top);
            arc -= top * 40;
            first = false;
        }
        put(text, '.');
        put_number(text, arc);
        arc = 0;
    }
    return oid.count > 0 && !(oid.at[oid.count - 1] & 0x80);
}

static bool put_attribute(struct text *text, struct fw_bytes attribute)
{
    uint8_t tag;
    struct fw_bytes oid;
    struct fw_bytes value;
    if (!take_element(&attribute, &tag, &oid) || tag != DER_OID)
        return false;
    if (!take_element(&attribute, &tag, &value) || attribute.count != 0)
        return false;

    const char *name = short_name(oid);
    if (name != NULL)
        put_string(text, name);
    else if (!put_oid(text, oid))
        return false;
    put(text, '=');
    if (tag != DER_BMP && tag != DER_UTF32) {
        put_value(text, value);
        return true;
    }
    put(text, '#'); /* wide characters: the DER itself, in hex (section 2.4) */
    put_hex(text, tag);
    put_hex(text, (uint8_t)value.count);
    for (size_t i = 0; i < value.count; i++)
        put_hex(text, value.at[i]);
    return value.count < 0x80;
}

static bool put_rdn(struct text *text, struct fw_bytes rdn)
{
    if (rdn.count == 0) /* it would be nothing, and so pass for a name without it */
        return false;
    for (bool first = true; rdn.count > 0; first = false) {
        uint8_t tag;
        struct fw_bytes attribute;
        if (!take_element(&rdn, &tag, &attribute) || tag != DER_SEQUENCE)
            return false;
        if (!first)
            put(text, '+');
        if (!put_attribute(text, attribute))
            return false;
    }
    return true;
}

bool fw_tls_name_write(struct fw_bytes name, char *text_out, size_t text_bytes)
{
    struct fw_bytes rdns[RDNS_MAX];
    size_t rdns_count = 0;
    text_out[0] = '\0';
    while (name.count > 0) {
        uint8_t tag;
        if (rdns_count == RDNS_MAX || !take_element(&name, &tag, &rdns[rdns_count]) ||
            tag != DER_SET)
            return false;
        rdns_count++;
    }

    struct text text = {text_out, text_bytes, 0, false};
    for (size_t i = rdns_count; i > 0; i--) {
        bool good = put_rdn(&text, rdns[i - 1]);
        if (i > 1)
            put(&text, ',');
        if (!good || text.full) {
            text_out[0] = '\0';
            return false;
        }
    }
    text_out[text.count] = '\0';
    return true;
}
