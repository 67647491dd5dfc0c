/* kemibus.core.ring: a ring within one process, both its sides, for specs. */
#ifndef KB_ROCK_RING_H
#define KB_ROCK_RING_H

#include <lua.h>

/* Makes the type of rings; once for each state, before any ring. */
void kb_rock_ring_open(lua_State *L);

/* ring(bytes) -> a ring, its size rounded up to a power of two, at least 4096 */
int kb_rock_ring_new(lua_State *L);

#endif
