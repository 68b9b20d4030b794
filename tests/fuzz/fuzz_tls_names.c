/* fuzz_tls_names.c: libFuzzer target of names in certificates (net/tls/tls_names.h).
 *
 *   line 1    a host
 *   line 2    a dNSName
 *   then      the DER of an RDNSequence's content
 *
 * The oracle: a regular expression made of the dNSName says the same of the host; a Name that is
 * written, read again by the rules of RFC 4514, is the types and octets that stand in its DER, so
 * that no value poses as two and no two names have one text; the text is ASCII without controls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_names.h"
#include "fuzz/target.h"

#include <ctype.h>
#include <regex.h>

#define INPUT_BYTES_MAX 1024
#define TEXT_BYTES_MAX  4096
#define DER_BMP         0x1e
#define DER_UTF32       0x1c

/* ---- hosts (RFC 9525, section 6.3) ----------------------------------------------------------- */

/* The dNSName as an expression: "*." in front of two labels is one label, all else is itself. */
static bool name_matches(const char *name, char *host)
{
    char expression[4 * INPUT_BYTES_MAX];
    char *at = expression;
    regex_t compiled;
    bool wild = name[0] == '*' && name[1] == '.';
    size_t host_count = strlen(host);
    if (host_count > 0 && host[host_count - 1] == '.')
        host[host_count - 1] = '\0';
    if (name[0] == '\0' || host[0] == '\0' || (wild && strchr(name + 2, '.') == NULL))
        return false;
    at = stpcpy(at, wild ? "^[^.]+" : "^");
    for (const char *c = name + wild; *c != '\0'; c++)
        at += *c == '^' ? sprintf(at, "\\^") : sprintf(at, "[%c]", *c);
    strcpy(at, "$");
    require(regcomp(&compiled, expression, REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0,
            "the expression");
    bool matched = regexec(&compiled, host, 0, NULL, 0) == 0;
    regfree(&compiled);
    return matched;
}

static bool is_ascii(struct fw_bytes text)
{
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    }
    return true;
}

static void check_host(struct fw_bytes host, struct fw_bytes name)
{
    uint8_t *block = block_of(name.at, name.count);
    char *host_string = string_of(host);
    char *name_string = string_of(name);
    bool got = fw_tls_name_matches((struct fw_bytes){block, name.count}, host_string);
    if (memchr(name.at, '\0', name.count) != NULL)
        require(!got, "a zero inside matches nothing");
    else if (is_ascii(host) && is_ascii(name))
        require(got == name_matches(name_string, host_string), "for a host");
    free(block);
    free(host_string);
    free(name_string);
}

/* ---- distinguished names (RFC 4514) ---------------------------------------------------------- */

/* Reads the next element; the DER is known to be good. */
static uint8_t next_element(struct fw_bytes *der, struct fw_bytes *content_out)
{
    uint8_t tag = der->at[0];
    size_t length = der->at[1];
    size_t head = 2;
    if (length > 0x80) {
        head += length - 0x80;
        length = 0;
        for (size_t i = 2; i < head; i++)
            length = length << 8 | der->at[i];
    }
    *content_out = (struct fw_bytes){der->at + head, length};
    *der = (struct fw_bytes){der->at + head + length, der->count - head - length};
    return tag;
}

/* Reads a value of the text up to what ends it. Octets, or with `#` in front the whole element. */
static size_t read_value(const char **text, uint8_t *out, bool *is_element_out)
{
    size_t count = 0;
    const char *at = *text;
    *is_element_out = *at == '#';
    for (at += *is_element_out; *at != '\0' && strchr(",+", *at) == NULL; at++) {
        bool escaped = *at == '\\';
        at += escaped;
        require(*at != '\0', "a backslash is before something");
        if ((escaped || *is_element_out) && isxdigit((unsigned char)at[0])) {
            char digits[3] = {at[0], at[1], '\0'};
            require(isxdigit((unsigned char)at[1]), "two digits");
            out[count++] = (uint8_t)strtoul(digits, NULL, 16);
            at++;
        } else {
            require(escaped || strchr("\"+,;<>=\\", *at) == NULL, "specials are escaped");
            out[count++] = (uint8_t)*at;
        }
    }
    *text = at;
    return count;
}

/* One TYPE=VALUE of the text against its element. */
static void check_attribute(const char **text, struct fw_bytes attribute)
{
    static uint8_t value[TEXT_BYTES_MAX];
    struct fw_bytes oid;
    struct fw_bytes wanted;
    bool is_element;
    const char *equals = strchr(*text, '=');
    next_element(&attribute, &oid);
    const uint8_t *element = attribute.at;
    uint8_t tag = next_element(&attribute, &wanted);
    require(equals != NULL, "a type, and a value");
    /* Without a short name the type is numbers with dots, one for each arc and one more. */
    size_t dots = 0;
    size_t arcs = 0;
    for (const char *c = *text; c < equals; c++)
        dots += *c == '.';
    for (size_t i = 0; i < oid.count; i++)
        arcs += !(oid.at[i] & 0x80);
    require(isalpha((unsigned char)**text) ? dots == 0 : dots == arcs, "the type");
    *text = equals + 1;
    size_t count = read_value(text, value, &is_element);
    require(is_element == (tag == DER_BMP || tag == DER_UTF32), "wide characters are hex");
    if (is_element)
        wanted = (struct fw_bytes){element, wanted.count + 2};
    require(fw_bytes_equal(wanted, (struct fw_bytes){value, count}), "the value");
}

static void check_text(const char *text, struct fw_bytes name)
{
    struct fw_bytes rdns[64];
    size_t rdns_count = 0;
    require(is_ascii(fw_bytes_of(text)), "ASCII");
    while (name.count > 0 && rdns_count < 64)
        next_element(&name, &rdns[rdns_count++]);
    for (size_t i = rdns_count; i-- > 0;) {
        while (rdns[i].count > 0) {
            struct fw_bytes attribute;
            next_element(&rdns[i], &attribute);
            check_attribute(&text, attribute);
            if (rdns[i].count > 0)
                require(*text++ == '+', "a plus between values");
        }
        if (i > 0)
            require(*text++ == ',', "a comma between RDNs");
    }
    require(*text == '\0', "nothing else");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_BYTES_MAX];
    struct fw_bytes rest = {data, size};
    if (size > INPUT_BYTES_MAX)
        return -1;
    struct fw_bytes host = cut_at(&rest, '\n');
    struct fw_bytes name = cut_at(&rest, '\n');
    check_host(host, name);
    uint8_t *der = block_of(rest.at, rest.count);
    struct fw_bytes der_bytes = {der, rest.count};
    if (fw_tls_name_write(der_bytes, text, sizeof text)) {
        check_text(text, der_bytes);
        size_t room = strlen(text) + 1;
        char *exact = malloc(room);
        require(exact != NULL && fw_tls_name_write(der_bytes, exact, room), "room enough");
        require(room < 2 || (!fw_tls_name_write(der_bytes, exact, room - 1) && exact[0] == '\0'),
                "an octet less is not");
        free(exact);
    } else {
        require(text[0] == '\0', "nothing is written of what is refused");
    }
    free(der);
    return 0;
}
