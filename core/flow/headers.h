/* headers.h -- a block of header lines, "name: value\r\n" each, and lists of names.
 * See headers.c. */
#ifndef PERILUNE_FLOW_HEADERS_H
#define PERILUNE_FLOW_HEADERS_H

#include "base/buf.h"
#include "base/slice.h"

struct headers_list {
    const char *const *names; /* lower case; "x-*" means all that begin with "x-",
                                  * but for what the gateway says itself */
    unsigned           count;
};
/* Is the name (any case) in the list? */
bool headers_list_has(const struct headers_list *list, struct slice name);

/* The first line of this name (any case), its line end included; ptr is NULL when there is none. */
struct slice headers_line(struct slice block, struct slice name);
/* Its value, without the white space around it; ptr is NULL when there is no such line. */
struct slice headers_find(struct slice block, struct slice name);
/* Takes the next line from *block. False: there is none. */
bool         headers_next(struct slice *block, struct slice *name, struct slice *value);
/* Takes away the first line of this name, if there is one. */
void         headers_drop(struct buf *block, struct slice name);
/* Appends a line. */
void         headers_put(struct buf *out, struct slice name, struct slice value);

/* Takes the next element of a comma-separated list off a value, trimmed.  False: there is none. */
bool headers_value_next(struct slice *list, struct slice *element);
/* Is the name (any case) one of the list's elements? */
bool headers_value_has(struct slice list, struct slice name);

#endif
