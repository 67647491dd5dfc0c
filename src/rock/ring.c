#include "rock/ring.h"

#include <lauxlib.h>
#include <stdlib.h>
#include "core/ring.h"

#define RING "kemibus.ring"

struct lua_ring {
	struct kb_ring *ring; /* NULL: closed */
	uint64_t cursor;
};

static struct kb_slice check_bytes(lua_State *L, int index)
{
	struct kb_slice s;
	s.p = luaL_checklstring(L, index, &s.n);
	return s;
}

static struct lua_ring *check_ring(lua_State *L)
{
	struct lua_ring *r = luaL_checkudata(L, 1, RING);
	luaL_argcheck(L, r->ring, 1, "the ring is closed");
	return r;
}

int kb_rock_ring_new(lua_State *L)
{
	lua_Integer bytes = luaL_checkinteger(L, 1);
	luaL_argcheck(L, bytes > 0 && bytes <= 1 << 30, 1, "1 to 2^30 bytes");
	struct lua_ring *r = lua_newuserdata(L, sizeof *r);
	*r = (struct lua_ring){NULL, 0};
	luaL_getmetatable(L, RING);
	lua_setmetatable(L, -2);
	size_t size = (kb_ring_footprint((size_t)bytes) + 63) & ~(size_t)63;
	void *memory = aligned_alloc(64, size);
	if (!memory)
		return luaL_error(L, "out of memory");
	memset(memory, 0, size);
	r->ring = kb_ring_init(memory, (size_t)bytes);
	return 1;
}

/* ring:close(), also when it is collected */
static int ring_close(lua_State *L)
{
	struct lua_ring *r = luaL_checkudata(L, 1, RING);
	free(r->ring);
	r->ring = NULL;
	return 0;
}

/* ring:put(bytes) -> true, or false when it is too full */
static int ring_put(lua_State *L)
{
	struct lua_ring *r = check_ring(L);
	struct kb_slice bytes = check_bytes(L, 2);
	void *to = kb_ring_reserve(r->ring, bytes.n);
	if (to) {
		memcpy(to, bytes.p, bytes.n);
		kb_ring_commit(r->ring);
	}
	lua_pushboolean(L, to != NULL);
	return 1;
}

static void push_record(lua_State *L, const struct kb_record *record)
{
	lua_pushlstring(L, (const char *)record->data, record->size);
}

/* ring:next() -> bytes, a handle for settle() | nil */
static int ring_next(lua_State *L)
{
	struct lua_ring *r = check_ring(L);
	struct kb_record *record = kb_ring_next(r->ring, &r->cursor);
	if (!record)
		return 0;
	push_record(L, record);
	lua_pushlightuserdata(L, record);
	return 2;
}

/* ring:rewind(): next() shows again all that is not settled */
static int ring_rewind(lua_State *L)
{
	struct lua_ring *r = check_ring(L);
	r->cursor = kb_ring_cursor(r->ring);
	return 0;
}

static const char *const outcome_names[] = {"pending", "done", "rejected", "requeue", NULL};

/* ring:settle(handle, outcome): "done", "rejected" or "requeue"; once for each handle, before the ring is closed */
static int ring_settle(lua_State *L)
{
	struct lua_ring *r = check_ring(L);
	luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
	int outcome = luaL_checkoption(L, 3, "done", outcome_names);
	luaL_argcheck(L, outcome != KB_PENDING, 3, "no outcome");
	kb_ring_settle(r->ring, lua_touserdata(L, 2), (enum kb_outcome)outcome);
	return 0;
}

/* ring:harvest() -> bytes, outcome of the oldest settled record | nil */
static int ring_harvest(lua_State *L)
{
	struct lua_ring *r = check_ring(L);
	struct kb_record *record = kb_ring_harvest(r->ring);
	if (!record)
		return 0;
	push_record(L, record);
	lua_pushstring(L, outcome_names[atomic_load(&record->outcome)]);
	return 2;
}

static int ring_reclaim(lua_State *L)
{
	kb_ring_reclaim(check_ring(L)->ring);
	return 0;
}

/* ring:used() -> bytes written and not settled */
static int ring_used(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)kb_ring_used(check_ring(L)->ring));
	return 1;
}

static int ring_record_max(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)kb_ring_record_max(check_ring(L)->ring));
	return 1;
}

static int ring_empty(lua_State *L)
{
	lua_pushboolean(L, kb_ring_empty(check_ring(L)->ring));
	return 1;
}

void kb_rock_ring_open(lua_State *L)
{
	static const luaL_Reg methods[] = {{"put", ring_put}, {"next", ring_next}, {"rewind", ring_rewind},
		{"settle", ring_settle}, {"harvest", ring_harvest}, {"reclaim", ring_reclaim}, {"used", ring_used},
		{"record_max", ring_record_max}, {"empty", ring_empty}, {"close", ring_close}, {"__gc", ring_close},
		{NULL, NULL}};
	luaL_newmetatable(L, RING);
	for (const luaL_Reg *f = methods; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
