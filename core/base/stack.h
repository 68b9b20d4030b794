/* stack.h: a lock-free stack that any thread pushes to and one thread takes whole.
 *
 * What is pushed has a link as its first member. Taking turns the links round, so that what one
 * thread pushed comes out in its order. Nothing is popped singly, which is what makes lock-free
 * stacks hard: a link is never compared with one that was freed meanwhile (ABA).
 *
 *   open --fw_stack_push, fw_stack_take--> open --fw_stack_close--> closed: pushes are refused
 *
 * Waking the taker is its owner's: who pushes to an empty stack does it, so that of many pushes
 * between two takes only the first costs a wake.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_STACK_H
#define FW_BASE_STACK_H

#include <stdatomic.h>
#include <stdbool.h>

struct fw_stack_link {
    struct fw_stack_link *next;
};

/* All zero is open and empty. */
struct fw_stack {
    _Atomic(struct fw_stack_link *) newest;
};

enum fw_stack_pushed {
    FW_STACK_WAS_EMPTY, /* the taker must be woken */
    FW_STACK_HAD_MORE,  /* who pushed the first has woken it, or is about to */
    FW_STACK_CLOSED,    /* the link is the caller's still */
};

/* Pushes; gives the link.
 *
 * A full barrier, too: of a thread that pushes and then looks whether there is somebody to wake,
 * and a taker that says it is there and then asks fw_stack_is_empty, one sees the other.
 *
 * thread       any
 */
enum fw_stack_pushed fw_stack_push(struct fw_stack *stack, struct fw_stack_link *link);

/* Takes everything, the oldest first; NULL when there is nothing. Thread: the taker. */
struct fw_stack_link *fw_stack_take(struct fw_stack *stack);

/* The same, and nothing is taken in any more; twice gives NULL. Thread: the taker. */
struct fw_stack_link *fw_stack_close(struct fw_stack *stack);

/* Whether there is nothing to take. Thread: the taker. */
bool fw_stack_is_empty(const struct fw_stack *stack);

#endif
