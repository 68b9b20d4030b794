/* namespace.h: a network of our own for very many loopback connections.
 *
 * thread: main, before any other thread or server is started
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_NAMESPACE_H
#define FW_BENCH_NAMESPACE_H

#include <stdbool.h>
#include <stddef.h>

/* Moves this process, and what it starts from now on, into a network namespace whose tables are
 * sized for so many connections: its own hash table (the initial one's is fixed at boot), all ports
 * for clients, long accept queues. lo is up in it, nothing else.
 *
 * returns      false when this process may not; what to set by hand is told on stderr when the
 *              connections need it
 */
bool bench_namespace_enter(size_t connections);

/* How many connections one source address can have to one target here. */
size_t bench_ports_per_target(void);

#endif
