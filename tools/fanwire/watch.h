/* watch.h: what the service manager is told and gives: readiness, a watchdog, listeners.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_WATCH_H
#define FANWIRE_WATCH_H

#include "settings.h"

/* Tells systemd, when it started us (sd_notify(3)): "READY=1". */
void watch_notify(const char *state);

/* Listens on what systemd opened for us (sd_listen_fds(3)), when it did. */
void watch_inherited(struct settings *settings);

/* Looks once a second whether every worker comes round; systemd is told as long as they do, and the
 * log when one does not.
 */
void watch_start(fw_server *server);
void watch_stop(void);

#endif
