/* micro_all.h: the programs of the micro scenario, one a file.
 *
 * argv[0] is the name, what follows its arguments.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BENCH_MICRO_ALL_H
#define FW_BENCH_MICRO_ALL_H

/* Each prints tables on stdout.
 *
 * returns      0, 1 when it failed, 2 for bad usage
 */
int micro_broadcast(int argc, char **argv);
int micro_deflate(int argc, char **argv);
int micro_http1(int argc, char **argv);
int micro_mask(int argc, char **argv);
int micro_utf8(int argc, char **argv);
int micro_ws_decoder(int argc, char **argv);

#endif
