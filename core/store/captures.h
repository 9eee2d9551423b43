/* captures.h -- lines that policies keep in files. See captures.c. Any thread. */
#ifndef PERILUNE_STORE_CAPTURES_H
#define PERILUNE_STORE_CAPTURES_H

#include <stdint.h>

#include "base/slice.h"

#define CAPTURES_FILES 8            /* of a process */
#define CAPTURES_LINE  (256 * 1024) /* bytes; a longer line is refused */
#define CAPTURES_KEEP  16           /* most files behind the one that is written */

struct captures;

struct captures *captures_new(void); /* NULL: no memory */
/* Writes what waits, for a second at most. NULL is fine. */
void             captures_free(struct captures *c);

struct captures_file {
    const char *path;
    uint64_t    max_bytes; /* of the file */
    unsigned    keep;      /* older ones, PATH.1 the newest; 0: when the file is full no line is taken any more */
};

enum captures_result {
    CAPTURES_TAKEN,  /* it is on its way */
    CAPTURES_FULL,   /* the file has max_bytes */
    CAPTURES_LATE,   /* lines come faster than they are written */
    CAPTURES_LONG,   /* over CAPTURES_LINE */
    CAPTURES_FAILED, /* the file cannot be written, or there are too many of them */
    CAPTURES_RESULTS
};
const char *captures_result_name(enum captures_result r); /* "taken", "full" ... */

/* Hands over one line, without its end; never waits.  The file is opened by the first one; max_bytes and keep are
 * those of the last one. */
enum captures_result captures_put(struct captures *c, const struct captures_file *f, struct slice line);
/* Why the last line of this file could not be written; "" when it could. */
void captures_problem(struct captures *c, const char *path, char *out, size_t size);

#endif
