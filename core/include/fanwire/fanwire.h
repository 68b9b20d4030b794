/* fanwire.h: everything that a program which embeds Fanwire includes.
 *
 *     static void on_message(fw_conn *conn, enum fw_message_type type, const void *bytes,
 *                            size_t bytes_count, void *context)
 *     {
 *         fw_conn_send(conn, type, bytes, bytes_count);
 *     }
 *
 *     struct fw_server_options options = FW_SERVER_OPTIONS;
 *     options.on_message = on_message;
 *     fw_server *server;
 *     if (fw_server_create(&options, &server) == 0 && fw_server_listen(server, "127.0.0.1:8080") ==
 * 0) fw_server_run(server);
 *
 * Threads, in one sentence: callbacks run on the worker that owns the connection, only they may use
 * an fw_conn, and fw_publish, fw_topic_info, fw_server_stop and fw_server_stats may be called from
 * any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_FANWIRE_H
#define FANWIRE_FANWIRE_H

#include <fanwire/version.h>
#include <fanwire/access.h>
#include <fanwire/status.h>
#include <fanwire/types.h>
#include <fanwire/conn.h>
#include <fanwire/pubsub.h>
#include <fanwire/server.h>
#include <fanwire/token.h>
#include <fanwire/client.h>

#endif
