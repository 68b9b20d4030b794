/* reload.h: SIGHUP: settings and certificates are read again; all are checked before any is
 * applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_RELOAD_H
#define FANWIRE_RELOAD_H

#include "settings.h"

/* Keeps what the settings were read from, and SIGHUP from every thread that is made after. */
void reload_init(const struct settings *settings, unsigned command, int argc, char **argv);

/* Begins, and ends, to obey SIGHUP. */
void reload_start(fw_server *server);
void reload_stop(void);

#endif
