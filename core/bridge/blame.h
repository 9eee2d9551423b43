/* blame.h -- in which policy file an error is.  See blame.c. */
#ifndef PERILUNE_BRIDGE_BLAME_H
#define PERILUNE_BRIDGE_BLAME_H

#include <lua.h>
#include <stdbool.h>

/* Is the code of a function, as lua_Debug has its source, the library's own? */
bool blame_is_library(const char *source);

/* The innermost frame of L that is at a line of a policy's code: its source and line.  False: there is none near. */
bool blame_line(lua_State *L, lua_Debug *ar);

/* Loads perilune.frame, through which policies are called. [0, 0, e] */
void blame_open(lua_State *L);
/* perilune.frame, which calls its first argument with the others. [0, +1, e] */
void blame_push_frame(lua_State *L);
/* lua_call() of a policy's function out of state_call(), which is remembered meanwhile: also while `check`, which may
 * be NULL, looks at what it returned, and raises. [-(n + 1), +results, e] */
void blame_call(lua_State *L, int n, int results, void (*check)(lua_State *L));

/* The text on top of L was thrown in co, whose stack is still there from `level` on: puts the place in a policy's
 * file in front of it where it has none. [-1, +1, e] */
void blame_place(lua_State *L, lua_State *co, int level);
/* core.place(thrown) -> the same, with its place if it is a text: a handler for xpcall() */
int  l_place(lua_State *L);
/* core.blamed(coroutine, thrown) -> as a text with a place, of what ended the coroutine: also of a table */
int  l_blamed(lua_State *L);
/* core.traced(thrown) -> the same, and behind it the traceback; a table as it is: a handler for xpcall() */
int  l_traced(lua_State *L);

#endif
