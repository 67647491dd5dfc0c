/* A number that one process counts and others read, in shared memory: counting is a load and a store, without a lock.
 */
#ifndef KB_CORE_COUNTER_H
#define KB_CORE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t kb_counter;

static inline uint64_t kb_counter_get(const kb_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void kb_counter_set(kb_counter *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* By the only writer. */
static inline void kb_counter_add(kb_counter *counter, uint64_t n)
{
	kb_counter_set(counter, kb_counter_get(counter) + n);
}

/* By one of several writers: for what is rare. */
static inline void kb_counter_add_among(kb_counter *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
