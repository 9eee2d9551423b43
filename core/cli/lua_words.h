/* lua_words.h -- the words of a command, as JSON for its half in Lua. See lua_words.c. */
#ifndef PERILUNE_CLI_LUA_WORDS_H
#define PERILUNE_CLI_LUA_WORDS_H

#include "base/buf.h"
#include "cli/args.h"

/* Members of an object, each with a comma behind it: "key":"value",  value NULL: nothing. */
void lua_words_string(struct buf *out, const char *key, const char *value);
void lua_words_list(struct buf *out, const char *key, const struct arg_list *list);
/* Is output coloured?  when: "auto" (a terminal, and NO_COLOR is not set), "always", "never". */
bool lua_words_color(const char *when);

#endif
