/* stack.c: see stack.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/stack.h"

#include <stddef.h>

/* What `newest` of a closed stack is: an address that no link has. It is compared, never read. */
static struct fw_stack_link closed_mark;

enum fw_stack_pushed fw_stack_push(struct fw_stack *stack, struct fw_stack_link *link)
{
    struct fw_stack_link *newest = atomic_load_explicit(&stack->newest, memory_order_relaxed);
    do {
        if (newest == &closed_mark)
            return FW_STACK_CLOSED;
        link->next = newest;
        /* Release: what was written to the link's owner; pairs with the acquire in take_all. A push
         * by another thread between is a read-modify-write, which carries the release on.
         * Sequentially consistent for the barrier that the header promises; pairs with the load in
         * fw_stack_is_empty. */
    } while (!atomic_compare_exchange_weak_explicit(&stack->newest, &newest, link,
                                                    memory_order_seq_cst, memory_order_relaxed));
    return newest == NULL ? FW_STACK_WAS_EMPTY : FW_STACK_HAD_MORE;
}

static struct fw_stack_link *take_all(struct fw_stack *stack, struct fw_stack_link *instead)
{
    /* Acquire: pairs with the releases of all pushes. */
    struct fw_stack_link *newest =
        atomic_exchange_explicit(&stack->newest, instead, memory_order_acquire);
    struct fw_stack_link *oldest = NULL;
    if (newest == &closed_mark)
        return NULL;
    while (newest != NULL) {
        struct fw_stack_link *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

struct fw_stack_link *fw_stack_take(struct fw_stack *stack)
{
    /* A turn that brought nothing writes to no shared line. Relaxed: what is missed was pushed to
     * an empty stack, or behind one that was, whose pusher wakes the taker. */
    struct fw_stack_link *newest = atomic_load_explicit(&stack->newest, memory_order_relaxed);
    if (newest == NULL || newest == &closed_mark)
        return NULL; /* only the taker closes, so it stays closed */
    return take_all(stack, NULL);
}

struct fw_stack_link *fw_stack_close(struct fw_stack *stack)
{
    return take_all(stack, &closed_mark);
}

bool fw_stack_is_empty(const struct fw_stack *stack)
{
    /* Pairs with the push: see there. */
    struct fw_stack_link *newest = atomic_load(&stack->newest);
    return newest == NULL || newest == &closed_mark;
}
