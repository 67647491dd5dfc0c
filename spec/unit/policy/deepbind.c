/*
 * Two Luas in one process, as with app_lua: PUC Lua 5.1, whose symbols are global, and the policy host in a module.
 *
 *     deepbind MODULE STEP...
 *
 * STEP: lua        loads PUC Lua with global symbols, as app_lua does, and decodes JSON in it with lua-cjson
 *       module     loads the module with RTLD_DEEPBIND, as Kamailio does for us, and routes a message in it
 *       module-    the same without RTLD_DEEPBIND
 * Prints a line for each. Links neither Lua.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef struct lua_State lua_State;

static void *needed(void *library, const char *name)
{
	void *symbol = dlsym(library, name);
	if (!symbol)
		printf("%s: %s\n", name, dlerror());
	return symbol;
}

static int run_lua(void)
{
	static const char code[] =
		"return tostring(jit) .. ' ' .. require('cjson').encode(require('cjson').decode('[1,{\"a\":2}]'))";
	void *library = dlopen("liblua5.1.so.0", RTLD_NOW | RTLD_GLOBAL);
	if (!library)
		return printf("%s\n", dlerror()), 1;
	lua_State *(*newstate)(void) = needed(library, "luaL_newstate");
	void (*openlibs)(lua_State *) = needed(library, "luaL_openlibs");
	int (*loadstring)(lua_State *, const char *) = needed(library, "luaL_loadstring");
	int (*pcall)(lua_State *, int, int, int) = needed(library, "lua_pcall");
	const char *(*tolstring)(lua_State *, int, size_t *) = needed(library, "lua_tolstring");
	void (*close)(lua_State *) = needed(library, "lua_close");
	lua_State *L = newstate();
	openlibs(L);
	int failed = loadstring(L, code) || pcall(L, 0, 1, 0);
	printf("lua: %s\n", tolstring(L, -1, NULL));
	close(L);
	return failed;
}

static int run_module(const char *path, int flags)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | flags);
	if (!module)
		return printf("%s\n", dlerror()), 1;
	const char *(*run)(void) = needed(module, "run_policy");
	printf("module: %s\n", run());
	return 0;
}

int main(int argc, char **argv)
{
	int failed = argc < 3;
	for (int i = 2; i < argc && !failed; i++) {
		if (strcmp(argv[i], "lua") == 0)
			failed = run_lua();
		else
			failed = run_module(argv[1], strcmp(argv[i], "module") == 0 ? RTLD_DEEPBIND : 0);
	}
	return failed;
}
