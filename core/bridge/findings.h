/* findings.h -- what is wrong with a configuration, in pieces. See findings.c. */
#ifndef PERILUNE_BRIDGE_FINDINGS_H
#define PERILUNE_BRIDGE_FINDINGS_H

#include "base/list.h"
#include "base/slice.h"

struct finding {
    struct list  link;
    int          level;        /* PERILUNE_LOG_ERROR or PERILUNE_LOG_WARN */
    unsigned     line, column; /* 0: not known */
    struct slice file, key, text, whole; /* whole: as one line */
};

struct findings {
    struct list list;
    unsigned    count;
};

void findings_init(struct findings *f);
/* Copies it; `whole` is made here, and its link is not looked at.  Above 200 of them, or without memory, it is not
 * kept: what people read is the text. */
void findings_add(struct findings *f, const struct finding *it);
/* Does one of them say this line?  A sentence may have several, and the last of a text may be cut. */
bool findings_have(const struct findings *f, struct slice line);
void findings_deinit(struct findings *f);

#endif
