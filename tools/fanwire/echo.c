/* echo.c: `fanwire echo`: any path is a WebSocket that sends every message back as it came.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reload.h"

static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
                       size_t bytes_count, void *context)
{
    (void)context;
    /* Reading stops long before a peer that does not take its echoes owes this much; one that gets
     * there all the same must not lose a message in silence. */
    if (fw_conn_send(conn, type, bytes, bytes_count) == FW_ERR_BUSY)
        fw_conn_close(conn, 1013, "read your echoes");
}

int echo_main(int argc, char **argv)
{
    struct settings settings;
    int result = settings_read(&settings, FOR_ECHO, argc, argv);
    if (result != 0)
        return result < 0 ? EXIT_DONE : result;
    settings.options.on_message = on_message;
    reload_init(&settings, FOR_ECHO, argc, argv);
    result = run_server(&settings, reload_start, reload_stop);
    settings_clear(&settings);
    return result;
}
