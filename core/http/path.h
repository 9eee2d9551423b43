/* path.h -- one way to write a path.  See path.c. */
#ifndef PERILUNE_HTTP_PATH_H
#define PERILUNE_HTTP_PATH_H

#include <stdbool.h>

#include "base/mem.h"

/* Makes *path what every reader takes it for: "/v1/ch%61t" becomes "/v1/chat".  It stays where it is, or its
 * new form lives in the arena.  Returns 0, or PERILUNE_ERR_INVAL with *why, a sentence, for a path that can be
 * read in two ways, or PERILUNE_ERR_NOMEM; then *path is as it was. */
int http_path_normalize(struct slice *path, struct arena *arena, const char **why);

/* A path in normal form may still hold "%2F", which some servers take for a slash.  True: it does, and *other
 * (in the arena; empty: no memory) is how they read it. */
bool http_path_with_slashes(struct slice path, struct arena *arena, struct slice *other);

#endif
