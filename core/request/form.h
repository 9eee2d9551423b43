/* form.h -- multipart/form-data, as far as it says which model is asked. See form.c. */
#ifndef PERILUNE_REQUEST_FORM_H
#define PERILUNE_REQUEST_FORM_H

#include <stdbool.h>

#include "base/slice.h"

/* The text of the first field of that name, within body; ptr NULL when there is none, or when the
 * content type is another. */
struct slice form_field(struct slice content_type, struct slice body, struct slice name);

struct form_part {
    struct slice name;     /* wanted; the rest is zeroed before */
    struct slice content;  /* of the first one of that name; ptr NULL: there is none */
    struct slice filename; /* that the client gave it; ptr NULL: none */
    unsigned     times;    /* how often the name comes: of two, two readers would believe different ones */
};

/* Fills in what of those wanted is in the body, which is walked through once: it may be large. */
void form_parts(struct slice content_type, struct slice body, struct form_part *wanted, unsigned count);

#endif
