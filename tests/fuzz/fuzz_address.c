/* fuzz_address.c: libFuzzer target of addresses as people write them (net/engine/sock.h).
 *
 * The oracle: what is accepted is written as a text that means the same address, and that text is
 * written as itself; what is only this machine's is so however it is written; a text that is cut is
 * cut where the room ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "net/engine/sock.h"

#include <fanwire/status.h>

#define INPUT_BYTES_MAX 512

static void write_text(const struct fw_sock_address *address, char *out)
{
    memset(out, 'x', FW_SOCK_TEXT_BYTES);
    fw_sock_address_text(&address->at.any, address->bytes, out, FW_SOCK_TEXT_BYTES);
    require(memchr(out, '\0', FW_SOCK_TEXT_BYTES) != NULL, "a text has an end");
}

static void check_cut(const struct fw_sock_address *address, const char *text, size_t room)
{
    char *cut = malloc(room);
    require(cut != NULL, "memory");
    fw_sock_address_text(&address->at.any, address->bytes, cut, room);
    require(strlen(cut) < room && strncmp(cut, text, strlen(cut)) == 0, "a text that is cut");
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_sock_address address = {0};
    struct fw_sock_address again = {0};
    char written[FW_SOCK_TEXT_BYTES];
    char twice[FW_SOCK_TEXT_BYTES];
    if (size > INPUT_BYTES_MAX)
        return -1;
    char *text = string_of((struct fw_bytes){data, size});
    int result = fw_sock_address_parse(text, &address);
    free(text);
    require(result == 0 || result == FW_ERR_ADDRESS, "a result that is documented");
    if (result != 0)
        return 0;
    write_text(&address, written);
    require(fw_sock_address_parse(written, &again) == 0, "what is written is read");
    require(address.bytes == again.bytes && memcmp(&address.at, &again.at, address.bytes) == 0,
            "as the same address");
    require(fw_sock_address_is_local(&address) == fw_sock_address_is_local(&again), "local");
    write_text(&again, twice);
    require(strcmp(written, twice) == 0, "and written as itself");
    check_cut(&address, written, 1 + size % FW_SOCK_TEXT_BYTES);
    return 0;
}
