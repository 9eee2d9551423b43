/* form.h -- multipart/form-data, as far as it says which model is asked. See form.c. */
#ifndef PERILUNE_REQUEST_FORM_H
#define PERILUNE_REQUEST_FORM_H

#include <stdbool.h>

#include "base/slice.h"

/* The text of the first field of that name, within body; ptr NULL when there is none, or when the
 * content type is another. */
struct slice form_field(struct slice content_type, struct slice body, struct slice name);

/* The same, with the name that the client gave the file; ptr NULL: it has none. */
struct slice form_file(struct slice content_type, struct slice body, struct slice name, struct slice *filename);

/* Is there more than one of that name?  Two readers would believe different ones. */
bool form_has_more(struct slice content_type, struct slice body, struct slice name);

#endif
