/* embedded.c -- the Lua files inside the program.
 *
 * The build puts every file of lua/perilune/ and policies/ into the binary, so an
 * embedder ships one library and nothing is looked up on disk. */
#include <string.h>

#include "bridge/state.h"

struct embedded_entry {
    const char *name, *begin, *end;
};

extern const struct embedded_entry embedded_table[]; /* build/.../embedded.S; ends with NULL */

const char *embedded_file(const char *name, size_t *len) {
    for (const struct embedded_entry *e = embedded_table; e->name != NULL; e++) {
        if (strcmp(e->name, name) != 0) continue;
        *len = (size_t)(e->end - e->begin);
        return e->begin;
    }
    return NULL;
}

const char *embedded_name(unsigned i) { return embedded_table[i].name; }
